"""A request's fields out of its query, its form or its JSON."""

from collections.abc import Iterable, Mapping

import orjson
from starlette.datastructures import UploadFile
from starlette.requests import Request

from cosystream.errors import InvalidField, InvalidRequest
from cosystream.web.operations import FORM, JSON, MULTIPART
from cosystream.web.services import services_of
from cosystream.wire.fields import Call, parse_call


def call_in_query(request: Request) -> Call:
    return _parse(request, _once_each(request.query_params.multi_items()), typed=False)


async def call_in_body(request: Request) -> Call:
    """Raises InvalidRequest for a body that is not what its content type says."""
    if is_form(request):
        return _parse(request, await _form_fields(request), typed=False)
    kind = media_type(request)
    if kind not in ("", JSON, "text/plain"):  # the latter two are what careless clients send with JSON
        raise InvalidRequest(f"content-type: {kind[:100]} is not read here; {JSON}, {FORM} and {MULTIPART} are")
    try:
        fields = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the body is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise InvalidRequest('the body is JSON, but no object; send {"text": "…"}')
    return _parse(request, fields, typed=True)


def is_form(request: Request) -> bool:
    return media_type(request) in (FORM, MULTIPART)


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _form_fields(request: Request) -> dict[str, object]:
    limit = services_of(request).settings.max_body_bytes
    async with request.form(max_files=1, max_fields=32, max_part_size=limit) as form:
        fields = _once_each(form.multi_items())
        for name, value in fields.items():
            if isinstance(value, UploadFile):
                fields[name] = await value.read()
            elif name == "prompt_wav":
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


def _parse(request: Request, fields: Mapping[str, object], *, typed: bool) -> Call:
    return parse_call(fields, max_text_chars=services_of(request).settings.max_text_chars, typed=typed)
