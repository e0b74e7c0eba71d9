"""Text in while audio goes out: the messages of ``/v1/stream``. Times are in milliseconds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from cosystream.errors import InvalidField
from cosystream.wire.fields import Call, parse_call
from cosystream.wire.native import Problem
from cosystream.wire.objects import parse_object

MessageType = Literal["start", "text", "flush", "end", "cancel"]

MESSAGE_TYPES: tuple[MessageType, ...] = get_args(MessageType)
NAME_CHARS = 64
_LIKE = '{"type": "text", "context": "…", "text": "…"}'
_ELSEWHERE = {
    "text": "follows in messages of the type text",
    "encoding": "is of audio inside JSON; here it follows in binary messages",
}

# What a client sends.


@dataclass(frozen=True, slots=True)
class Message:
    """One of a client's messages: of which context it is, and what else it says."""

    type: MessageType
    context: str
    fields: Mapping[str, object]


def parse_message(json: str, *, max_text_chars: int) -> Message:
    """Raises CallerError for what is no message, or of none of the types."""
    fields = parse_object(json, what="message", like=_LIKE, max_text_chars=max_text_chars)
    type_, context = fields.pop("type", None), fields.pop("context", None)
    if type_ not in MESSAGE_TYPES:
        raise InvalidField("type", f"there are {', '.join(MESSAGE_TYPES)}")
    if not isinstance(context, str) or not 1 <= len(context) <= NAME_CHARS:
        raise InvalidField("context", f"a string of 1 to {NAME_CHARS} characters would do, of your choice")
    if type_ not in ("start", "text"):
        for name in fields:
            raise InvalidField(name[:NAME_CHARS], f"there is no such field in a message of the type {type_}")
    return Message(type_, context, fields)


def call_of(message: Message) -> Call:
    """What a ``start`` asks for, without a text. Raises InvalidField."""
    for name, where in _ELSEWHERE.items():
        if name in message.fields:
            raise InvalidField(name, where)
    call = parse_call({**message.fields, "text": "…"}, max_text_chars=1, typed=True)
    if call.rendering.format not in (None, "pcm"):
        raise InvalidField("format", "is always pcm here: signed 16-bit little-endian, mono, without a header")
    return call


def text_of(message: Message) -> str:
    """What a ``text`` brings, which may be blank. Raises InvalidField."""
    for name in message.fields:
        if name != "text":
            raise InvalidField(name[:NAME_CHARS], "there is no such field in a message of the type text")
    text = message.fields.get("text")
    if not isinstance(text, str):
        raise InvalidField("text", "is missing" if text is None else "a string would do")
    if text.strip():
        parse_call({"text": text}, max_text_chars=len(text), typed=True)  # for the characters in it
    return text


# What it is sent.


@dataclass(frozen=True, slots=True)
class Started:
    """The context is open; how to read what follows."""

    type: Literal["started"] = field(default="started", init=False)
    context: str
    request_id: str
    sample_rate: int
    engine: str
    speaker: str
    seed: int
    channels: int = 1
    format: str = "pcm_s16le"


@dataclass(frozen=True, slots=True)
class Audio:
    """The next message is binary, and is this audio."""

    type: Literal["audio"] = field(default="audio", init=False)
    context: str
    index: int
    samples: int
    offset_ms: int


@dataclass(frozen=True, slots=True)
class Sentence:
    """It begins to sound at ``begin_ms``."""

    type: Literal["sentence"] = field(default="sentence", init=False)
    context: str
    index: int
    text: str
    begin_ms: int


@dataclass(frozen=True, slots=True)
class Done:
    """The last of its context: all of its text has been spoken, or it was cancelled."""

    type: Literal["done"] = field(default="done", init=False)
    context: str
    request_id: str
    chunks: int
    samples: int
    duration_ms: int
    first_audio_ms: int
    """From the first text that could be spoken."""
    queue_ms: int
    """The same, until the engine began with it."""
    rtf: float
    underruns: int
    finish_reason: Literal["stop", "cancelled"]


@dataclass(frozen=True, slots=True)
class ContextFailure:
    """The last of its context, instead of ``done``, or of ``started``."""

    type: Literal["error"] = field(default="error", init=False)
    context: str
    error: Problem
    partial_audio: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """A message that was not understood, and has changed nothing."""

    type: Literal["error"] = field(default="error", init=False)
    error: Problem
