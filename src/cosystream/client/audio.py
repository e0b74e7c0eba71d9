"""Audio as a client gets it: piece by piece, and whole."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

from cosystream.audio import wav
from cosystream.audio.naming import check_name
from cosystream.wire.native import Done, Start


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of speech. All of them in order are the whole, without a gap."""

    pcm: bytes = field(repr=False)
    """Mono samples, signed 16-bit little-endian."""
    sample_rate: int
    index: int
    offset_ms: int
    """Where in the whole it begins."""

    @property
    def num_samples(self) -> int:
        return len(self.pcm) // 2


@dataclass(frozen=True, slots=True)
class Audio:
    """A whole speech, and what the server said of it."""

    pcm: bytes = field(repr=False)
    """Mono samples, signed 16-bit little-endian."""
    start: Start
    done: Done

    @classmethod
    def join(cls, chunks: Iterable[Chunk], start: Start | None, done: Done | None) -> "Audio":
        """All of a stream that has come to its end."""
        assert start is not None
        assert done is not None
        return cls(b"".join(chunk.pcm for chunk in chunks), start, done)

    @property
    def sample_rate(self) -> int:
        return self.start.sample_rate

    @property
    def duration_seconds(self) -> float:
        return len(self.pcm) / 2 / self.sample_rate

    @property
    def wav(self) -> bytes:
        """A complete WAV file."""
        return wav.encode(self.pcm, self.sample_rate)

    def save(self, path: str | PathLike[str]) -> None:
        """Write a WAV file. Raises ConfigError for a name that says another format."""
        check_name(path)
        Path(path).write_bytes(self.wav)
