"""Voices on the wire: what is sent to have one learnt, and what is told of those there are."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from cosystream.errors import InvalidField
from cosystream.types import PROMPTED, Prompt, Voice, VoiceKind
from cosystream.wire.fields import LONGEST_SHOWN, NAME_CHARS, PROMPT_TEXT_CHARS, parse_call

LONGEST_NAME = 64
LONGEST_NAME_BYTES = 240
"""In UTF-8, as the name of a file with four more for its kind."""
OF_NAMES = "letters and digits of any script, - and _"


class VoiceFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A voice to be learnt."""

    name: Annotated[
        str, Meta(min_length=1, max_length=LONGEST_NAME, description=f"What it is asked for by: {OF_NAMES}.")
    ]
    prompt_wav: Annotated[bytes, Meta(description="1 to 30 s of one person speaking; base64 in JSON.")]
    prompt_text: (
        Annotated[
            str,
            Meta(
                max_length=PROMPT_TEXT_CHARS,
                description="What is said in prompt_wav; without it the recording lends its timbre alone.",
            ),
        ]
        | None
    ) = None


@dataclass(frozen=True, slots=True)
class NewVoice:
    """What ``VoiceFields`` hold, checked."""

    name: str
    prompt: Prompt


@dataclass(frozen=True, slots=True)
class VoiceEntry:
    """A voice that can be asked for."""

    name: str
    languages: list[str]
    """BCP 47 tags, the mother tongue first."""
    gender: str
    kind: VoiceKind
    sample_rate: int
    """Of what is spoken with it, in hertz."""

    @classmethod
    def of(cls, voice: Voice, sample_rate: int) -> "VoiceEntry":
        return cls(voice.name, list(voice.languages), voice.gender, voice.kind, sample_rate)


@dataclass(frozen=True, slots=True)
class VoiceList:
    voices: list[VoiceEntry]
    default_speaker: str
    note: str = ""
    """Which voices are missing or stand in for others, and what would help."""


def parse_voice(fields: Mapping[str, object], *, typed: bool) -> NewVoice:
    """Check ``fields``, and raise InvalidField at the first that will not do. ``typed`` as for ``parse_call``."""
    for written in fields:
        if written not in VoiceFields.__struct_fields__:
            shown = written[:LONGEST_SHOWN].encode(errors="replace").decode()
            raise InvalidField(shown, f"there is no such field; there are {', '.join(VoiceFields.__struct_fields__)}")
    name = _name(fields.get("name"))
    if fields.get("prompt_wav") in (None, "", b""):
        raise InvalidField("prompt_wav", "is missing; send a recording of somebody speaking")
    recording = {written: value for written, value in fields.items() if written != "name"}
    read = parse_call({"text": name, **recording}, max_text_chars=LONGEST_NAME, typed=typed)  # as whoever imitates it
    assert read.request.prompt is not None
    return NewVoice(name, read.request.prompt)


def composed(name: str) -> str:
    """``name`` as voices are called, however a caller's keyboard writes its accents."""
    return unicodedata.normalize("NFC", name) if len(name) <= NAME_CHARS else name


def _name(value: object) -> str:
    if value is None or value == "":
        raise InvalidField("name", "is missing")
    if not isinstance(value, str):
        raise InvalidField("name", f"is no string; {OF_NAMES} would do")
    name = composed(value)
    if len(name) > LONGEST_NAME:
        raise InvalidField("name", f"has {len(name)} characters; {LONGEST_NAME} are the most")
    for character in name:
        if not _may_stand(character):
            raise InvalidField("name", f"holds {character!r}; {OF_NAMES} would do")
    if unicodedata.category(name[0]).startswith("M"):
        raise InvalidField("name", "begins with an accent that has no letter")
    if len(name.encode()) > LONGEST_NAME_BYTES:
        raise InvalidField("name", f"takes up more than {LONGEST_NAME_BYTES} bytes in UTF-8; choose a shorter one")
    if name.casefold() == PROMPTED:
        raise InvalidField("name", f"{PROMPTED} is what requests are called that bring a recording; choose another")
    return name


def _may_stand(character: str) -> bool:
    category = unicodedata.category(character)
    return character in "-_" or category == "Nd" or category[0] in "LM"  # many scripts write vowels as marks
