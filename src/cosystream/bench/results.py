"""What a benchmark has found out, and how it is kept: figures as JSON, and every chunk on a line of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import orjson

from cosystream.bench.level import Level, most_streams
from cosystream.bench.listeners import Asked
from cosystream.bench.machine import Machine
from cosystream.bench.plan import Load
from cosystream.bench.target import TargetInfo
from cosystream.errors import ConfigError

SUMMARY = "summary.json"
CHUNKS = "chunks.jsonl"


@dataclass(frozen=True, slots=True)
class Results:
    """Figures, and where they come from."""

    command: str
    date: str
    machine: Machine
    """Of the listeners; a server may run on another."""
    target: TargetInfo
    levels: tuple[Level, ...]

    @property
    def n_at_99(self) -> int | None:
        return most_streams(self.levels)


@dataclass(frozen=True, slots=True)
class Chunk:
    """A line of ``chunks.jsonl``; times are in seconds, and count from the beginning of the load."""

    load: str
    request: int
    listener: int
    chunk: int
    asked_seconds: float
    arrived_seconds: float
    audio_seconds: float


def write_results(results: Results, folder: Path) -> None:
    written = orjson.dumps(results, option=orjson.OPT_INDENT_2)
    (folder / SUMMARY).write_bytes(written + b"\n")


def read_results(path: Path) -> Results:
    """From the file or from the folder that it is in. Raises ConfigError if it is not there, or not of ours."""
    file = path / SUMMARY if path.is_dir() else path
    try:
        return msgspec.json.decode(file.read_bytes(), type=Results)
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise ConfigError(f"{file} holds no results of cosystream bench: {error}") from None


def append_chunks(load: Load, asked: Sequence[Asked], folder: Path) -> None:
    with (folder / CHUNKS).open("ab") as file:
        file.writelines(orjson.dumps(chunk) + b"\n" for chunk in _chunks(load, asked))


def _chunks(load: Load, asked: Sequence[Asked]) -> Iterator[Chunk]:
    for one in asked:
        for number, arrival in enumerate(one.heard.arrivals):
            yield Chunk(
                load=str(load),
                request=one.index,
                listener=one.listener,
                chunk=number,
                asked_seconds=one.asked_seconds,
                arrived_seconds=one.asked_seconds + arrival.seconds,
                audio_seconds=arrival.audio_seconds,
            )
