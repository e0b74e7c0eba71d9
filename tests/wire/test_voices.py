"""What may be sent to have a voice learnt, above all as its name."""

import base64
import unicodedata
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.errors import CallerError, InvalidField
from cosystream.types import Prompt, Voice
from cosystream.wire.voices import LONGEST_NAME, NewVoice, VoiceEntry, composed, parse_voice

FILE = b"RIFF"
FORM = {"name": "ann", "prompt_wav": FILE, "prompt_text": "hello there"}


def parse(**fields: object) -> NewVoice:
    return parse_voice(FORM | fields, typed=False)


def refusal(fields: Mapping[str, object], *, typed: bool = False) -> InvalidField:
    with pytest.raises(InvalidField) as caught:
        parse_voice(fields, typed=typed)
    return caught.value


def test_a_form_and_json_say_the_same() -> None:
    in_json = FORM | {"prompt_wav": base64.b64encode(FILE).decode()}
    assert parse_voice(in_json, typed=True) == parse() == NewVoice("ann", Prompt(FILE, "hello there"))


@pytest.mark.parametrize("words", [None, ""])
def test_the_words_may_be_left_out(words: object) -> None:
    assert parse(prompt_text=words).prompt == Prompt(FILE)
    assert parse_voice({"name": "ann", "prompt_wav": FILE}, typed=False).prompt == Prompt(FILE)


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "7",
        "-",
        "_",
        "中文女-2",
        "Zoë",
        "हिन्दी",
        "ภาษาไทย",
        "عربي",
        "ひらがな",
        "עברית_1",
        "CON",
        "x" * LONGEST_NAME,
        "女" * LONGEST_NAME,
    ],
)
def test_names_of_any_script_will_do(name: str) -> None:
    assert parse(name=name).name == name


@pytest.mark.parametrize("script", ["zoë", "각", "が"])
def test_a_name_is_composed_however_it_was_typed(script: str) -> None:
    assert parse(name=unicodedata.normalize("NFD", script)).name == script
    assert composed(unicodedata.normalize("NFD", script)) == script


@pytest.mark.parametrize(
    "name",
    [
        ".",
        "..",
        "../ann",
        "..\\ann",
        "/etc/passwd",
        "a/b",
        "a\\b",
        "C:ann",
        "ann.wav",
        ".hidden",
        "ann ",
        " ann",
        "a b",
        "ann\0",
        "ann\n",
        "ann\r\nSet-Cookie: a=b",
        "~",
        "$(touch x)",
        "a*",
        "a%2fb",
        "ann\u200b",
        "\u202eann",
        "ann\ud800",
        "\u0301ann",
        "½",
        "😀",
        "a,b",
        "'",
        '"',
        "<b>",
        "x" * (LONGEST_NAME + 1),
        "x" * 100_000,
        "e\u0301" * 50_000,
        "𠀀" * LONGEST_NAME,
        "prompt_wav",
        "Prompt_WAV",
        "",
        None,
        7,
        ["ann"],
    ],
)
def test_what_is_a_path_or_no_name_is_refused_by_field(name: object) -> None:
    problem = refusal(FORM | {"name": name})
    assert problem.field == "name"
    assert len(str(problem)) < 200


@given(st.text(max_size=80))
def test_a_name_that_is_taken_is_safe_as_the_name_of_a_file(name: str) -> None:
    try:
        taken = parse(name=name).name
    except CallerError:
        return
    assert 1 <= len(taken) <= LONGEST_NAME
    assert len(f"{taken}.wav".encode()) <= 255
    assert not set(taken) & set("/\\.:\0 ")
    assert parse(name=taken).name == taken


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": "ann"}, "prompt_wav"),
        (FORM | {"prompt_wav": b""}, "prompt_wav"),
        (FORM | {"prompt_wav": ""}, "prompt_wav"),
        (FORM | {"prompt_wav": None}, "prompt_wav"),
        (FORM | {"prompt_text": "x" * 1001}, "prompt_text"),
        (FORM | {"language": "en"}, "language"),
        (FORM | {"text": "hello"}, "text"),
        (FORM | {"speaker": "ann"}, "speaker"),
        (FORM | {"\ud800": "ann"}, "?"),
    ],
)
def test_the_field_that_will_not_do_is_named(fields: Mapping[str, object], field: str) -> None:
    assert refusal(fields).field == field


@pytest.mark.parametrize("value", [7, True, ["UklGRg=="], {"a": 1}, "not base64!"])
def test_what_is_no_file_in_json_is_refused(value: object) -> None:
    assert refusal(FORM | {"prompt_wav": value}, typed=True).field == "prompt_wav"


def test_half_a_character_in_the_words_is_refused() -> None:
    with pytest.raises(CallerError, match="prompt_text: holds half a character"):
        parse(prompt_text="\ud800")


def test_a_name_that_is_asked_for_may_be_anything() -> None:
    assert composed("../../etc/passwd") == "../../etc/passwd"
    assert len(composed("e\u0301" * 50_000)) == 100_000  # nobody waits for it


def test_a_voice_is_told_with_its_rate() -> None:
    entry = VoiceEntry("ann", ["en", "zh"], "female", "cloned", 24_000)
    assert VoiceEntry.of(Voice("ann", ("en", "zh"), "female", "cloned"), 24_000) == entry
