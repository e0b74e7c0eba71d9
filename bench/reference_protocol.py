"""What the two sides of the comparison are asked and answer: a line of JSON each, over stdin and stdout.

Both sides' processes import this file, so it needs nothing but the standard library.
"""

import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

PUBLISHED, MENDED = "published", "mended"
"""The reference's ways of speaking: with one hop for all requests, and with one for each."""
BLOCK, SMALL = "block", "small"
"""Ours: beginning with a whole block of tokens, and with fewer."""


@dataclass(frozen=True, slots=True)
class Speech:
    """What is to be spoken, and in whose voice. The frames and the embedding of the voice are random."""

    prompt_text: tuple[int, ...]
    text: tuple[int, ...]
    """Text tokens, like those of the prompt."""
    prompt_speech: tuple[int, ...]
    """Speech tokens."""
    num_tokens: int
    """Speech tokens to be drawn; neither more nor fewer."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A chunk of audio."""

    at_seconds: float
    """Since it was asked for."""
    audio_seconds: float


@dataclass(frozen=True, slots=True)
class About:
    """The side itself, once its models are loaded."""

    versions: dict[str, str]
    """Of packages that it computes with, by their names."""
    num_threads: int
    precision: str
    """Of its matrix products."""


class Side(Protocol):
    """One of the two implementations."""

    @property
    def about(self) -> About: ...

    def speak(self, way: str, speech: Speech, num_streams: int) -> Sequence[Sequence[Arrival]]:
        """In one of its ways, the same for so many listeners who ask at once; what each of them got, and when."""
        ...

    def chunk_seconds(self, way: str, speech: Speech, behind: Sequence[int]) -> Sequence[float]:
        """What a second of audio takes, behind so many tokens that have been spoken; ours with drawing its tokens."""
        ...


def serve(make: Callable[[], Side]) -> None:
    """Answer until stdin ends. Whatever else is written to stdout goes to stderr."""
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        side = make()
        print(json.dumps(asdict(side.about)), file=answers, flush=True)
        for line in sys.stdin:
            print(json.dumps(_answer(side, json.loads(line))), file=answers, flush=True)


def _answer(side: Side, question: dict[str, Any]) -> list[Any]:
    written = question["speech"]
    speech = Speech(
        tuple(written["prompt_text"]), tuple(written["text"]), tuple(written["prompt_speech"]), written["num_tokens"]
    )
    if "behind" in question:
        return list(side.chunk_seconds(question["way"], speech, question["behind"]))
    streams = side.speak(question["way"], speech, question["num_streams"])
    return [[asdict(arrival) for arrival in arrivals] for arrivals in streams]
