"""What is measured: whoever can be asked to speak."""

from dataclasses import dataclass
from typing import Protocol

from cosystream.bench.heard import Heard
from cosystream.bench.vitals import Vitals
from cosystream.types import SynthesisRequest


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """Who it is."""

    where: str
    """Its URL, or how it comes to be in this process."""
    engine: str
    model: str


class Target(Protocol):
    """A server, or an engine in this process."""

    @property
    def info(self) -> TargetInfo: ...

    async def listen(self, request: SynthesisRequest) -> Heard:
        """Ask, and listen to the end. What goes wrong is in what was heard."""
        ...

    async def vitals(self) -> Vitals:
        """How it has fared since the last time this was asked, or since the beginning."""
        ...
