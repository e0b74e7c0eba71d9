"""The routes of CosyVoice's own FastAPI runtime, so that its clients need no change."""

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.types import ASGIApp

from cosystream.errors import InvalidField
from cosystream.web.operations import FORM, JSON, MULTIPART, PCM, SPEAKING, Operation, operation
from cosystream.web.reading import Given, given_in_body, given_in_query
from cosystream.web.services import services_of
from cosystream.web.speech import AudioBody
from cosystream.wire.inference import (
    CrossLingualFields,
    InferenceFailure,
    Instruct2Fields,
    InstructFields,
    SftFields,
    ZeroShotFields,
    parse_inference,
)

Endpoint = Callable[[Request], Awaitable[ASGIApp]]

MODES: dict[str, tuple[type[msgspec.Struct], str]] = {
    "sft": (SftFields, "Speak with one of the model's voices"),
    "zero_shot": (ZeroShotFields, "Speak with the voice of a recording, of which the words are known"),
    "cross_lingual": (CrossLingualFields, "Speak another language with the voice of a recording"),
    "instruct": (InstructFields, "Speak with one of the model's voices, in a style"),
    "instruct2": (Instruct2Fields, "Speak with the voice of a recording, in a style"),
}


def _endpoint(kind: type[msgspec.Struct], summary: str, *, get: bool) -> Endpoint:
    async def infer(request: Request) -> ASGIApp:
        services = services_of(request)
        given = await _given(request)
        call = parse_inference(kind, given.fields, max_text_chars=services.settings.max_text_chars, typed=given.typed)
        return AudioBody(services, call, "pcm")

    described = Operation(
        f"{summary} (CosyVoice's runtime)",
        answers={PCM: None},
        takes=() if get else (FORM, MULTIPART, JSON),
        fields=kind,
        in_query=get,
        raises=SPEAKING,
        failure=InferenceFailure,
        description="The reference client sends its fields, and its upload, in the body of a GET: that is read too."
        if get
        else "",
    )
    return operation(described)(infer)


async def _given(request: Request) -> Given:
    """The fields of the query, or of the body; or some here and some there, as long as none is given twice."""
    in_query = given_in_query(request)
    if not await request.body():
        return in_query
    in_body = await given_in_body(request)
    if not in_query.fields:
        return in_body
    for name in in_query.fields:
        if name in in_body.fields:
            raise InvalidField(name[:64], "is given twice, in the query and in the body")
    return Given(in_query.fields | in_body.fields, typed=False)


ENDPOINTS: dict[tuple[str, str], Endpoint] = {
    (f"/inference_{mode}", method): _endpoint(kind, summary, get=method == "GET")
    for mode, (kind, summary) in MODES.items()
    for method in ("GET", "POST")
}
"""By path and method."""
