"""A request's fields out of its query, its form or its JSON."""

from collections.abc import Iterable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from cosystream.errors import InvalidField, InvalidRequest, TextTooLong
from cosystream.web.operations import FORM, JSON, MULTIPART
from cosystream.web.services import services_of
from cosystream.wire.fields import EMPTY_FILE, Call, parse_call
from cosystream.wire.objects import parse_object

ESCAPED_BYTES = 12
"""The most that a character takes up in a urlencoded form: four bytes of UTF-8, each as %XX."""
OTHER_FIELDS_BYTES = 64 * 1024
MOST_FIELDS = 32


@dataclass(frozen=True, slots=True)
class Given:
    """What a caller has sent, by whatever names."""

    fields: dict[str, object]
    typed: bool
    """Whether they are of JSON's types; strings and uploads otherwise."""


async def call_in_query(request: Request) -> Call:
    async for _ in request.stream():
        pass  # a body says nothing here, but it may be too large
    return _parse(request, given_in_query(request))


async def call_in_body(request: Request) -> Call:
    """Raises InvalidRequest for a body that is not what its content type says."""
    for name in given_in_query(request).fields:
        raise InvalidField(name[:64], "stands in the query; send it in the body, with the text")
    return _parse(request, await given_in_body(request))


def given_in_query(request: Request) -> Given:
    query: bytes = request.scope["query_string"]
    return Given(_once_each(_unescaped(query, "query", services_of(request).settings.max_text_chars)), typed=False)


async def given_in_body(request: Request) -> Given:
    """Raises InvalidRequest for a body that is not what its content type says."""
    if is_form(request):
        return Given(await _form_fields(request), typed=False)
    kind = media_type(request)
    if kind not in ("", JSON, "text/plain"):  # the latter two are what careless clients send with JSON
        raise InvalidRequest(f"content-type: {kind[:100]} is not read here; {JSON}, {FORM} and {MULTIPART} are")
    return Given(await json_object(request, like='{"text": "…"}'), typed=True)


async def json_object(request: Request, *, like: str) -> dict[str, object]:
    """The body, whatever type it claims to be. Raises InvalidRequest, which says what it should look ``like``."""
    max_text_chars = services_of(request).settings.max_text_chars
    return parse_object(await request.body(), what="body", like=like, max_text_chars=max_text_chars)


def is_form(request: Request) -> bool:
    return media_type(request) in (FORM, MULTIPART)


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _form_fields(request: Request) -> dict[str, object]:
    settings = services_of(request).settings
    if media_type(request) == FORM:
        fields = _unescaped(await request.body(), "form", settings.max_text_chars)
        return await _read_uploads(_once_each(fields))
    form = await _parts(request, settings.max_body_bytes)
    try:
        return await _read_uploads(_once_each(_in_utf_8(form)))
    finally:
        await form.close()


async def _parts(request: Request, max_part_size: int) -> FormData:
    """What a multipart form holds, its bytes as letters of Latin-1: told to read UTF-8, the parser would guess."""
    headers = Headers({"content-type": f"{request.headers['content-type']}; charset=latin-1"})
    try:
        async with aclosing(request.stream()) as stream:
            return await MultiPartParser(
                headers, stream, max_files=1, max_fields=MOST_FIELDS, max_part_size=max_part_size
            ).parse()
    except MultiPartException as error:
        raise InvalidRequest(error.message) from None


def _in_utf_8(form: FormData) -> Iterator[tuple[str, str | UploadFile]]:
    """What the bytes say that ``_parts`` has read as Latin-1. Raises InvalidRequest."""
    try:
        for name, value in form.multi_items():
            yield _from_latin(name), value if isinstance(value, UploadFile) else _from_latin(value)
    except UnicodeError:
        raise InvalidRequest("the form is not in UTF-8; send it so") from None


def _from_latin(letters: str) -> str:
    return letters.encode("latin-1").decode()


def _unescaped(form: bytes, what: str, max_text_chars: int) -> list[tuple[str, str]]:
    """Its fields; the letters may be escaped, or as they are, as ``curl -d text=你好`` sends them."""
    if len(form) > max_text_chars * ESCAPED_BYTES + OTHER_FIELDS_BYTES:
        # undoing the escapes would hold the event loop for seconds
        raise TextTooLong(f"the {what} has {len(form)} bytes; text may have {max_text_chars} characters")
    try:
        return parse_qsl(form.decode(), keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except UnicodeDecodeError:
        raise InvalidRequest(f"the {what} is not in UTF-8; send it so") from None
    except ValueError:
        raise InvalidRequest(f"the {what} has more than {MOST_FIELDS} fields") from None


async def _read_uploads(fields: dict[str, object]) -> dict[str, object]:
    for name, value in fields.items():
        if isinstance(value, UploadFile):
            fields[name] = content = await value.read()
            if name == "prompt_wav" and value.filename and not content:  # browsers send no name where no file is chosen
                raise InvalidField(name, EMPTY_FILE)
        elif name == "prompt_wav" and value:
            raise InvalidField(name, "is not an upload; send the file in a multipart form")
        elif name.lstrip().startswith("{"):
            raise InvalidRequest(f"the form looks like JSON; send it with content-type: {JSON}")
    return fields


def _once_each(items: Iterable[tuple[str, object]]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in items:
        if name in fields:
            raise InvalidField(name, "is given twice")
        fields[name] = value
    return fields


def _parse(request: Request, given: Given) -> Call:
    return parse_call(given.fields, max_text_chars=services_of(request).settings.max_text_chars, typed=given.typed)
