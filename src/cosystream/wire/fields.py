"""The fields of a synthesis request, whatever brings them: JSON, a form or a query."""

import binascii
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from cosystream.audio.formats import FORMATS, Format
from cosystream.errors import InvalidField, InvalidRequest, TextTooLong
from cosystream.types import Prompt, SynthesisRequest

Encoding = Literal["hex", "base64"]

ALIASES = {"voice": "speaker", "instruct": "instruction", "instructions": "instruction"}
LONGEST_SHOWN = 64
INSTRUCTION_CHARS = 500
PROMPT_TEXT_CHARS = 1000
NAME_CHARS = 255
"""No voice has a longer name, and composing the accents of a very long one would hold the event loop."""
EMPTY_FILE = "the file is empty; send a recording of somebody speaking, or leave the field out"

_STANDARD_ALPHABET = bytes.maketrans(b"-_", b"+/")


class RequestFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a caller may send. ``voice`` is another name for ``speaker``, ``instruct`` for ``instruction``."""

    text: Annotated[str, Meta(min_length=1, description="What to say.")]
    speaker: Annotated[str, Meta(description="A voice's name; see /speakers.")] | None = None
    instruction: (
        Annotated[str, Meta(max_length=INSTRUCTION_CHARS, description="Style or dialect, for models that follow one.")]
        | None
    ) = None
    prompt_text: (
        Annotated[str, Meta(max_length=PROMPT_TEXT_CHARS, description="What is said in prompt_wav.")] | None
    ) = None
    prompt_wav: Annotated[bytes, Meta(description="A recording to imitate; base64 in JSON.")] | None = None
    speed: Annotated[float, Meta(ge=0.5, le=2.0, description="2 is twice as fast; the pitch stays.")] = 1.0
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="The same: the same samples.")] | None = None
    format: Annotated[Format, Meta(description="Answer with audio in this container.")] | None = None
    sample_rate: Annotated[int, Meta(ge=8000, le=48000, description="Hertz; else the engine's.")] | None = None
    encoding: Annotated[Encoding, Meta(description="Of audio inside JSON.")] = "hex"
    normalize: Annotated[bool, Meta(description="Read out numbers, dates and units.")] = True


WOULD_DO = {
    "text": "a string",
    "speaker": "a string",
    "instruction": f"a string of at most {INSTRUCTION_CHARS} characters",
    "prompt_text": f"a string of at most {PROMPT_TEXT_CHARS} characters",
    "prompt_wav": "an audio file, uploaded in a form or in base64 in JSON,",
    "speed": "a number from 0.5 to 2.0",
    "seed": "a whole number of at most 64 bits",
    "format": " or ".join(FORMATS),
    "sample_rate": "a whole number from 8000 to 48000",
    "encoding": " or ".join(get_args(Encoding)),
    "normalize": "true or false",
}
"""What each field may be, in words."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """How the audio is to be written down."""

    format: Format | None = None
    sample_rate: int | None = None
    """In hertz; None leaves the engine's rate."""
    encoding: Encoding = "hex"
    bit_rate: int | None = None
    """In bits per second, of formats that have one; None leaves the encoder's."""
    tempo: float = 1.0
    """By how much what the engine speaks is sped up besides, where it cannot speak as fast or as slowly itself."""

    def encode(self, audio: bytes) -> str:
        """``audio`` as a string for JSON."""
        if self.encoding == "hex":
            return audio.hex()
        return msgspec.to_builtins(audio)  # type: ignore[no-any-return]  # base64


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has been read and checked."""

    request: SynthesisRequest
    rendering: Rendering


def parse_call(fields: Mapping[str, object], *, max_text_chars: int, typed: bool) -> Call:
    """Check ``fields``, and raise InvalidField or TextTooLong at the first that will not do.

    ``typed`` fields are of JSON's types; the others are strings, as forms and queries bring them. A field that is null
    or, but for the text, empty counts as left out.
    """
    if isinstance(text := fields.get("text"), str):
        _check_text(text, max_text_chars)
    names = _names(fields)
    _check_characters(fields, names.values())
    given = {name: fields[written] for name, written in names.items()}
    if isinstance(written := given.get("prompt_wav"), str):
        given["prompt_wav"] = _file_in_base64(written)
    speaker = given.get("speaker")
    if isinstance(speaker, str) and len(speaker) <= NAME_CHARS:
        given["speaker"] = unicodedata.normalize("NFC", speaker)  # on macOS é may come as e and an accent
    try:
        read = msgspec.convert(given, RequestFields, strict=typed)
    except msgspec.ValidationError as error:
        raise _as_invalid_field(str(error), fields, names) from None
    if read.prompt_wav is None and read.prompt_text is not None:
        raise InvalidField("prompt_text", "is the transcript of prompt_wav, which is missing")
    prompt = None if read.prompt_wav is None else Prompt(read.prompt_wav, read.prompt_text)
    request = SynthesisRequest(read.text, read.speaker, read.instruction, prompt, read.speed, read.seed, read.normalize)
    return Call(request, Rendering(read.format, read.sample_rate, read.encoding))


def _names(fields: Mapping[str, object]) -> dict[str, str]:
    """What the caller calls the fields that count, by our names for them. Raises InvalidField for an unknown one."""
    names: dict[str, str] = {}
    for written, value in fields.items():
        name = ALIASES.get(written, written)
        if name not in WOULD_DO:
            raise _unknown(written)
        if value is None or (value in ("", b"") and name != "text"):
            continue
        if name in names:
            both = f"{names[name]} and {written}"
            raise InvalidField(written, f"is one of {both}, which say the same; send one of them")
        names[name] = written
    return names


def _unknown(name: str) -> InvalidRequest | InvalidField:
    if _is_half(name):
        return InvalidRequest("a field's name holds half a character (a lone surrogate); send UTF-8")
    return InvalidField(name[:LONGEST_SHOWN], f"there is no such field; there are {', '.join((*WOULD_DO, *ALIASES))}")


def _check_characters(fields: Mapping[str, object], names: Iterable[str]) -> None:
    """Surrogates come from command lines; neither tokenizers nor JSON take them."""
    for name in names:
        value = fields[name]
        if isinstance(value, str) and name != "prompt_wav" and _is_half(value):  # of which base64 holds none
            raise InvalidRequest("holds half a character (a lone surrogate); send UTF-8", field=name)


def _is_half(string: str) -> bool:
    try:
        string.encode()
    except UnicodeEncodeError:
        return True
    return False


def _check_text(text: str, max_text_chars: int) -> None:
    if len(text) > max_text_chars:
        raise TextTooLong(f"text: has {len(text)} characters; {max_text_chars} are the most for one request")
    if not text.strip():
        raise InvalidField("text", "is blank; send something to say")
    if unprintable := re.search(r"[\x00-\x08\x0e-\x1f\x7f]", text):
        raise InvalidField(
            "text", f"holds the control character U+{ord(unprintable[0]):04X} at {unprintable.start()}; take it out"
        )


def _file_in_base64(written: str) -> bytes:
    """Tools write it in lines, behind ``data:audio/wav;base64,``, with -_ for +/ and without padding: all are read."""
    prefix = re.match(r"\s*data:[^,]*;base64,", written, re.IGNORECASE)
    try:
        encoded = written[prefix.end() if prefix else 0 :].encode("ascii")
        letters = encoded.translate(_STANDARD_ALPHABET, delete=b" \t\r\n").rstrip(b"=")
        file = binascii.a2b_base64(letters + b"=" * (-len(letters) % 4), strict_mode=True)
    except ValueError:
        raise InvalidField(
            "prompt_wav", "is not base64, or not all of it; encode the whole file, or upload it in a form"
        ) from None
    if not file:
        raise InvalidField("prompt_wav", EMPTY_FILE)
    return file


def _as_invalid_field(message: str, fields: Mapping[str, object], names: Mapping[str, str]) -> InvalidField:
    """msgspec's words in ours: "Expected `str`, got `int` - at `$.text`"."""
    if missing := re.match(r"Object missing required field `(\w+)`", message):
        return InvalidField(missing[1], "is missing")
    name = message.rpartition(" - at `$.")[2].rstrip("`")
    written = names[name]
    return InvalidField(written, f"is {shown(fields[written])}; {WOULD_DO[name]} would do")


def shown(value: object) -> str:
    """``value``, as a refusal repeats it."""
    match value:
        case str():
            return repr(value) if len(value) <= LONGEST_SHOWN else f"{len(value)} characters long"
        case bytes():
            return "a file"
        case list():
            return "an array"
        case dict():
            return "an object"
    return str(value).lower()  # true, not True
