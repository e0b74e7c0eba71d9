"""OpenAI's speech protocol: the fields it takes, its models, errors and events."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, get_args

import msgspec
from msgspec import Meta

from cosystream.errors import InvalidField, InvalidRequest
from cosystream.wire.fields import INSTRUCTION_CHARS, PROMPT_TEXT_CHARS, Call, parse_call, shown
from cosystream.wire.native import Problem

SpeechFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
StreamFormat = Literal["audio", "sse"]
FORMATS: tuple[SpeechFormat, ...] = get_args(SpeechFormat)

PCM_RATE = 24_000
"""Of headerless samples, whatever the engine's: OpenAI's clients are not told."""
SLOWEST, FASTEST = 0.5, 2.0
"""What engines can do; beyond, what they speak is stretched."""
TOKENS_PER_SECOND = 25
"""Of audio, in usage: as many speech tokens as CosyVoice makes of a second."""


class VoiceId(msgspec.Struct, frozen=True):
    """The other way to name a voice."""

    id: str


class SpeechFields(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may send. Other fields are ignored, as OpenAI's clients send whatever came last."""

    input: Annotated[str, Meta(min_length=1, description="What to say.")]
    model: Annotated[str, Meta(description="Any name: there is one model, see /v1/models.")] | None = None
    voice: Annotated[str | VoiceId, Meta(description="OpenAI's name or a speaker's; see /v1/audio/voices.")] | None = (
        None
    )
    instructions: (
        Annotated[str, Meta(max_length=INSTRUCTION_CHARS, description="Style or dialect, for models that follow one.")]
        | None
    ) = None
    response_format: Annotated[SpeechFormat, Meta(description="The container of the audio.")] = "mp3"
    speed: Annotated[float, Meta(ge=0.25, le=4.0, description="2 is twice as fast; the pitch stays.")] = 1.0
    stream_format: Annotated[StreamFormat, Meta(description="sse answers with events.")] = "audio"
    stream: Annotated[bool, Meta(description="false answers when all has been spoken, with a whole file.")] = True
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1, description="The same: the same samples.")] | None = None
    sample_rate: Annotated[int, Meta(ge=8000, le=48000, description="Hertz; of pcm else 24000.")] | None = None
    ref_audio: Annotated[str, Meta(description="A recording to imitate, in base64 or as a data: URL.")] | None = None
    ref_text: Annotated[str, Meta(max_length=PROMPT_TEXT_CHARS, description="What is said in ref_audio.")] | None = None


WOULD_DO = {
    "input": "a string that is not empty",
    "model": "any string",
    "voice": 'a string or {"id": "…"}',
    "instructions": f"a string of at most {INSTRUCTION_CHARS} characters",
    "response_format": " or ".join(FORMATS),
    "speed": "a number from 0.25 to 4.0",
    "stream_format": "audio or sse",
    "stream": "true or false",
    "seed": "a whole number of at most 64 bits",
    "sample_rate": "a whole number from 8000 to 48000",
    "ref_audio": "a recording in base64",
    "ref_text": f"a string of at most {PROMPT_TEXT_CHARS} characters",
}
"""What each field may be, in words."""
PARAMS = {
    "text": "input",
    "speaker": "voice",
    "instruction": "instructions",
    "prompt_wav": "ref_audio",
    "prompt_text": "ref_text",
    "format": "response_format",
}
"""Our names in OpenAI's words, where they differ."""
CODES = {
    "unauthorized": "invalid_api_key",
    "rate_limited": "rate_limit_exceeded",
    "text_too_long": "string_above_max_length",
}
"""Our types in OpenAI's words, where it has one."""


@dataclass(frozen=True, slots=True)
class SpeechCall:
    """A request that has been read and checked; its speaker is still the voice as the caller wrote it."""

    call: Call
    format: SpeechFormat
    stream_format: StreamFormat
    stream: bool


def parse_speech(fields: Mapping[str, object], *, max_text_chars: int) -> SpeechCall:
    """Check ``fields``, and raise InvalidRequest or TextTooLong at the first that will not do.

    A field that is null or, but for the input, empty counts as left out. What is out of range is InvalidRequest as
    well, since OpenAI's own answer to it is 400.
    """
    given = {
        name: value
        for name, value in fields.items()
        if name in WOULD_DO and value is not None and (value != "" or name == "input")
    }
    try:
        read = msgspec.convert(given, SpeechFields)
    except msgspec.ValidationError as error:
        raise _refusal(str(error), given) from None
    if read.ref_text is not None and read.ref_audio is None:
        raise InvalidRequest("is the transcript of ref_audio, which is missing", field="ref_text")
    try:
        call = parse_call(_in_our_words(read), max_text_chars=max_text_chars, typed=True)
    except InvalidField as error:
        raise InvalidRequest(str(error).removeprefix(f"{error.field}: "), field=error.field) from None
    tempo = read.speed / call.request.speed
    call = replace(call, rendering=replace(call.rendering, tempo=tempo))
    return SpeechCall(call, read.response_format, read.stream_format, read.stream)


def _in_our_words(read: SpeechFields) -> dict[str, object]:
    """The fields as ``parse_call`` knows them."""
    return {
        "text": read.input,
        "speaker": read.voice.id if isinstance(read.voice, VoiceId) else read.voice,
        "instruction": (read.instructions or "").strip(),  # many frameworks send one, whether there is any or not
        "prompt_wav": read.ref_audio,
        "prompt_text": read.ref_text,
        "speed": min(max(read.speed, SLOWEST), FASTEST),
        "seed": read.seed,
        "format": read.response_format,
        "sample_rate": read.sample_rate or (PCM_RATE if read.response_format == "pcm" else None),
        "encoding": "base64",
    }


def _refusal(message: str, given: Mapping[str, object]) -> InvalidRequest:
    """msgspec's words in ours: "Expected `str`, got `int` - at `$.voice.id`"."""
    _, stands_somewhere, path = message.rpartition(" - at `$.")
    if not stands_somewhere:
        return InvalidRequest("is missing", field="input")  # the only one that must be there
    name = path.rstrip("`").partition(".")[0]
    return InvalidRequest(f"is {shown(given[name])}; {WOULD_DO[name]} would do", field=name)


# Models


@dataclass(frozen=True, slots=True)
class OpenAIModel:
    id: str
    object: str = "model"
    created: int = 0
    """Nobody knows."""
    owned_by: str = "cosystream"


@dataclass(frozen=True, slots=True)
class OpenAIModels:
    data: list[OpenAIModel]
    object: str = "list"


# Errors and events


@dataclass(frozen=True, slots=True)
class OpenAIProblem:
    """``type`` is ours, ``code`` OpenAI's word for it where it has one, ``param`` the field to blame."""

    message: str
    type: str
    param: str | None
    code: str

    @classmethod
    def of(cls, problem: Problem) -> "OpenAIProblem":
        param = PARAMS.get(problem.field or "", problem.field)
        said = problem.message.removeprefix(f"{problem.field}: ")
        message = problem.message if said == problem.message else f"{param}: {said}"
        return cls(message, problem.type, param, CODES.get(problem.type, problem.type))


@dataclass(frozen=True, slots=True)
class OpenAIFailure:
    """The body of an HTTP error."""

    error: OpenAIProblem

    status: ClassVar[int | None] = None
    id_header: ClassVar[str | None] = None

    @classmethod
    def of(cls, problem: Problem) -> "OpenAIFailure":
        return cls(OpenAIProblem.of(problem))


@dataclass(frozen=True, slots=True)
class Usage:
    input_tokens: int
    """Characters of the input."""
    output_tokens: int
    """25 for each second of audio."""
    total_tokens: int


def usage_of(text: str, audio_seconds: float) -> Usage:
    """What is counted here, where nothing is charged for."""
    num_in, num_out = len(text), round(audio_seconds * TOKENS_PER_SECOND)
    return Usage(num_in, num_out, num_in + num_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechDelta:
    """event: speech.audio.delta. All of them in order, decoded, are one file."""

    type: Literal["speech.audio.delta"] = "speech.audio.delta"
    audio: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechDone:
    """event: speech.audio.done. The last one, after all of the audio."""

    type: Literal["speech.audio.done"] = "speech.audio.done"
    usage: Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechError:
    """event: speech.audio.error. The last one, instead of ``speech.audio.done``."""

    type: Literal["speech.audio.error"] = "speech.audio.error"
    error: OpenAIProblem


class SpeechEvent(msgspec.Struct, frozen=True):
    """Of server-sent events, each. The data is JSON of a type that is called like the event."""

    event: Literal["speech.audio.delta", "speech.audio.done", "speech.audio.error"]
    data: str
