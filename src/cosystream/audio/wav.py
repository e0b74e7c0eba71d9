"""WAV files of 16-bit mono PCM: whole, or begun before anyone knows how long they will be."""

import struct

HEADER_BYTES = 44
UNKNOWN_SIZE = 0xFFFFFFFF

_HEADER = struct.Struct("<4sI4s4sIHHIIHH4sI")


def header(sample_rate: int, num_samples: int | None) -> bytes:
    """The 44 bytes before the samples: RIFF, ``fmt`` and the head of ``data``.

    Without ``num_samples`` both sizes are 0xFFFFFFFF, which players take for "until the end of the stream".
    Layout: Multimedia Programming Interface and Data Specifications 1.0 (IBM and Microsoft, 1991), "WAVE".
    """
    riff_bytes, data_bytes = UNKNOWN_SIZE, UNKNOWN_SIZE
    if num_samples is not None:
        data_bytes = 2 * num_samples
        riff_bytes = data_bytes + HEADER_BYTES - 8  # all that follows this number
    channels, bits = 1, 16
    frame_bytes = channels * bits // 8
    fmt = (16, 1, channels, sample_rate, sample_rate * frame_bytes, frame_bytes, bits)  # 16 bytes follow; 1 is PCM
    return _HEADER.pack(b"RIFF", riff_bytes, b"WAVE", b"fmt ", *fmt, b"data", data_bytes)


def encode(pcm: bytes, sample_rate: int) -> bytes:
    """A complete WAV file of mono 16-bit ``pcm``."""
    return header(sample_rate, len(pcm) // 2) + pcm
