"""MiniMax's T2A v2: what it is asked for, what it answers, and its codes for what goes wrong.

Format: https://platform.minimax.io/docs/api-reference/speech-t2a-http and speech-t2a-websocket.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import msgspec
from msgspec import Meta

from cosystream.errors import InvalidField
from cosystream.wire.fields import Call, parse_call
from cosystream.wire.native import Problem

S = TypeVar("S", bound="T2ASettings")

T2AFormat = Literal["mp3", "pcm", "flac", "wav", "opus"]
Emotion = Literal["happy", "sad", "angry", "fearful", "disgusted", "surprised", "calm", "neutral", "fluent", "whisper"]

PLAIN_EMOTIONS = ("calm", "neutral", "fluent")
INSTRUCTIONS: Mapping[Emotion, str] = {
    "happy": "用开心的语气说这句话",
    "sad": "用伤心的语气说这句话",
    "angry": "用生气的语气说这句话",
    "fearful": "用恐惧的语气说这句话",
    "disgusted": "用厌恶的语气说这句话",
    "surprised": "用惊讶的语气说这句话",
    "whisper": "用轻声耳语的语气说这句话",
}
"""What a model that follows instructions is told of an emotion; the plain ones need no telling."""

THEIR_NAMES = {
    "speaker": "voice_setting.voice_id",
    "instruction": "voice_setting.emotion",
    "speed": "voice_setting.speed",
    "sample_rate": "audio_setting.sample_rate",
}
"""Of the fields that we call otherwise."""

ID_HEADER = "Trace-Id"

UNKNOWN_ERROR = 1000
TIMEOUT = 1001
LIMIT = 1002
NOT_AUTHORIZED = 1004
BAD_PARAMETERS = 2013
ILLEGAL_EVENT = 2202
STATUS_CODES = {
    "synthesis_failed": UNKNOWN_ERROR,
    "cancelled": UNKNOWN_ERROR,
    "timeout": TIMEOUT,
    "overloaded": LIMIT,
    "not_ready": LIMIT,
    "shutting_down": LIMIT,
    "rate_limited": LIMIT,
    "unauthorized": NOT_AUTHORIZED,
}
"""By our types of problems; the others are the caller's fault."""


class VoiceSetting(msgspec.Struct, kw_only=True):
    """Who speaks, and how."""

    voice_id: Annotated[str, Meta(description="A voice's name; see /speakers.")] = ""
    speed: Annotated[float, Meta(ge=0.5, le=2.0, description="2 is twice as fast; the pitch stays.")] = 1.0
    vol: Annotated[float, Meta(gt=0, le=10, description="How many times as loud; peaks are rounded, not cut.")] = 1.0
    pitch: Annotated[float, Meta(ge=-12, le=12, description="0; other pitches are refused.")] = 0.0
    emotion: Annotated[Emotion, Meta(description="For models that follow instructions.")] | None = None


class AudioSetting(msgspec.Struct, kw_only=True):
    """How the audio is written down."""

    sample_rate: Annotated[int, Meta(ge=8000, le=48000, description="In hertz.")] = 32000
    bitrate: Annotated[Literal[32000, 64000, 128000, 256000], Meta(description="Of MP3.")] = 128000
    format: T2AFormat = "mp3"
    channel: Annotated[Literal[1, 2], Meta(description="1; the speech is mono.")] = 1


class StreamOptions(msgspec.Struct, kw_only=True):
    """What a stream is made of."""

    exclude_aggregated_audio: Annotated[bool, Meta(description="Leave the whole audio out of the last frame.")] = False


class TimbreWeight(msgspec.Struct, kw_only=True):
    """A voice in a mixture of them."""

    voice_id: str
    weight: float = 1.0


class T2ASettings(msgspec.Struct, kw_only=True):
    """How to speak. What else MiniMax knows, such as ``language_boost``, is ignored."""

    model: Annotated[str, Meta(description="Any; what is served here speaks.")] = ""
    voice_setting: VoiceSetting = msgspec.field(default_factory=VoiceSetting)
    audio_setting: AudioSetting = msgspec.field(default_factory=AudioSetting)
    timbre_weights: Annotated[list[TimbreWeight], Meta(max_length=1, description="Voices are not mixed.")] = (
        msgspec.field(default_factory=list)
    )
    pronunciation_dict: Annotated[dict[str, Any], Meta(description="Empty: none is followed.")] = msgspec.field(
        default_factory=dict
    )
    voice_modify: Annotated[dict[str, Any], Meta(description="Empty, or all of it 0.")] = msgspec.field(
        default_factory=dict
    )


class T2AFields(T2ASettings, kw_only=True):
    """What to say, and how."""

    text: Annotated[str, Meta(min_length=1, description="What to say.")]
    stream: Annotated[bool, Meta(description="Whether to answer with events, as the audio is made.")] = False
    stream_options: StreamOptions = msgspec.field(default_factory=StreamOptions)
    output_format: Annotated[Literal["hex", "url"], Meta(description="hex; files are not kept.")] = "hex"


@dataclass(frozen=True, slots=True)
class T2A:
    """What is asked for, checked."""

    call: Call
    format: T2AFormat
    volume: float
    stream: bool = False
    with_whole: bool = True
    """Whether the last frame of a stream is to repeat the whole audio."""


@dataclass(frozen=True, slots=True)
class BaseResp:
    status_code: int = 0
    status_msg: str = ""


SUCCESS = BaseResp()


@dataclass(frozen=True, slots=True)
class SpokenAudio:
    audio: str
    """In hex."""
    status: Literal[1, 2]
    """2 in the last frame, and where there is but one."""


@dataclass(frozen=True, slots=True)
class ExtraInfo:
    """Of the whole audio."""

    audio_length: int
    """In milliseconds."""
    audio_sample_rate: int
    audio_size: int
    """In bytes."""
    bitrate: int
    """In bits per second."""
    audio_format: T2AFormat
    word_count: int
    """Letters, digits and characters that are spoken."""
    usage_characters: int
    """All characters of the text."""
    audio_channel: int = 1


@dataclass(frozen=True, slots=True)
class Frame:
    """``data:`` of a stream, but for the last."""

    data: SpokenAudio
    trace_id: str
    base_resp: BaseResp = SUCCESS


@dataclass(frozen=True, slots=True)
class LastFrame:
    """``data:`` of the last, and all of an answer that is not streamed."""

    data: SpokenAudio
    extra_info: ExtraInfo
    trace_id: str
    base_resp: BaseResp = SUCCESS


class T2AEvent(msgspec.Struct, frozen=True):
    """Of server-sent events, each: JSON of a frame, or of what broke the speech off."""

    data: str


class T2AAnswer(msgspec.Struct, frozen=True):
    """Of an answer that is not streamed: audio, or what went wrong."""

    base_resp: BaseResp
    data: SpokenAudio | None = None
    extra_info: ExtraInfo | None = None
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """``data:`` of the last, where the speech could not go on."""

    trace_id: str
    base_resp: BaseResp


@dataclass(frozen=True, slots=True)
class T2AFailure:
    """All of an answer to what cannot be done."""

    base_resp: BaseResp

    status: ClassVar[int | None] = 200
    id_header: ClassVar[str | None] = ID_HEADER

    @classmethod
    def of(cls, problem: Problem) -> "T2AFailure":
        return cls(base_resp_of(problem))


def base_resp_of(problem: Problem) -> BaseResp:
    name, message = problem.field or "", problem.message
    if name in THEIR_NAMES and message.startswith(f"{name}: "):
        message = THEIR_NAMES[name] + message.removeprefix(name)
    otherwise = ILLEGAL_EVENT if name == "event" else BAD_PARAMETERS
    return BaseResp(STATUS_CODES.get(problem.type, otherwise), message)


def parse_t2a(given: Mapping[str, object], *, max_text_chars: int) -> T2A:
    """Raises InvalidField, InvalidRequest or TextTooLong, some in our words for the fields: T2AFailure has theirs."""
    fields = _convert(given, T2AFields)
    if fields.output_format == "url" and not fields.stream:
        raise InvalidField("output_format", "is url, but files are not kept here; hex would do")
    asked = t2a_of(fields, fields.text, max_text_chars=max_text_chars)
    return replace(asked, stream=fields.stream, with_whole=not fields.stream_options.exclude_aggregated_audio)


def parse_settings(given: Mapping[str, object]) -> T2ASettings:
    """Those of a WebSocket's task, whose text is still to come."""
    return _convert(given, T2ASettings)


def t2a_of(settings: T2ASettings, text: str, *, max_text_chars: int) -> T2A:
    """``text`` spoken as ``settings`` say."""
    voice, audio = settings.voice_setting, settings.audio_setting
    named = {
        "text": text,
        "speaker": voice.voice_id or next((weight.voice_id for weight in settings.timbre_weights), None),
        "instruction": INSTRUCTIONS.get(voice.emotion) if voice.emotion is not None else None,
        "speed": voice.speed,
        "sample_rate": audio.sample_rate,
        "format": audio.format,
    }
    call = parse_call(named, max_text_chars=max_text_chars, typed=True)
    if mark := re.search(r"<#\s*[\d.]+\s*#>", text):
        raise InvalidField("text", f"holds {mark[0]}, but pauses are not made to measure; punctuation would do")
    rendering = replace(call.rendering, bit_rate=mp3_bit_rate(audio) if audio.format == "mp3" else None)
    return T2A(replace(call, rendering=rendering), audio.format, voice.vol)


def mp3_bit_rate(audio: AudioSetting) -> int:
    """The one asked for, or the highest that MPEG has for the sample rate."""
    highest = 64_000 if audio.sample_rate < 16_000 else 160_000 if audio.sample_rate < 32_000 else 256_000
    return min(audio.bitrate, highest)


def extra_info(asked: T2A, sample_rate: int, samples: int, size: int) -> ExtraInfo:
    """Of ``samples`` at ``sample_rate``, which became ``size`` bytes."""
    if asked.format in ("pcm", "wav"):
        bit_rate: int | None = 16 * sample_rate
    else:
        bit_rate = asked.call.rendering.bit_rate
    if bit_rate is None:  # the encoder chose
        bit_rate = round(8 * size * sample_rate / samples) if samples else 0
    text = asked.call.request.text
    return ExtraInfo(
        audio_length=round(samples * 1000 / sample_rate),
        audio_sample_rate=sample_rate,
        audio_size=size,
        bitrate=bit_rate,
        audio_format=asked.format,
        word_count=sum(map(str.isalnum, text)),
        usage_characters=len(text),
    )


def _convert(given: Mapping[str, object], kind: type[S]) -> S:
    fields = _without_nulls(given)
    fields |= {name: _without_nulls(value) for name, value in fields.items() if isinstance(value, dict)}
    if "timber_weights" in fields:  # as their older interface spells it
        fields.setdefault("timbre_weights", fields["timber_weights"])
    try:
        settings = msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError as error:
        raise _as_invalid_field(str(error)) from None
    if settings.voice_setting.pitch != 0:
        raise InvalidField("voice_setting.pitch", "is not 0, but the pitch cannot be shifted here; 0 would do")
    if settings.audio_setting.channel != 1:
        raise InvalidField("audio_setting.channel", "is 2, but the speech is mono; 1 would do")
    for name, said in (("pronunciation_dict", settings.pronunciation_dict), ("voice_modify", settings.voice_modify)):
        if any(said.values()):
            raise InvalidField(name, "cannot be followed here; leave it out")
    return settings


def _without_nulls(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}


def _as_invalid_field(message: str) -> InvalidField:
    """msgspec's words as ours: "Expected `float` <= 2.0 - at `$.voice_setting.speed`"."""
    if missing := re.match(r"Object missing required field `(\w+)`", message):
        return InvalidField(missing[1], "is missing")
    problem, _, path = message.partition(" - at `$.")
    return InvalidField(path.rstrip("`"), problem[0].lower() + problem[1:].replace("`", ""))
