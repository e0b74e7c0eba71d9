"""Our own stream: ``/synthesize/stream``."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from cosystream.errors import InvalidRequest
from cosystream.web.operations import EVENTS, FORM, JSON, MULTIPART, PCM, SPEAKING, WAV, Operation, operation
from cosystream.web.reading import call_in_body, call_in_query
from cosystream.web.services import services_of
from cosystream.web.speech import AudioBody, EventStream, Speech
from cosystream.wire.accept import choose
from cosystream.wire.fields import Call, Format

STREAMED = {EVENTS: None, WAV: None, PCM: None}
OFFERS: dict[str, Format | None] = {
    EVENTS: None,
    WAV: "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/vnd.wave": "wav",
    PCM: "pcm",
}


@operation(
    Operation(
        "Speak, as a stream of events or of audio",
        answers=STREAMED,
        takes=(JSON, FORM, MULTIPART),
        raises=SPEAKING,
        description="`Accept` or `format` choose between server-sent events, which are the default, and chunked audio.",
    )
)
async def post_stream(request: Request) -> ASGIApp:
    return streamed(request, await call_in_body(request), otherwise=None)


@operation(Operation("Speak, for an EventSource", answers=STREAMED, in_query=True, raises=SPEAKING))
async def get_stream(request: Request) -> ASGIApp:
    """An EventSource that reconnects has heard the whole or has lost the rest: 204 stops it from beginning anew."""
    if "last-event-id" in request.headers:
        return Response(status_code=204)
    return streamed(request, await call_in_query(request), otherwise=None)


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
