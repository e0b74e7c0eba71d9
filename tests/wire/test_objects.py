import tracemalloc

import pytest

from cosystream.errors import InvalidRequest, UploadTooLarge
from cosystream.wire.objects import MOST_MARKS, parse_object

MANY = 300_000
FLOODS = {
    "names": b"{" + b",".join(b'"%x":1' % i for i in range(MANY)) + b"}",
    "arrays": b'{"input":[' + b"[]," * MANY + b"0]}",
    "objects": b'{"input":[' + b"{}," * MANY + b"0]}",
    "numbers": b'{"input":[' + b"0," * MANY + b"0]}",
    "one in the other": b'{"input":[' + (b"[" * 1000 + b"]" * 1000 + b",") * (MANY // 1000) + b"0]}",
}


def parse(json: bytes | str, max_text_chars: int = 100) -> dict[str, object]:
    return parse_object(json, what="body", like='{"text": "…"}', max_text_chars=max_text_chars)


@pytest.mark.parametrize("json", ['{"text": "你好", "seed": 7}', '{"text": "你好", "seed": 7}'.encode()])
def test_an_object_is_read_from_a_string_and_from_bytes(json: str | bytes) -> None:
    assert parse(json) == {"text": "你好", "seed": 7}


@pytest.mark.parametrize("json", ["", "{", '{"a": 1} {}', b"\xff{}", '{"a": "\\ud800"}', "[" * 2000])
def test_what_is_not_json_is_refused(json: str | bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^the body is not JSON: "):
        parse(json)


@pytest.mark.parametrize("json", ["[]", '"text"', "7", "null", '[{"text": "a"}]'])
def test_what_is_no_object_is_told_what_one_looks_like(json: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(json)
    assert str(caught.value) == 'the body is JSON, but no object; send {"text": "…"}'


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
@pytest.mark.parametrize("kind", [str, bytes])
def test_far_more_values_than_a_request_has_are_refused_before_they_are_built(flood: bytes, kind: type) -> None:
    json = flood if kind is bytes else flood.decode()
    tracemalloc.start()
    try:
        with pytest.raises(
            UploadTooLarge, match=r"^the body holds \d+ commas and brackets; 65636 are the most\. Send a"
        ):
            parse(json)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000


@pytest.mark.parametrize("letter", ["a", "+", "\\u4f60"])
def test_a_recording_is_one_value_however_long(letter: str) -> None:
    assert len(parse(f'{{"prompt_wav": "{letter * 1_000_000}"}}')) == 1


def test_a_text_of_the_greatest_length_may_hold_commas_and_brackets_alone() -> None:
    text = ",[{" * 100_000
    assert parse(f'{{"text": "{text}", "seed": 7}}', max_text_chars=len(text)) == {"text": text, "seed": 7}
    with pytest.raises(UploadTooLarge):
        parse(f'{{"text": "{text}", "seed": 7}}', max_text_chars=len(text) - MOST_MARKS - 3)
