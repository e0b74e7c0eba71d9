import base64
import math
import sys
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.audio.formats import FORMATS
from cosystream.errors import CallerError, InvalidField, InvalidRequest, TextTooLong
from cosystream.types import Prompt, SynthesisRequest
from cosystream.wire.fields import ALIASES, EMPTY_FILE, WOULD_DO, Call, Rendering, RequestFields, parse_call

FIELDS = RequestFields.__struct_fields__
ANY_FORMAT = "pcm or wav or mp3 or opus or flac or aac or mulaw or alaw"
NOT_BASE64 = "is not base64, or not all of it; encode the whole file, or upload it in a form"


def parse(fields: Mapping[str, object], *, max_text_chars: int = 4096, typed: bool = True) -> Call:
    return parse_call(fields, max_text_chars=max_text_chars, typed=typed)


def refusal(fields: Mapping[str, object], *, typed: bool = True) -> InvalidField:
    with pytest.raises(InvalidField) as caught:
        parse(fields, typed=typed)
    return caught.value


# What is read


def test_a_text_alone_is_a_request() -> None:
    assert parse({"text": "hello"}) == Call(SynthesisRequest("hello"), Rendering())


def test_every_field_is_read() -> None:
    fields = {
        "text": "你好",
        "speaker": "中文女",
        "instruction": "用四川话",
        "prompt_text": "hello",
        "prompt_wav": base64.b64encode(b"RIFF").decode(),
        "speed": 1.5,
        "seed": 7,
        "format": "wav",
        "sample_rate": 16000,
        "encoding": "base64",
        "normalize": False,
    }
    assert set(fields) == set(FIELDS)
    request = SynthesisRequest("你好", "中文女", "用四川话", Prompt(b"RIFF", "hello"), 1.5, 7, normalize=False)
    assert parse(fields) == Call(request, Rendering("wav", 16000, "base64"))


def test_strings_of_a_form_mean_what_json_says_in_its_types() -> None:
    in_json = {"text": "1", "speed": 2, "seed": -3, "sample_rate": 8000, "normalize": False, "prompt_wav": "AAA="}
    in_form = {"text": "1", "speed": "2", "seed": "-3", "sample_rate": "8000", "normalize": "false"}
    assert parse(in_json) == parse({**in_form, "prompt_wav": b"\0\0"}, typed=False)


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_an_alias_is_as_good_as_the_name(alias: str, name: str) -> None:
    assert parse({"text": "a", alias: "x"}) == parse({"text": "a", name: "x"}) != parse({"text": "a"})


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("name", [*FIELDS[1:], *ALIASES])
@pytest.mark.parametrize("empty", [None, "", b""])
def test_an_optional_field_that_is_null_or_empty_counts_as_left_out(name: str, empty: object, typed: bool) -> None:
    assert parse({"text": "a", name: empty}, typed=typed) == parse({"text": "a"})


@pytest.mark.parametrize("fields", [{"speaker": "x", "voice": None}, {"voice": "x", "speaker": ""}])
def test_of_two_names_an_empty_one_does_not_count(fields: dict[str, object]) -> None:
    assert parse({"text": "a", **fields}).request.speaker == "x"


@pytest.mark.parametrize("character", ["\t", "\n", "\r\n", "\x0b", "\x0c", "\u2028", "\x85", "🎵", "\u200b", "\ufeff"])
def test_white_space_and_invisible_letters_may_stand_in_a_text(character: str) -> None:
    assert parse({"text": f"a{character}b"}).request.text == f"a{character}b"


def test_a_text_of_the_greatest_length_is_read_and_one_longer_is_not() -> None:
    assert parse({"text": "好" * 5}, max_text_chars=5).request.text == "好" * 5
    with pytest.raises(TextTooLong, match=r"^text: has 6 characters; 5 are the most for one request$"):
        parse({"text": "好" * 6, "nonsense": 1}, max_text_chars=5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("speed", 0.5),
        ("speed", 2.0),
        ("speed", 1),
        ("seed", 0),
        ("seed", -(2**63)),
        ("seed", 2**63 - 1),
        ("sample_rate", 8000),
        ("sample_rate", 48000),
    ],
)
def test_limits_may_be_touched(name: str, value: float) -> None:
    assert parse({"text": "a", name: value}) == parse({"text": "a", name: str(value)}, typed=False)


def test_what_the_language_model_reads_first_may_have_its_greatest_length() -> None:
    fields = {"text": "a", "instruction": "好" * 500, "prompt_text": "好" * 1000, "prompt_wav": "AAAA"}
    request = parse(fields).request
    assert (request.instruction, request.prompt) == ("好" * 500, Prompt(b"\0\0\0", "好" * 1000))


@pytest.mark.parametrize("num_bytes", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    "encode",
    [
        lambda file: base64.b64encode(file).decode(),
        lambda file: base64.encodebytes(file).decode(),
        lambda file: base64.encodebytes(file).decode().replace("\n", "\r\n\t "),
        lambda file: base64.urlsafe_b64encode(file).decode(),
        lambda file: base64.b64encode(file).decode().rstrip("="),
        lambda file: "data:audio/wav;base64," + base64.b64encode(file).decode(),
        lambda file: "\nDATA:audio/ogg;codecs=opus;base64," + base64.encodebytes(file).decode(),
    ],
    ids=["plain", "in lines", "indented", "URL-safe", "unpadded", "data URL", "data URL in lines"],
)
def test_base64_is_read_as_tools_write_it(encode: Callable[[bytes], str], num_bytes: int) -> None:
    file = b"\xfb\xff\xbf" * num_bytes  # all of it + and /, or - and _
    file = file[:num_bytes]
    assert parse({"text": "a", "prompt_wav": encode(file)}).request.prompt == Prompt(file)


@pytest.mark.parametrize("name", ["speaker", "voice"])
@pytest.mark.parametrize("typed", [True, False])
def test_a_speakers_accents_are_composed(name: str, typed: bool) -> None:
    assert parse({"text": "a", name: "Zoe\u0308 が".replace("が", "か\u3099")}, typed=typed).request.speaker == "Zoë が"


def test_a_speaker_too_long_to_be_one_is_left_as_it_is() -> None:
    speaker = "a" + "\u0301\u0316" * 1_000_000  # to order these would take minutes
    assert parse({"text": "a", "speaker": speaker}).request.speaker == speaker


# What is refused


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("text", "", "is blank; send something to say"),
        ("text", " \n\u3000\t", "is blank; send something to say"),
        ("text", 5, "is 5; a string would do"),
        ("text", True, "is true; a string would do"),
        ("text", ["a"], "is an array; a string would do"),
        ("text", {"a": 1}, "is an object; a string would do"),
        ("text", b"a", "is a file; a string would do"),
        ("text", "a\0b", "holds the control character U+0000 at 1; take it out"),
        ("text", "a\x1b[0m", "holds the control character U+001B at 1; take it out"),
        ("text", "\x7f", "holds the control character U+007F at 0; take it out"),
        ("speaker", 5, "is 5; a string would do"),
        ("voice", 5, "is 5; a string would do"),
        ("instruct", [], "is an array; a string of at most 500 characters would do"),
        ("instruct", "好" * 501, "is 501 characters long; a string of at most 500 characters would do"),
        ("prompt_text", 1.5, "is 1.5; a string of at most 1000 characters would do"),
        ("prompt_text", "a" * 4000, "is 4000 characters long; a string of at most 1000 characters would do"),
        ("prompt_text", "hello", "is the transcript of prompt_wav, which is missing"),
        ("prompt_wav", 5, "is 5; an audio file, uploaded in a form or in base64 in JSON, would do"),
        ("prompt_wav", "%%%", NOT_BASE64),
        ("prompt_wav", "é", NOT_BASE64),
        ("prompt_wav", "AAAA=AAA", NOT_BASE64),
        ("prompt_wav", "AAAAA", NOT_BASE64),
        ("prompt_wav", "data:audio/wav,RIFF", NOT_BASE64),
        ("prompt_wav", "http://localhost/a.wav", NOT_BASE64),
        ("prompt_wav", "\n", EMPTY_FILE),
        ("prompt_wav", "data:audio/wav;base64,", EMPTY_FILE),
        ("speed", "1", "is '1'; a number from 0.5 to 2.0 would do"),
        ("speed", 0.49, "is 0.49; a number from 0.5 to 2.0 would do"),
        ("speed", 2.01, "is 2.01; a number from 0.5 to 2.0 would do"),
        ("speed", False, "is false; a number from 0.5 to 2.0 would do"),
        ("speed", math.nan, "is nan; a number from 0.5 to 2.0 would do"),
        ("speed", math.inf, "is inf; a number from 0.5 to 2.0 would do"),
        ("seed", 1.5, "is 1.5; a whole number of at most 64 bits would do"),
        ("seed", 2**63, "is 9223372036854775808; a whole number of at most 64 bits would do"),
        ("seed", -(2**63) - 1, "is -9223372036854775809; a whole number of at most 64 bits would do"),
        ("format", "ogg", f"is 'ogg'; {ANY_FORMAT} would do"),
        ("format", 7, f"is 7; {ANY_FORMAT} would do"),
        (
            "format",
            "Object contains unknown field `seed`",
            f"is 'Object contains unknown field `seed`'; {ANY_FORMAT} would do",
        ),
        ("format", "x - at `$.seed`", f"is 'x - at `$.seed`'; {ANY_FORMAT} would do"),
        ("sample_rate", 7999, "is 7999; a whole number from 8000 to 48000 would do"),
        ("sample_rate", 48001, "is 48001; a whole number from 8000 to 48000 would do"),
        ("encoding", "utf-8", "is 'utf-8'; hex or base64 would do"),
        ("normalize", "yes", "is 'yes'; true or false would do"),
        ("normalize", 1, "is 1; true or false would do"),
    ],
)
def test_a_refusal_names_the_field_as_it_was_written_and_what_would_do(name: str, value: object, problem: str) -> None:
    error = refusal({"text": "a", name: value})
    assert (error.field, str(error)) == (name, f"{name}: {problem}")


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("speed", "fast", "is 'fast'; a number from 0.5 to 2.0 would do"),
        ("speed", "nan", "is 'nan'; a number from 0.5 to 2.0 would do"),
        ("speed", "1,5", "is '1,5'; a number from 0.5 to 2.0 would do"),
        ("seed", "0x10", "is '0x10'; a whole number of at most 64 bits would do"),
        ("seed", "9" * 30, f"is '{'9' * 30}'; a whole number of at most 64 bits would do"),
        ("sample_rate", "16k", "is '16k'; a whole number from 8000 to 48000 would do"),
        ("normalize", "on", "is 'on'; true or false would do"),
    ],
)
def test_a_string_that_means_no_number_is_refused(name: str, value: str, problem: str) -> None:
    assert str(refusal({"text": "a", name: value}, typed=False)) == f"{name}: {problem}"


@pytest.mark.parametrize("fields", [{}, {"text": None}, {"speaker": "x"}])
def test_a_text_must_be_there(fields: dict[str, object]) -> None:
    error = refusal(fields)
    assert (error.field, str(error)) == ("text", "text: is missing")


@pytest.mark.parametrize("name", ["txet", "TEXT", " text", "", "`x`", "a\nb", "tts_text", "__class__"])
@pytest.mark.parametrize("value", [1, None, ""])
def test_an_unknown_field_is_refused_by_name(name: str, value: object) -> None:
    error = refusal({"text": "a", name: value})
    assert error.field == name
    assert str(error) == (
        f"{name}: there is no such field; there are text, speaker, instruction, prompt_text, prompt_wav, speed, seed, "
        "format, sample_rate, encoding, normalize, voice, instruct, instructions"
    )


def test_a_long_value_or_name_is_not_repeated_at_length() -> None:
    assert len(str(refusal({"text": "a", "format": "x" * 10_000}))) < 150
    assert len(str(refusal({"text": "a", "x" * 10_000: 1}))) < 300
    deep: list[object] = []
    for _ in range(2 * sys.getrecursionlimit()):
        deep = [deep]
    assert str(refusal({"text": deep})) == "text: is an array; a string would do"


@pytest.mark.parametrize("empty", [None, "", b""])
def test_of_two_names_the_one_whose_value_counts_is_to_blame(empty: object) -> None:
    error = refusal({"text": "a", "speaker": 5, "voice": empty})
    assert (error.field, str(error)) == ("speaker", "speaker: is 5; a string would do")


def test_half_a_character_is_told_of_the_name_that_the_caller_knows() -> None:
    with pytest.raises(InvalidRequest, match=r"^instruct: holds half a character"):
        parse({"text": "a", "instruct": "\ud800", "instruction": None})


@pytest.mark.parametrize(
    ("first", "second"), [("speaker", "voice"), ("voice", "speaker"), ("instruct", "instructions")]
)
def test_two_names_of_one_field_are_not_both_taken(first: str, second: str) -> None:
    error = refusal({"text": "a", first: "x", second: "x"})
    assert str(error) == f"{second}: is one of {first} and {second}, which say the same; send one of them"


@pytest.mark.parametrize(
    "fields", [{"text": "a\ud800"}, {"text": "a", "speaker": "\udcff"}, {"text": "a", "\ud800": 1}]
)
def test_half_a_character_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest, match="half a character") as caught:
        parse(fields)
    assert caught.value.field == next((name for name, value in fields.items() if value not in ("a", 1)), None)


def test_there_are_words_for_every_field() -> None:
    assert tuple(WOULD_DO) == FIELDS


# Whatever comes

strings = st.text(st.characters(), max_size=8) | st.sampled_from(
    ["nan", "1", "wav", "hex", "true", "null", "AAAA", "1e3"]
)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | strings | st.binary(max_size=4)
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(strings, inner), max_leaves=4)
names = st.sampled_from([*FIELDS, *ALIASES]) | strings


@given(st.dictionaries(names, values, max_size=6), st.booleans(), st.integers(1, 10), st.booleans())
def test_whatever_comes_is_a_call_within_limits_or_the_callers_fault(
    fields: dict[str, object], with_text: bool, max_text_chars: int, typed: bool
) -> None:
    if with_text:
        fields["text"] = "hello"
    try:
        call = parse(fields, max_text_chars=max_text_chars, typed=typed)
    except CallerError as error:
        str(error).encode()  # it can be sent
        return
    request, rendering = call.request, call.rendering
    assert 1 <= len(request.text) <= max_text_chars
    assert request.text.strip()
    for string in (request.text, request.speaker, request.instruction, request.prompt and request.prompt.text):
        assert string is None or (string and string.encode())
    assert 0.5 <= request.speed <= 2.0
    assert request.seed is None or -(2**63) <= request.seed < 2**63
    assert isinstance(request.normalize, bool)
    assert request.prompt is None or request.prompt.audio
    assert rendering.format in (None, *FORMATS)
    assert rendering.sample_rate is None or 8000 <= rendering.sample_rate <= 48000
    assert rendering.encoding in ("hex", "base64")


@given(st.binary())
def test_audio_written_as_a_string_can_be_read_back(audio: bytes) -> None:
    assert bytes.fromhex(Rendering(encoding="hex").encode(audio)) == audio
    assert base64.b64decode(Rendering(encoding="base64").encode(audio), validate=True) == audio
