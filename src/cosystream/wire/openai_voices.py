"""Whom OpenAI's voice names are, where other speakers speak."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cosystream.config import OPENAI_NAMES
from cosystream.types import Voice

FEMALE = frozenset({"alloy", "coral", "nova", "sage", "shimmer", "marin"})
"""Those of OPENAI_NAMES whom people expect to be women."""


def speaker_for(name: str | None, voices: Sequence[Voice], configured: Mapping[str, str]) -> str | None:
    """Who speaks for ``name``: for one of OpenAI's whom the settings say, or a voice of that name, or of its gender.

    One name is always the same voice of an engine, whatever voices callers add or remove, and different names are
    different ones as far as there are enough. Other names stay as they are; None leaves the choice to the engine.
    """
    if name not in OPENAI_NAMES:
        return name
    if name in configured:
        return configured[name]
    if any(voice.name == name for voice in voices):
        return name
    gender = _gender(name)
    lasting = [voice for voice in voices if voice.kind != "cloned"] or voices
    alike = [voice.name for voice in lasting if voice.gender == gender]
    unsure = [voice.name for voice in lasting if voice.gender == "unknown"]
    pool = alike or unsure or [voice.name for voice in lasting]
    place = [other for other in OPENAI_NAMES if _gender(other) == gender].index(name)
    return pool[place % len(pool)] if pool else None


def _gender(name: str) -> str:
    return "female" if name in FEMALE else "male"


@dataclass(frozen=True, slots=True)
class OpenAIVoice:
    """A name that ``voice`` may be, and who speaks then."""

    id: str
    name: str
    """The same; some clients show it."""
    speaker: str
    languages: tuple[str, ...]
    gender: str


@dataclass(frozen=True, slots=True)
class OpenAIVoices:
    voices: list[OpenAIVoice]


def offered_voices(voices: Sequence[Voice], configured: Mapping[str, str]) -> OpenAIVoices:
    """The engine's own, and then those of OpenAI's names for whom somebody speaks."""
    by_name = {voice.name: voice for voice in voices}
    names = dict.fromkeys([*by_name, *OPENAI_NAMES])
    speakers = {name: by_name.get(speaker_for(name, voices, configured) or "") for name in names}
    return OpenAIVoices(
        [
            OpenAIVoice(name, name, speaker.name, speaker.languages, speaker.gender)
            for name, speaker in speakers.items()
            if speaker is not None
        ]
    )
