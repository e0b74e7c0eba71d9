"""What is to be measured: which loads, for how long, and what is asked for."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cosystream.bench.sentences import MIXED
from cosystream.errors import ConfigError
from cosystream.types import SynthesisRequest


@dataclass(frozen=True, slots=True)
class Load:
    """How many listeners there are, or how often a new one comes: one of the two is given."""

    streams: int | None = None
    """Listeners at once, each of whom asks again when it has played all (a closed loop)."""
    is_eager: bool = False
    """Whether each asks again as soon as all has arrived, before it has been played."""
    rate: float | None = None
    """Listeners a second, who come at random whether or not the others have been served (an open loop)."""

    def __str__(self) -> str:
        if self.streams is not None:
            return f"{self.streams} stream{'s' if self.streams > 1 else ''}{', eager' if self.is_eager else ''}"
        return f"{self.rate:g} a second"


@dataclass(frozen=True, slots=True)
class Plan:
    """What each load has in common. No more is asked once ``seconds`` have passed, or after ``requests``."""

    seconds: float = 30.0
    requests: int | None = None
    texts: tuple[str, ...] = MIXED
    """Asked for in turn."""
    speaker: str | None = None
    seed: int = 0
    """Of the moments at which listeners come, and of the first request; each further one adds 1."""

    def request(self, index: int) -> SynthesisRequest:
        """The one with this ``index``, counted from 0 within a load."""
        return SynthesisRequest(self.texts[index % len(self.texts)], self.speaker, seed=self.seed + index)


def poisson_moments(rate: float, plan: Plan) -> list[float]:
    """When listeners come, in seconds: independently of each other, ``rate`` a second on average."""
    chance = random.Random(plan.seed)  # noqa: S311 - nobody is to be kept from guessing it
    moments: list[float] = []
    now = chance.expovariate(rate)
    while now < plan.seconds and (plan.requests is None or len(moments) < plan.requests):
        moments.append(now)
        now += chance.expovariate(rate)
    return moments


def read_texts(path: Path) -> tuple[str, ...]:
    """The lines of a file that are not blank, each a text of its own. Raises ConfigError."""
    try:
        lines: Sequence[str] = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    texts = tuple(line.strip() for line in lines if line.strip())
    if not texts:
        raise ConfigError(f"{path}: holds no text; write one on each line")
    return texts
