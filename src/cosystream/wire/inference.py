"""What CosyVoice's own FastAPI runtime takes, under its names, and how its clients are told what went wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from cosystream.errors import InvalidField
from cosystream.wire.fields import INSTRUCTION_CHARS, PROMPT_TEXT_CHARS, Call, parse_call
from cosystream.wire.native import Problem

THEIR_NAMES = {"text": "tts_text", "speaker": "spk_id", "instruction": "instruct_text"}
"""Of the fields that we call otherwise."""

Text = Annotated[str, Meta(min_length=1, description="What to say.")]
Speaker = Annotated[str, Meta(min_length=1, description="A voice's name; see /speakers.")]
Instruction = Annotated[str, Meta(min_length=1, max_length=INSTRUCTION_CHARS, description="Style or dialect.")]
Recording = Annotated[bytes, Meta(description="A recording to imitate; base64 in JSON.")]
Transcript = Annotated[str, Meta(min_length=1, max_length=PROMPT_TEXT_CHARS, description="What is said in prompt_wav.")]
Speed = Annotated[float, Meta(ge=0.5, le=2.0, description="2 is twice as fast; the pitch stays.")]


class SftFields(msgspec.Struct, kw_only=True):
    """One of the model's own voices."""

    tts_text: Text
    spk_id: Speaker
    speed: Speed = 1.0


class ZeroShotFields(msgspec.Struct, kw_only=True):
    """The voice of a recording whose words are known."""

    tts_text: Text
    prompt_text: Transcript
    prompt_wav: Recording
    speed: Speed = 1.0


class CrossLingualFields(msgspec.Struct, kw_only=True):
    """The voice of a recording, in another language."""

    tts_text: Text
    prompt_wav: Recording
    speed: Speed = 1.0


class InstructFields(msgspec.Struct, kw_only=True):
    """One of the model's own voices, in a style."""

    tts_text: Text
    spk_id: Speaker
    instruct_text: Instruction
    speed: Speed = 1.0


class Instruct2Fields(msgspec.Struct, kw_only=True):
    """The voice of a recording, in a style."""

    tts_text: Text
    instruct_text: Instruction
    prompt_wav: Recording
    speed: Speed = 1.0


@dataclass(frozen=True, slots=True)
class InferenceFailure:
    """The body of an HTTP error, as FastAPI writes it."""

    detail: str

    status: ClassVar[int | None] = None
    id_header: ClassVar[str | None] = None

    @classmethod
    def of(cls, problem: Problem) -> "InferenceFailure":
        name = problem.field or ""
        if name in THEIR_NAMES and problem.message.startswith(f"{name}: "):
            return cls(THEIR_NAMES[name] + problem.message.removeprefix(name))
        return cls(problem.message)


def parse_inference(
    kind: type[msgspec.Struct], given: Mapping[str, object], *, max_text_chars: int, typed: bool
) -> Call:
    """What ``given`` says in the fields of ``kind``; any others are ignored, as the original ignores them.

    Raises InvalidField or TextTooLong, in our words for the fields: ``InferenceFailure`` has theirs.
    """
    fields = {field.name: field for field in msgspec.structs.fields(kind)}
    for name, field in fields.items():
        if field.required and given.get(name) in (None, "", b""):
            raise InvalidField(name, "is missing")
    ours = {their_name: name for name, their_name in THEIR_NAMES.items()}
    named = {ours.get(name, name): given[name] for name in fields if name in given}
    return parse_call(named, max_text_chars=max_text_chars, typed=typed)
