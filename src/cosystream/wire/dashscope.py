"""DashScope's CosyVoice protocol: what its clients say on a WebSocket.

The names are those of "CosyVoice client events" (Alibaba Cloud, Model Studio, June 2026) and of what the package
dashscope 2.0 sends.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec
import orjson
from msgspec import Meta

from cosystream.errors import InvalidField, InvalidRequest
from cosystream.types import SynthesisRequest, Voice
from cosystream.wire.dashscope_voices import speaker_for
from cosystream.wire.fields import INSTRUCTION_CHARS, LONGEST_SHOWN, Rendering

T = TypeVar("T")
Action = Literal["run-task", "continue-task", "finish-task"]

NORMAL_VOLUME = 50
DEFAULT_SAMPLE_RATE = 22_050


@dataclass(frozen=True, slots=True)
class Instruction:
    """What a client says to one of its tasks. The payload is read separately, so that an error finds its task."""

    action: Action
    task_id: str
    says_all: bool
    """Whether the whole text stands in the run-task, and nothing will follow it."""
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """What an instruction brings of the text."""

    text: str
    flush: bool
    """Speak it, whatever follows."""
    cancel: bool
    """Of finish-task: speak no more."""


@dataclass(frozen=True, slots=True)
class Task:
    """A run-task, read and checked."""

    request: SynthesisRequest
    """Without its text."""
    rendering: Rendering
    gain: float
    pitch: float
    word_times: bool


class _Header(msgspec.Struct, frozen=True):
    action: Action
    task_id: Annotated[str, Meta(min_length=1, max_length=128)]
    streaming: str = "duplex"


class _Message(msgspec.Struct, frozen=True):
    header: _Header
    payload: dict[str, Any] = {}


class _Input(msgspec.Struct, frozen=True):
    text: str = ""
    flush: bool = False
    directive: Literal["", "cancel"] = ""


class _Parameters(msgspec.Struct, frozen=True):
    """What else stands there is for models that are not here."""

    voice: str = ""
    format: Literal["pcm", "wav", "mp3", "opus"] = "mp3"
    sample_rate: Annotated[int, Meta(ge=8000, le=48000)] = DEFAULT_SAMPLE_RATE
    volume: Annotated[int, Meta(ge=0, le=100)] = NORMAL_VOLUME
    rate: Annotated[float, Meta(ge=0.5, le=2.0)] = 1.0
    pitch: Annotated[float, Meta(ge=0.5, le=2.0)] = 1.0
    bit_rate: Annotated[int, Meta(ge=6, le=510)] = 32
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    instruction: Annotated[str, Meta(max_length=INSTRUCTION_CHARS)] = ""
    word_timestamp_enabled: bool = False


WOULD_DO = {
    "text": "a string",
    "flush": "true or false",
    "directive": "cancel",
    "voice": "a string",
    "format": "pcm, wav, mp3 or opus",
    "sample_rate": "a whole number from 8000 to 48000",
    "volume": "a whole number from 0 to 100",
    "rate": "a number from 0.5 to 2.0",
    "pitch": "a number from 0.5 to 2.0",
    "bit_rate": "a whole number from 6 to 510",
    "seed": "a whole number of at most 64 bits",
    "instruction": f"a string of at most {INSTRUCTION_CHARS} characters",
    "word_timestamp_enabled": "true or false",
}
"""What each field may be, in words."""

NOT_HERE = {
    "phoneme_timestamp_enabled": "phonemes are not timed here",
    "hot_fix": "pronunciations cannot be prescribed here",
    "enable_markdown_filter": "Markdown is not taken out here; send the text without it",
    "enable_aigc_tag": "no mark is hidden in the audio here",
}
"""What is refused where it is wanted, and why."""


def parse_instruction(message: str | bytes) -> Instruction:
    """Raises InvalidRequest for what names no task."""
    try:
        read = msgspec.convert(orjson.loads(message), _Message)
    except (orjson.JSONDecodeError, msgspec.ValidationError) as error:
        raise InvalidRequest(
            f"this is no instruction ({str(error)[:200]}); send header.action run-task, continue-task or finish-task, "
            "header.task_id and payload in JSON"
        ) from None
    header = read.header
    return Instruction(header.action, header.task_id, header.streaming in ("none", "out"), read.payload)


def written_in(instruction: Instruction) -> Written:
    """Raises InvalidField for a field that will not do."""
    read = _read(_Input, instruction.payload.get("input"))
    if unprintable := re.search(r"[\x00-\x08\x0e-\x1f\x7f]", read.text):
        raise InvalidField("text", f"holds the control character U+{ord(unprintable[0]):04X}; take it out")
    if re.match(r"\s*<speak\b", read.text):
        raise InvalidField("text", "is SSML, which is not read here; send plain text")
    return Written(read.text, read.flush, read.directive == "cancel")


def task_in(instruction: Instruction, voices: Sequence[Voice], default_speaker: str) -> Task:
    """Raises InvalidField for a parameter that will not do, and UnknownVoice."""
    if (kind := instruction.payload.get("task", "tts")) != "tts":
        raise InvalidField("task", f"is {str(kind)[:LONGEST_SHOWN]!r}; only tts is served here")
    parameters = instruction.payload.get("parameters")
    read = _read(_Parameters, _in_our_words(parameters) if isinstance(parameters, dict) else parameters)
    request = SynthesisRequest(
        text="",
        speaker=speaker_for(read.voice, voices, default_speaker) or None,
        instruction=read.instruction or None,
        speed=read.rate,
        seed=read.seed,
    )
    bit_rate = 1000 * read.bit_rate if read.format == "opus" else None
    return Task(
        request,
        Rendering(read.format, read.sample_rate, bit_rate=bit_rate),
        gain=read.volume / NORMAL_VOLUME,
        pitch=read.pitch,
        word_times=read.word_timestamp_enabled,
    )


def _in_our_words(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Take out what stands for a default or, with this format, for nothing; refuse what is not done here."""
    for name, why in NOT_HERE.items():
        if parameters.get(name):
            raise InvalidField(name, f"{why}; leave it out")
    given = dict(parameters)
    if isinstance(wanted := given.get("format"), str):
        given["format"] = wanted.lower()
    if given.get("format") == "default":  # as the client's AudioFormat.DEFAULT calls it, with a rate of 0
        del given["format"]
    if given.get("sample_rate") == 0:
        del given["sample_rate"]
    if given.get("format") != "opus":
        given.pop("bit_rate", None)
    return given


def _read(kind: type[T], fields: object) -> T:
    if not isinstance(fields, dict | None):
        raise InvalidField("payload", "holds input or parameters that are no object")
    given = {name: value for name, value in (fields or {}).items() if value is not None}
    try:
        return msgspec.convert(given, kind, strict=False)  # some clients write numbers as strings
    except msgspec.ValidationError as error:
        name = str(error).rpartition("`$.")[2].rstrip("`")
        raise InvalidField(name, f"is {str(given[name])[:LONGEST_SHOWN]!r}; {WOULD_DO[name]} would do") from None
