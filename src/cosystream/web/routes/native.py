"""Our own stream: ``/synthesize/stream``."""

from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from cosystream.audio.formats import MEDIA_TYPES, Format
from cosystream.errors import InvalidRequest, UnknownRequest
from cosystream.web.events import EventStream
from cosystream.web.operations import EVENTS, FORM, JSON, MULTIPART, SPEAKING, WAV, Operation, operation
from cosystream.web.reading import call_in_body, call_in_query
from cosystream.web.services import services_of
from cosystream.web.speech import AudioBody, Speech
from cosystream.wire.accept import choose
from cosystream.wire.fields import Call

STREAMED: dict[str, type | None] = dict.fromkeys([EVENTS, WAV, *MEDIA_TYPES.values()])
OFFERS: dict[str, Format | None] = {
    EVENTS: None,
    WAV: "wav",
    **{media_type: format_ for format_, media_type in MEDIA_TYPES.items()},
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    "audio/mp3": "mp3",
    "audio/opus": "opus",
    "audio/x-flac": "flac",
}


@operation(
    Operation(
        "Speak, as a stream of events or of audio",
        answers=STREAMED,
        takes=(JSON, FORM, MULTIPART),
        raises=SPEAKING,
        resumable=True,
        description="`Accept` or `format` choose between server-sent events, which are the default, and chunked audio.",
    )
)
async def post_stream(request: Request) -> ASGIApp:
    call = await call_in_body(request)
    return rest_of(request) if request.headers.get("last-event-id") else streamed(request, call, otherwise=None)


@operation(Operation("Speak, for an EventSource", answers=STREAMED, in_query=True, raises=SPEAKING, resumable=True))
async def get_stream(request: Request) -> ASGIApp:
    if "last-event-id" in request.headers:
        return rest_of(request)
    return streamed(request, await call_in_query(request), otherwise=None)


def rest_of(request: Request) -> ASGIApp:
    """The events behind the last that arrived. Where there are none, 204 stops an EventSource from beginning anew."""
    services = services_of(request)
    rest = services.resumable.find(request.headers["last-event-id"])
    if rest is None:
        return Response(status_code=204)
    with suppress(UnknownRequest):  # nobody may have noticed yet that the old connection is lost
        services.cancel(rest.told.request_id)
    return EventStream(services, rest.told.call, rest)


@operation(
    Operation("End a request that is in flight, by its X-Request-Id", answers={}, status=204, raises=(UnknownRequest,))
)
async def cancel(request: Request) -> Response:
    services_of(request).cancel(request.path_params["request_id"])
    return Response(status_code=204)


def streamed(request: Request, call: Call, *, otherwise: Format | None) -> Speech:
    """The form that the caller asked for; ``otherwise`` is for those who do not care, None meaning events."""
    services = services_of(request)
    form: Format | None = call.rendering.format
    if form is None:
        offers = {media_type: (offer,) for media_type, offer in OFFERS.items()}
        chosen = choose(", ".join(request.headers.getlist("accept")), offers, otherwise=(otherwise,))
        if chosen is None:
            raise InvalidRequest(f"accept: nothing of it is made here; {', '.join(STREAMED)} are")
        (form,) = chosen
    return EventStream(services, call) if form is None else AudioBody(services, call, form)
