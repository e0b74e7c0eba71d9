"""PCM to the formats that audio is answered in, while it is being made."""

import io
import os
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, Protocol

import av
from av.audio.frame import AudioFrame

from cosystream.audio import g711, wav
from cosystream.audio.formats import Format, rate_for


class Encoder:
    """Mono 16-bit PCM in, a file out: all that ``feed`` and ``finish`` return, in order.

    Nothing comes before the first samples do, so that until then there can still be another answer. From then on no
    more is held back than the codec needs to see. Each call may come from another thread, one at a time.
    """

    def __init__(self, format_: Format, sample_rate: int, bit_rate: int | None = None) -> None:
        """``sample_rate`` in hertz is one that the format can hold.

        ``bit_rate``, in bits per second, gives way to the nearest that the codec has; None is its own. The formats that
        lose nothing have none, nor have PCM and G.711.
        """
        assert sample_rate == rate_for(format_, sample_rate)
        self._writer: _Writer
        if format_ in _CODECS:
            self._writer = _Streamed(_CODECS[format_], sample_rate, bit_rate)
        elif format_ == "mulaw" or format_ == "alaw":
            self._writer = _Companded(format_)
        else:
            self._writer = _Plain(wav.header(sample_rate, None) if format_ == "wav" else b"")

    def feed(self, pcm: bytes) -> bytes:
        """What can be sent now; it may be nothing."""
        assert len(pcm) % 2 == 0, "half a sample"
        return self._writer.write(pcm) if pcm else b""

    def finish(self) -> bytes:
        """The rest, once, after the last ``feed``."""
        return self._writer.finish()


class FileEncoder:
    """Mono 16-bit PCM in, a whole file out, which says how long it is wherever its format can, and is smaller.

    Each call may come from another thread, one at a time.
    """

    def __init__(self, format_: Format, sample_rate: int, bit_rate: int | None = None) -> None:
        """The same as for ``Encoder``."""
        assert sample_rate == rate_for(format_, sample_rate)
        self._format = format_
        self._sample_rate = sample_rate
        self._parts: list[bytes] = []
        self._file = io.BytesIO()
        self._coded: _Coded | None = None
        if format_ in _CODECS:
            self._coded = _Coded(self._file, _CODECS[format_], sample_rate, bit_rate, streamed=False)

    def feed(self, pcm: bytes) -> None:
        assert len(pcm) % 2 == 0, "half a sample"
        if self._coded is not None:
            self._coded.write(pcm)
        elif self._format == "mulaw" or self._format == "alaw":
            self._parts.append(g711.compress(pcm, self._format))
        else:
            self._parts.append(pcm)

    def finish(self) -> list[bytes]:
        """The file, in parts, once, after the last ``feed``."""
        if self._coded is not None:
            self._coded.close()
            return [self._file.getvalue()]
        if self._format == "wav":
            return [wav.header(self._sample_rate, sum(map(len, self._parts)) // 2), *self._parts]
        return self._parts


class _Writer(Protocol):
    def write(self, pcm: bytes) -> bytes: ...

    def finish(self) -> bytes: ...


class _Plain:
    """The samples as they are, behind a header."""

    def __init__(self, header: bytes) -> None:
        self._header = header

    def write(self, pcm: bytes) -> bytes:
        header, self._header = self._header, b""
        return header + pcm

    def finish(self) -> bytes:
        return self.write(b"")


class _Companded:
    def __init__(self, law: g711.Law) -> None:
        self._law = law

    def write(self, pcm: bytes) -> bytes:
        return g711.compress(pcm, self._law)

    def finish(self) -> bytes:
        return b""


@dataclass(frozen=True, slots=True)
class _Codec:
    """An encoder of FFmpeg, and the container for what it makes."""

    name: Literal["libmp3lame", "libopus", "flac", "aac"]
    container: str
    bit_rates: tuple[int, int] | None = None
    """The lowest and the highest."""
    bit_rate: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    container_options: Mapping[str, str] = field(default_factory=dict)
    streamed_options: Mapping[str, str] = field(default_factory=dict)
    """Without these, too, it waits for more than it needs."""
    streamed_container_options: Mapping[str, str] = field(default_factory=dict)


_CODECS: Mapping[Format, _Codec] = {
    "mp3": _Codec(
        "libmp3lame",
        "mp3",
        bit_rates=(8_000, 320_000),
        bit_rate=96_000,
        streamed_options={"reservoir": "0"},  # packets that lend each other bits wait for each other
        streamed_container_options={
            "write_xing": "0",
            "id3v2_version": "0",
        },  # the length is not known at the beginning
    ),
    "opus": _Codec(
        "libopus",
        "ogg",
        bit_rates=(6_000, 256_000),
        bit_rate=64_000,
        streamed_container_options={"page_duration": "20000", "flush_packets": "1"},  # else a page lasts a second
    ),
    "flac": _Codec(
        "flac",
        "flac",
        container_options={"metadata_header_padding": "0"},  # else 8 KB of nothing
        streamed_options={"frame_size": "480"},
    ),
    "aac": _Codec(
        "aac",
        "adts",
        bit_rates=(8_000, 256_000),
        bit_rate=96_000,
        options={"aac_coder": "fast"},  # the truer one at the bit rates of speech, and half the work
    ),
}


class _Sink:
    """Where FFmpeg writes a stream. It cannot seek: what has been sent stays as it is."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, written: bytes) -> int:
        self._written += written
        return len(written)

    def take(self) -> bytes:
        taken = bytes(self._written)
        self._written.clear()
        return taken


class _Streamed:
    """What a codec makes of the samples, in its container, as it is made."""

    def __init__(self, codec: _Codec, sample_rate: int, bit_rate: int | None) -> None:
        self._sink = _Sink()
        self._coded = _Coded(self._sink, codec, sample_rate, bit_rate, streamed=True)

    def write(self, pcm: bytes) -> bytes:
        self._coded.write(pcm)
        return self._sink.take()

    def finish(self) -> bytes:
        self._coded.close()
        return self._sink.take()


class _Coded:
    """An encoder of FFmpeg at work, writing into ``file``."""

    def __init__(
        self, file: _Sink | io.BytesIO, codec: _Codec, sample_rate: int, bit_rate: int | None, *, streamed: bool
    ) -> None:
        options, container_options = dict(codec.options), dict(codec.container_options)
        if streamed:
            options |= codec.streamed_options
            container_options |= codec.streamed_container_options
        self._container = av.open(file, "w", codec.container, container_options=container_options)
        self._end = weakref.finalize(self, self._container.close)  # container and stream hold each other
        self._stream = self._container.add_stream(codec.name, sample_rate, options, layout="mono")
        if codec.bit_rates is not None:
            lowest, highest = codec.bit_rates
            self._stream.bit_rate = min(max(bit_rate or codec.bit_rate, lowest), highest)
        self._time_base = Fraction(1, sample_rate)
        self._num_samples = 0

    def write(self, pcm: bytes) -> None:
        if not pcm:
            return
        frame = AudioFrame("s16", "mono", len(pcm) // 2)
        frame.planes[0].update(pcm)
        frame.sample_rate = self._time_base.denominator
        frame.time_base, frame.pts = self._time_base, self._num_samples
        with nullcontext() if self._num_samples else _on_one_processor():
            packets = self._stream.encode(frame)
        self._num_samples += frame.samples
        self._container.mux(packets)

    def close(self) -> None:
        if not self._num_samples:
            self.write(bytes(2))  # players refuse a file without a packet
        self._container.mux(self._stream.encode(None))
        self._end()


@contextmanager
def _on_one_processor() -> Iterator[None]:
    """Keep FFmpeg from starting threads.

    With its first frame PyAV gives an encoder a graph of filters, and FFmpeg gives each graph as many threads as this
    one may use processors, up to 16, none of which ever has anything to do. A few hundred streams would be thousands.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, processors)
