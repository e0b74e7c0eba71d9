"""The voices there are, and how more come and go: ``/v1/voices``."""

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from cosystream.errors import (
    InvalidField,
    InvalidRequest,
    NotKept,
    NotReady,
    Overloaded,
    RateLimited,
    ShuttingDown,
    Stalled,
    SynthesisFailed,
    TextTooLong,
    TooManyVoices,
    UnknownVoice,
    UploadTooLarge,
    VoiceExists,
)
from cosystream.runtime.voices import named
from cosystream.web.errors import json_response
from cosystream.web.limits import HourlyLimit, caller_of
from cosystream.web.operations import JSON, MULTIPART, WAV, Operation, operation
from cosystream.web.reading import given_in_body
from cosystream.web.services import services_of
from cosystream.wire.voices import VoiceEntry, VoiceFields, VoiceList, composed, parse_voice

CHANGING = (NotReady, ShuttingDown, NotKept, SynthesisFailed, Stalled)
"""What every change of a voice may raise."""


@operation(Operation("The voices, and what they are", answers={JSON: VoiceList}, raises=(NotReady,)))
async def list_voices(request: Request) -> Response:
    services = services_of(request)
    info = services.engine.info
    voices = [VoiceEntry.of(voice, info.sample_rate) for voice in info.voices]
    return json_response(VoiceList(voices, services.settings.default_speaker or info.default_speaker, info.voices_note))


@operation(
    Operation(
        "Learn a voice from a recording, and keep it",
        answers={JSON: VoiceEntry},
        takes=(MULTIPART, JSON),
        fields=VoiceFields,
        status=201,
        raises=(
            InvalidRequest,
            InvalidField,
            VoiceExists,
            TooManyVoices,
            TextTooLong,
            UploadTooLarge,
            RateLimited,
            Overloaded,
            *CHANGING,
        ),
    )
)
async def add_voice(request: Request) -> Response:
    services = services_of(request)
    given = await given_in_body(request)
    new = parse_voice(given.fields, typed=given.typed)
    uploads: HourlyLimit = request.app.state.uploads
    uploads.take(caller_of(request, services.settings.api_keys))
    voice = await services.engine.add_voice(new.name, new.prompt)
    request.state.noted["speaker"] = voice.name
    headers = {"Location": f"voices/{quote(voice.name)}"}  # relative, as a proxy may have put something before it
    return json_response(VoiceEntry.of(voice, services.engine.info.sample_rate), 201, headers)


@operation(Operation("One voice", answers={JSON: VoiceEntry}, raises=(UnknownVoice, NotReady)))
async def get_voice(request: Request) -> Response:
    info = services_of(request).engine.info
    return json_response(VoiceEntry.of(named(info, _name_in_path(request)), info.sample_rate))


@operation(
    Operation(
        "The recording that a voice was learnt from",
        answers={WAV: None},
        raises=(UnknownVoice, NotReady, ShuttingDown, SynthesisFailed, Stalled),
    )
)
async def get_sample(request: Request) -> Response:
    sample = await services_of(request).engine.sample(_name_in_path(request))
    return Response(sample, media_type=WAV, headers={"Cache-Control": "no-cache"})


@operation(Operation("Forget a cloned voice", answers={}, status=204, raises=(InvalidRequest, UnknownVoice, *CHANGING)))
async def remove_voice(request: Request) -> Response:
    name = _name_in_path(request)
    await services_of(request).engine.remove_voice(name)
    request.state.noted["speaker"] = name
    return Response(status_code=204)


def _name_in_path(request: Request) -> str:
    return composed(request.path_params["name"])
