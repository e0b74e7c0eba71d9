"""The integration guide's routes, whose callers exist: nothing about them may change."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from cosystream.audio.formats import MEDIA_TYPES
from cosystream.errors import NotReady
from cosystream.runtime.protocol import EngineState
from cosystream.web.errors import json_response
from cosystream.web.operations import EVENTS, FORM, JSON, MULTIPART, SPEAKING, Operation, operation
from cosystream.web.reading import call_in_body, is_form
from cosystream.web.routes.native import streamed
from cosystream.web.services import services_of
from cosystream.web.whole import Whole
from cosystream.wire.legacy import Health, LegacyFailure, ModelInfo, Speakers, SpokenWhole


@operation(
    Operation(
        "Speak: JSON is answered with a whole WAV in hex, a form with a stream of PCM",
        answers={JSON: SpokenWhole, EVENTS: None, **dict.fromkeys(MEDIA_TYPES.values())},
        takes=(JSON, FORM, MULTIPART),
        raises=SPEAKING,
        failure=LegacyFailure,
    )
)
async def synthesize(request: Request) -> ASGIApp:
    call = await call_in_body(request)
    if is_form(request):
        return streamed(request, call, otherwise="pcm")
    return Whole(services_of(request), call, inside="json")


@operation(
    Operation(
        "Speak, and answer with one complete WAV",
        answers=dict.fromkeys(MEDIA_TYPES.values()),
        takes=(FORM, MULTIPART, JSON),
        raises=SPEAKING,
        failure=LegacyFailure,
    )
)
async def synthesize_complete(request: Request) -> ASGIApp:
    return Whole(services_of(request), await call_in_body(request), inside="file")


@operation(Operation("The voices", answers={JSON: Speakers}, raises=(NotReady,), failure=LegacyFailure))
async def speakers(request: Request) -> Response:
    services = services_of(request)
    info = services.engine.info
    default_speaker = services.settings.default_speaker or info.default_speaker
    return json_response(Speakers(list(info.speakers), default_speaker, info.voices_note))


@operation(Operation("What speaks here", answers={JSON: ModelInfo}, raises=(NotReady,), failure=LegacyFailure))
async def model_info(request: Request) -> Response:
    services = services_of(request)
    info = services.engine.info
    return json_response(
        ModelInfo(
            model_type=info.name,
            model_dir=info.model,
            speakers=list(info.speakers),
            default_speaker=services.settings.default_speaker or info.default_speaker,
            default_instruction="",
            usage='POST /synthesize {"text": "…", "speaker": "…"}',
            can_instruct=info.can_instruct,
            can_clone=info.can_clone,
        )
    )


@operation(Operation("Whether requests are taken", answers={JSON: Health}, raises=(NotReady,), failure=LegacyFailure))
async def health(request: Request) -> Response:
    engine = services_of(request).engine
    if engine.load.state is not EngineState.READY:
        raise NotReady(f"the engine is {engine.load.state}", retry_after_seconds=1.0)
    return json_response(Health(model_type=engine.info.name))
