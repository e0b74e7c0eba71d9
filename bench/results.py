"""All that one run of the benchmark has found out."""

from dataclasses import dataclass

from bench.embedded_voice import EmbeddedVoice
from bench.machine import Machine
from bench.server_alone import ServerAlone


@dataclass(frozen=True, slots=True)
class Results:
    command: str
    date: str
    machine: Machine
    server: tuple[ServerAlone, ...]
    voice: EmbeddedVoice | None
    failures: tuple[str, ...]
    """What could not be measured, and why."""
