"""The containers that audio is answered in: their media types, and the rates that they can hold."""

from collections.abc import Mapping
from typing import Literal, get_args

Format = Literal["pcm", "wav", "mp3", "opus", "flac", "aac", "mulaw", "alaw"]
"""``opus`` is in Ogg, ``aac`` in ADTS; ``mulaw`` and ``alaw`` are telephony's G.711, without a header."""

FORMATS: tuple[Format, ...] = get_args(Format)
MEDIA_TYPES: Mapping[Format, str] = {
    "pcm": "audio/pcm",
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "flac": "audio/flac",
    "aac": "audio/aac",
    "mulaw": "audio/basic",
    "alaw": "audio/x-alaw-basic",
}
_MPEG = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_RATES: Mapping[Format, tuple[int, ...]] = {
    "mp3": _MPEG,
    "aac": _MPEG,
    "opus": (8000, 12000, 16000, 24000, 48000),
    "mulaw": (8000,),
    "alaw": (8000,),
}
"""In hertz, where not every rate will do."""


def rate_for(format_: Format, wanted: int) -> int:
    """The rate in hertz that ``format_`` can hold: ``wanted``, or else the next above it, or the highest."""
    rates = _RATES.get(format_)
    if rates is None:
        return wanted
    return next((rate for rate in rates if rate >= wanted), rates[-1])
