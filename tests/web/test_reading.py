"""Bodies and queries as they come: what is read, what is refused, and that the next request is served."""

import base64
import contextlib
import tracemalloc
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp

from cosystream.config import Settings
from cosystream.types import Prompt
from cosystream.web.app import create_app
from tests.support.asgi import Answer, ask
from tests.support.engines import ScriptedEngine, chunk

STREAM = "/synthesize/stream"
JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}
UPLOAD = b'form-data; name="prompt_wav"; filename="a"'
MEGABYTE = 1_000_000


def part(value: bytes, disposition: bytes = b'form-data; name="text"') -> bytes:
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + value + b"\r\n"


def pieces(num_bytes: int, head: bytes = b"") -> Iterator[bytes]:
    """A large body, made while it is sent."""
    yield head
    for _ in range(num_bytes // 65_536 + 1):
        yield b"x" * 65_536


async def assert_served(app: ASGIApp) -> None:
    assert (await ask(app, "POST", STREAM, json={"text": "hello"})).status == 200


async def refused(status: int, engine: ScriptedEngine | None = None, **fields: Any) -> Answer:
    """The answer to a request that reaches no engine, on a server that goes on."""
    engine = engine or ScriptedEngine(chunk())
    app = create_app(engine, Settings())
    answer = await ask(app, "POST", fields.pop("target", STREAM), **fields)
    assert answer.status == status
    assert engine.requests == []
    await assert_served(app)
    return answer


async def message(status: int, **fields: Any) -> str:
    said = (await refused(status, **fields)).json["error"]["message"]
    assert isinstance(said, str)
    return said


async def read(**fields: Any) -> ScriptedEngine:
    engine = ScriptedEngine(chunk())
    answer = await ask(create_app(engine, Settings()), "POST", STREAM, **fields)
    assert answer.status == 200, answer.body
    return engine


# What is read


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "text/plain", ""])
async def test_json_is_read_even_from_careless_clients(kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    engine = await read(content='{"text": "你好"}'.encode(), headers=headers)
    assert engine.requests[0].text == "你好"


async def test_fields_are_read_alike_from_json_forms_and_queries() -> None:
    fields = {"text": "a b+c&d=é 你好 100%", "voice": "中文女", "speed": "1.5", "seed": "7", "normalize": "false"}
    engine = ScriptedEngine(chunk())
    app = create_app(engine, Settings())
    await ask(app, "POST", STREAM, json={**fields, "speed": 1.5, "seed": 7, "normalize": False})
    await ask(app, "POST", STREAM, data=fields)
    await ask(app, "POST", STREAM, files={name: (None, value) for name, value in fields.items()})
    await ask(app, "GET", STREAM, params=fields)
    first, *others = engine.requests
    assert others == [first] * 3
    assert (first.text, first.speaker, first.speed, first.seed, first.normalize) == (
        fields["text"],
        "中文女",
        1.5,
        7,
        False,
    )


async def test_an_uploaded_recording_is_read_as_it_is() -> None:
    recording = bytes(range(256)) * 8_000  # more than is kept in memory
    engine = await read(data={"text": "a"}, files={"prompt_wav": ("../../etc/passwd", recording, "text/html")})
    assert engine.requests[0].prompt == Prompt(recording)


@pytest.mark.parametrize(
    "fields",
    [
        {"data": {"text": "a", "prompt_wav": "", "prompt_text": "", "instruct": "", "speed": "", "format": ""}},
        {"json": {"text": "a", "prompt_wav": None, "prompt_text": "", "seed": None, "encoding": None}},
    ],
)
async def test_what_is_empty_counts_as_left_out(fields: dict[str, Any]) -> None:
    (request,) = (await read(**fields)).requests
    assert (request.prompt, request.instruction, request.speed, request.seed) == (None, None, 1.0, None)


async def test_a_file_that_nobody_chose_counts_as_left_out() -> None:
    no_file = part(b"", b'form-data; name="prompt_wav"; filename=""')  # as browsers send it
    engine = await read(content=part(b"hello") + no_file + b"--b--", headers=MULTIPART)
    assert (engine.requests[0].text, engine.requests[0].prompt) == ("hello", None)


async def test_a_body_in_pieces_is_read_like_one_in_one() -> None:
    engine = ScriptedEngine(chunk())
    body = [bytes([byte]) for byte in b'{"text": "hello"}']
    assert (await ask(create_app(engine, Settings()), "POST", STREAM, body=[b"", *body, b""])).status == 200
    assert engine.requests[0].text == "hello"


@pytest.mark.parametrize("kind", ["json", "data"])
async def test_a_speaker_is_found_however_its_accents_are_written(kind: str) -> None:
    engine = await read(**{kind: {"text": "a", "speaker": "Zoe\u0308"}})
    assert engine.requests[0].speaker == "Zoë"


async def test_a_speaker_that_is_a_path_is_a_name_like_any_other(tone: ASGIApp) -> None:
    for speaker in ("../../etc/passwd", "a\0b", "x" * 10_000, "'\n\""):
        answer = await ask(tone, "POST", STREAM, json={"text": "hello", "speaker": speaker})
        assert answer.status == 404
        assert (answer.json["error"]["type"], answer.json["error"]["field"]) == ("unknown_voice", "speaker")
        assert answer.json["error"]["message"].endswith("; there are 中文女, 中文男, 英文女, 英文男")
        assert len(answer.body) < 500
    await assert_served(tone)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"instruction": "whisper"}, "instruction: the engine 'tone' follows none"),
        ({"prompt_wav": "AAAA"}, "prompt_wav: the engine 'tone' cannot imitate a recording"),
        ({"text": "?!"}, "text: there is nothing to say in it"),
    ],
)
async def test_what_this_engine_cannot_do_is_said_before_the_first_byte(
    tone: ASGIApp, fields: dict[str, str], problem: str
) -> None:
    answer = await ask(tone, "POST", STREAM, json={"text": "hello"} | fields)
    assert answer.status == 400
    assert answer.json["error"]["message"].startswith(problem)
    assert answer.json["error"]["field"] == problem.partition(":")[0]


# What is refused


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"hello",
        b'{"text": NaN}',
        b'{"text": "a"} {}',
        b"\xff\xfe{",
        b'{"text": "\xff"}',
        b'{"text": "\\ud800"}',
        b"[" * 2000,
        b'{"text":' * 2000,
    ],
    ids=lambda body: repr(body[:12]),
)
async def test_what_is_not_json_is_refused(body: bytes) -> None:
    assert (await message(400, content=body, headers=JSON)).startswith("the body is not JSON: ")


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"7", b"null", b'[{"text": "a"}]'])
async def test_json_that_is_no_object_is_refused(body: bytes) -> None:
    assert await message(400, content=body, headers=JSON) == 'the body is JSON, but no object; send {"text": "…"}'


async def test_a_value_nested_deeply_is_refused() -> None:
    body = b'{"text": ' + b"[" * 900 + b"]" * 900 + b"}"
    assert await message(422, content=body, headers=JSON) == "text: is an array; a string would do"


@pytest.mark.parametrize("kind", ["application/xml", "audio/wav", "application/octet-stream", "x" * 10_000, "json"])
async def test_a_body_of_another_kind_is_refused(kind: str) -> None:
    said = await message(400, content=b'{"text": "a"}', headers={"content-type": kind})
    assert said == (
        f"content-type: {kind[:100]} is not read here; application/json, application/x-www-form-urlencoded and "
        "multipart/form-data are"
    )


@pytest.mark.parametrize("body", [b'{"text": "a"}', b' {"text": "a=b&c=d"}', b"%7B%22text%22%3A%22a%22%7D"])
async def test_json_sent_as_a_form_is_told_what_would_do(body: bytes) -> None:
    said = await message(400, content=body, headers=FORM)
    assert said == "the form looks like JSON; send it with content-type: application/json"


@pytest.mark.parametrize("headers", [JSON, FORM])
async def test_a_field_in_the_query_beside_a_body_is_refused_and_not_ignored(headers: dict[str, str]) -> None:
    said = await message(422, target=f"{STREAM}?format=wav", headers=headers, body=b"text=hello")
    assert said == "format: stands in the query; send it in the body, with the text"


@pytest.mark.parametrize("name", ["text", "speaker", "nonsense"])
async def test_a_field_given_twice_is_refused(name: str) -> None:
    fields = [("text", "a"), (name, "a"), (name, "b")]
    body = "&".join(f"{key}={value}" for key, value in fields).encode()
    for answer in (
        await refused(422, content=body, headers=FORM),
        await refused(422, files=[(key, (None, value)) for key, value in fields]),
        await ask(create_app(ScriptedEngine(), Settings()), "GET", f"{STREAM}?{body.decode()}"),
    ):
        assert answer.json["error"] == {"type": "invalid_request", "message": f"{name}: is given twice", "field": name}


@pytest.mark.parametrize(
    "fields",
    [
        {"data": {"text": "a", "prompt_wav": base64.b64encode(b"RIFF").decode()}},
        {"files": {"text": (None, "a"), "prompt_wav": (None, "RIFF")}},
    ],
)
async def test_a_recording_that_is_no_upload_is_refused(fields: dict[str, Any]) -> None:
    assert await message(422, **fields) == "prompt_wav: is not an upload; send the file in a multipart form"


@pytest.mark.parametrize("others", [{}, {"prompt_text": "hello"}])
async def test_a_recording_that_is_empty_is_refused(others: dict[str, str]) -> None:
    answer = await refused(422, data={"text": "a", **others}, files={"prompt_wav": ("empty.wav", b"", "audio/wav")})
    assert answer.json["error"]["field"] == "prompt_wav"
    assert answer.json["error"]["message"].startswith("prompt_wav: the file is empty; send a recording")


async def test_a_recording_that_is_not_base64_is_refused_without_repeating_it() -> None:
    said = await message(422, json={"text": "a", "prompt_wav": "%" * 1000})
    assert said == "prompt_wav: is not base64, or not all of it; encode the whole file, or upload it in a form"


@pytest.mark.parametrize(("name", "most"), [("instruction", 500), ("instruct", 500), ("prompt_text", 1000)])
@pytest.mark.parametrize("kind", ["json", "data"])
async def test_what_the_language_model_reads_first_has_a_limit(name: str, most: int, kind: str) -> None:
    fields: dict[str, Any] = {kind: {"text": "a", name: "好" * 4000}}
    answer = await refused(422, **fields)
    said = f"{name}: is 4000 characters long; a string of at most {most} characters would do"
    assert answer.json["error"] == {"type": "invalid_request", "message": said, "field": name}


async def test_a_text_that_is_an_upload_is_refused() -> None:
    assert await message(422, files={"text": ("a.txt", b"hello")}) == "text: is a file; a string would do"


@pytest.mark.parametrize(
    "body", ["text=你好&speaker=中文女".encode(), b"text=%E4%BD%A0%E5%A5%BD&speaker=%E4%B8%AD%E6%96%87%E5%A5%B3"]
)
async def test_a_form_may_leave_letters_as_they_are(body: bytes) -> None:
    """As ``curl -d text=你好`` does."""
    engine = await read(content=body, headers={"content-type": "application/x-www-form-urlencoded"})
    assert (engine.requests[0].text, engine.requests[0].speaker) == ("你好", "中文女")


@pytest.mark.parametrize("body", [b"text=\xff", "text=é".encode("latin-1"), b"text=%FF"])
async def test_a_form_that_is_not_utf_8_is_refused(body: bytes) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await refused(400, content=body, headers=headers)
    assert answer.json["error"]["message"] == "the form is not in UTF-8; send it so"


async def test_a_form_of_too_many_fields_is_refused() -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = await refused(400, content=b"&".join(b"a%d=1" % i for i in range(33)), headers=headers)
    assert answer.json["error"]["message"] == "the form has more than 32 fields"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "text: is missing"),
        (b"&&&===&%&%zz&", "there is no such field"),
        (b"hello", "hello: there is no such field"),
        (b"text=", "text: is blank"),
        (b"text=+%0A", "text: is blank"),
        (b"text=a%00b", "text: holds the control character U+0000 at 1"),
        (b"text=a&a[]=1", "a[]: there is no such field"),
    ],
)
async def test_a_form_without_sense_is_refused(body: bytes, said: str) -> None:
    assert said in await message(422, content=body, headers=FORM)


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"", MULTIPART),
        (b"hello", MULTIPART),
        (part(b"a") + b"--b--", {"content-type": "multipart/form-data"}),
        (part(b"a") + b"--b--", {"content-type": "multipart/form-data; boundary="}),
        (part(b"a") + b"--b--", {"content-type": "multipart/form-data; boundary=" + "b" * 5000}),
        (part(b"a", b"form-data") + b"--b--", MULTIPART),
        (part(b"a", b"") + b"--b--", MULTIPART),
        (b"--b\r\n\r\n\r\n--b--", MULTIPART),
        (part(b"a") * 40 + b"--b--", MULTIPART),
        (part(b"a", UPLOAD) * 2 + b"--b--", MULTIPART),
    ],
)
async def test_a_multipart_form_without_sense_is_refused(body: bytes, headers: dict[str, str]) -> None:
    answer = await refused(400 if body else 422, content=body, headers=headers)
    assert answer.json["error"]["type"] == "invalid_request"


@pytest.mark.parametrize(
    "charset", ["undefined", "punycode", "idna", "utf-7", "unicode_escape", "hex", "nonsense", "utf-16"]
)
@pytest.mark.parametrize("value", [b"a", b"\xff", b"+2AA-", b"\\ud800", b"xn--\xff"])
async def test_a_multipart_form_in_a_strange_charset_is_read_or_refused(charset: str, value: bytes) -> None:
    app = create_app(ScriptedEngine(chunk()), Settings())
    headers = {"content-type": f"multipart/form-data; boundary=b; charset={charset}"}
    answer = await ask(app, "POST", STREAM, content=part(value) + b"--b--", headers=headers)
    assert answer.status in (200, 400, 422)
    await assert_served(app)


@pytest.mark.parametrize("text", ["你好abc".encode("gbk"), "é".encode("latin-1"), b"\xed\xa0\x80"])
async def test_what_is_not_utf_8_is_refused_however_it_comes(text: bytes) -> None:
    app = create_app(ScriptedEngine(chunk()), Settings())
    for name in ("text", "speaker"):
        disposition = f'form-data; name="{name}"'.encode()
        said = await message(400, content=part(text, disposition) + b"--b--", headers=MULTIPART)
        assert said == "the form is not in UTF-8; send it so"
        answer = await ask(app, "GET", f"{STREAM}?{name}={quote(text)}")
        assert (answer.status, answer.json["error"]["message"]) == (400, "the query is not in UTF-8; send it so")


@pytest.mark.parametrize("name", [b"\xff", "text/é".encode("latin-1")])
async def test_a_name_that_is_not_utf_8_is_refused(name: bytes) -> None:
    body = part(b"hello") + part(b"a", b'form-data; name="' + name + b'"') + b"--b--"
    assert await message(400, content=body, headers=MULTIPART) == "the form is not in UTF-8; send it so"


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", '; charset="UTF-8"', "; charset=gbk"])
async def test_a_multipart_form_is_read_as_utf_8_whatever_it_claims(charset: str) -> None:
    kind = f"multipart/form-data{charset}; boundary=b"
    speaker = part("Zoë".encode(), b'form-data; name="speaker"')
    engine = await read(content=part("你好 é".encode()) + speaker + b"--b--", headers={"content-type": kind})
    assert (engine.requests[0].text, engine.requests[0].speaker) == ("你好 é", "Zoë")


async def test_a_query_of_too_many_fields_is_refused() -> None:
    query = "&".join(f"a{place}=1" for place in range(33))
    for method in ("GET", "POST"):
        answer = await ask(create_app(ScriptedEngine(), Settings()), method, f"{STREAM}?{query}")
        assert answer.status == 400
        assert answer.json["error"]["message"] == "the query has more than 32 fields"


# What is too long


@pytest.mark.parametrize("target", [STREAM, "/synthesize", "/v1/voices", "/v1/audio/speech", "/inference_sft"])
@pytest.mark.parametrize(
    "body", [b"{" + b",".join(b'"%x":1' % i for i in range(100_000)) + b"}", b'{"text":[' + b"[]," * 100_000 + b"0]}"]
)
async def test_json_of_far_too_many_values_is_refused(target: str, body: bytes) -> None:
    answer = await refused(413, target=target, content=body, headers=JSON)
    assert b" commas and brackets; 69632 are the most. Send a recording in base64" in answer.body


@pytest.mark.parametrize("fields", [{"json": {"text": "好" * 200_000}}, {"files": {"text": (None, "好" * 200_000)}}])
async def test_a_long_text_is_refused_with_its_length_and_the_limit(fields: dict[str, Any]) -> None:
    answer = await refused(413, **fields)
    assert (answer.json["error"]["type"], answer.json["error"]["field"]) == ("text_too_long", "text")
    assert answer.json["error"]["message"] == "text: has 200000 characters; 4096 are the most for one request"


async def test_a_long_form_is_refused_unread() -> None:
    answer = await refused(413, data={"text": "好" * 200_000})
    assert answer.json["error"]["type"] == "text_too_long"
    assert answer.json["error"]["message"] == "the form has 1800005 bytes; text may have 4096 characters"


async def test_the_longest_text_fits_into_a_form_whatever_its_letters() -> None:
    engine = await read(data={"text": "🎵" * 4096})
    assert engine.requests[0].text == "🎵" * 4096


async def test_a_long_query_is_refused() -> None:
    answer = await ask(create_app(ScriptedEngine(), Settings()), "GET", f"{STREAM}?text={'a' * 4097}")
    assert (answer.status, answer.json["error"]["type"]) == (413, "text_too_long")


@pytest.mark.parametrize("target", [STREAM, "/synthesize", "/synthesize_complete"])
@pytest.mark.parametrize("with_length", [True, False])
@pytest.mark.parametrize(
    ("headers", "head"),
    [(JSON, b""), (FORM, b"text="), (MULTIPART, part(b"", b'form-data; name="prompt_wav"; filename="a"'))],
)
async def test_thirty_megabytes_are_refused_with_the_limit(
    target: str, with_length: bool, headers: dict[str, str], head: bytes
) -> None:
    if with_length:
        headers = headers | {"content-length": str(30 * MEGABYTE)}
    answer = await refused(413, target=target, headers=headers, body=pieces(30 * MEGABYTE, head))
    said = "the body is too large; 16777216 bytes are the most"
    problem = {"type": "upload_too_large", "message": said, "field": None}
    assert answer.json == ({"error": problem} if target == STREAM else {"detail": said})


@pytest.mark.parametrize(("method", "target"), [("GET", f"{STREAM}?text=hello"), ("POST", STREAM)])
async def test_a_body_without_end_is_not_read_for_ever(method: str, target: str) -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b"x" * 65_536

    app = create_app(ScriptedEngine(chunk()), Settings(max_body_bytes=MEGABYTE))
    answer = await ask(app, method, target, body=endless(), headers=JSON)
    assert (answer.status, answer.json["error"]["type"]) == (413, "upload_too_large")


async def test_what_is_too_large_is_not_held() -> None:
    app = create_app(ScriptedEngine(chunk()), Settings(max_body_bytes=2 * MEGABYTE))
    tracemalloc.start()
    try:
        answer = await ask(app, "POST", STREAM, body=pieces(7 * MEGABYTE), headers=JSON)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert answer.status == 413
    assert peak < 3 * MEGABYTE


async def test_a_body_of_the_largest_size_is_read() -> None:
    body = b'{"text": "hello"}'
    app = create_app(ScriptedEngine(chunk()), Settings(max_body_bytes=len(body)))
    assert (await ask(app, "POST", STREAM, content=body)).status == 200
    assert (await ask(app, "POST", STREAM, content=body + b" ")).status == 413


# Whatever comes

bodies = st.binary(max_size=200) | st.text().map(lambda text: f"text={quote_plus(text)}".encode())
kinds = st.sampled_from([*JSON.values(), *FORM.values(), *MULTIPART.values(), "text/plain"]) | st.text(
    st.characters(min_codepoint=32, max_codepoint=126)
)


@given(bodies, kinds, st.sampled_from([STREAM, "/synthesize", "/synthesize_complete"]))
async def test_whatever_comes_is_spoken_or_the_callers_fault(body: bytes, kind: str, target: str) -> None:
    app = create_app(ScriptedEngine(chunk()), Settings())
    answer = await ask(app, "POST", target, content=body, headers={"content-type": kind})
    assert answer.status in (200, 400, 422)
    with contextlib.suppress(UnicodeDecodeError):
        assert answer.status == 200 or answer.body.decode()
