"""Whom OpenAI's voice names are."""

import pytest

from cosystream.config import OPENAI_NAMES
from cosystream.types import Voice
from cosystream.wire.openai_voices import FEMALE, offered_voices, speaker_for

WOMEN = tuple(Voice(name, ("en",), "female") for name in ("anna", "berta"))
MEN = tuple(Voice(name, ("de",), "male") for name in ("carl", "dirk", "emil"))
UNKNOWN = (Voice("someone", ("zh",), "unknown"),)


def speakers(*voices: Voice, **configured: str) -> dict[str, str | None]:
    return {name: speaker_for(name, voices, configured) for name in OPENAI_NAMES}


def test_a_name_that_is_not_openais_stays_as_it_is() -> None:
    assert [speaker_for(name, MEN, {}) for name in ("中文女", "Alloy", "", None)] == ["中文女", "Alloy", "", None]


def test_each_name_is_a_voice_of_its_gender_and_voices_are_used_evenly() -> None:
    chosen = speakers(*WOMEN, *MEN)
    assert {chosen[name] for name in FEMALE} == {"anna", "berta"}
    assert {chosen[name] for name in set(OPENAI_NAMES) - FEMALE} == {"carl", "dirk", "emil"}
    assert (chosen["alloy"], chosen["coral"], chosen["ash"], chosen["ballad"]) == ("anna", "berta", "carl", "dirk")


def test_there_are_thirteen_names_and_women_among_them() -> None:
    assert len(OPENAI_NAMES) == len(set(OPENAI_NAMES)) == 13
    assert set(OPENAI_NAMES) > FEMALE


@pytest.mark.parametrize(
    ("voices", "instead"), [((*MEN, *UNKNOWN), "someone"), (MEN, "carl"), (UNKNOWN, "someone"), ((), None)]
)
def test_without_a_voice_of_the_gender_whoever_comes_closest_speaks(
    voices: tuple[Voice, ...], instead: str | None
) -> None:
    assert speaker_for("alloy", voices, {}) == instead


def test_voices_that_callers_add_change_nothing_unless_there_are_no_others() -> None:
    added = (Voice("fay", ("en",), "female", "cloned"), Voice("greg", ("en",), "male", "cloned"))
    assert speakers(*added, *WOMEN, *MEN) == speakers(*WOMEN, *MEN)
    assert speaker_for("alloy", (*added, *MEN), {}) == "carl"
    assert speaker_for("alloy", added, {}) == "fay"
    assert speaker_for("fay", (*added, *MEN), {}) == "fay"


def test_an_engines_own_voice_of_the_name_comes_first_and_the_settings_before_it() -> None:
    own = Voice("alloy", ("en",), "male")
    assert speaker_for("alloy", (*WOMEN, own), {}) == "alloy"
    assert speaker_for("alloy", (*WOMEN, own), {"alloy": "berta", "echo": "anna"}) == "berta"
    assert speakers(*WOMEN, *MEN, echo="anna")["echo"] == "anna"


def test_whoever_can_be_asked_for_is_offered() -> None:
    offered = {voice.id: voice for voice in offered_voices((*WOMEN, *MEN), {"echo": "anna", "onyx": "nobody"}).voices}
    assert list(offered)[:5] == ["anna", "berta", "carl", "dirk", "emil"]
    assert set(offered) == {"anna", "berta", "carl", "dirk", "emil", *OPENAI_NAMES} - {"onyx"}
    assert all(voice.name == name for name, voice in offered.items())
    assert (offered["echo"].speaker, offered["echo"].gender, offered["echo"].languages) == ("anna", "female", ("en",))
    assert offered["carl"].speaker == "carl"
    assert offered_voices((), {}).voices == []
