"""All that the benchmark has found out, run by run: what is measured anew takes the place of what was found before."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

import msgspec
import orjson

from bench.embedded_voice import EmbeddedVoice
from bench.server_alone import ServerAlone
from bench.stages import Stages
from cosystream.bench.machine import Machine

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measured(Generic[T]):
    """Figures, and where they come from."""

    command: str
    date: str
    machine: Machine
    figures: T


@dataclass(frozen=True, slots=True)
class Results:
    server: Measured[tuple[ServerAlone, ...]] | None = None
    voice: Measured[EmbeddedVoice] | None = None
    stages: dict[str, Measured[Stages]] = field(default_factory=dict)
    """By the version of the checkpoint."""


def read_results(path: Path) -> Results:
    """Nothing at all where there is no file."""
    return msgspec.json.decode(path.read_bytes(), type=Results) if path.exists() else Results()


def write_results(results: Results, path: Path) -> None:
    path.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")
