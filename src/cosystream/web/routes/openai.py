"""OpenAI's speech routes, so that its clients, and what is built on them, speak with a changed base URL."""

from collections.abc import AsyncIterator
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Scope, Send

from cosystream.audio.formats import MEDIA_TYPES
from cosystream.errors import CosystreamError, InvalidField, NotReady, UnknownRequest
from cosystream.runtime.protocol import AudioStream
from cosystream.web.errors import json_response
from cosystream.web.events import Events
from cosystream.web.operations import EVENTS, JSON, SPEAKING, Operation, operation
from cosystream.web.reading import json_object
from cosystream.web.services import services_of
from cosystream.web.speech import AudioBody, begun
from cosystream.web.whole import Whole
from cosystream.wire.native import problem_of
from cosystream.wire.openai import (
    FORMATS,
    OpenAIFailure,
    OpenAIModel,
    OpenAIModels,
    OpenAIProblem,
    SpeechDelta,
    SpeechDone,
    SpeechError,
    SpeechEvent,
    SpeechFields,
    parse_speech,
    usage_of,
)
from cosystream.wire.openai_voices import OpenAIVoices, offered_voices, speaker_for
from cosystream.wire.sse import frame

LIKE = '{"input": "…", "voice": "…"}'


@operation(
    Operation(
        "Speak, as OpenAI's API does",
        answers={**dict.fromkeys(MEDIA_TYPES[format_] for format_ in FORMATS), EVENTS: SpeechEvent},
        takes=(JSON,),
        fields=SpeechFields,
        raises=tuple(error for error in SPEAKING if error is not InvalidField),  # they are 400 here
        failure=OpenAIFailure,
        description="`response_format` chooses the container of the audio, which comes in chunks as it is made; with "
        "`stream_format` sse, it comes in events.",
    )
)
async def speech(request: Request) -> ASGIApp:
    services = services_of(request)
    asked = parse_speech(await json_object(request, like=LIKE), max_text_chars=services.settings.max_text_chars)
    wanted = asked.call.request
    speaker = speaker_for(wanted.speaker, services.engine.info.voices, dict(services.settings.openai_voices))
    call = replace(asked.call, request=replace(wanted, speaker=speaker))
    if asked.stream_format == "sse":
        return SpeechEvents(services, call, asked.format)
    return AudioBody(services, call, asked.format) if asked.stream else Whole(services, call, inside="file")


@operation(
    Operation("The model that is served", answers={JSON: OpenAIModels}, raises=(NotReady,), failure=OpenAIFailure)
)
async def models(request: Request) -> Response:
    return json_response(OpenAIModels([OpenAIModel(services_of(request).engine.info.model)]))


@operation(
    Operation(
        "Whether a model is served",
        answers={JSON: OpenAIModel},
        raises=(NotReady, UnknownRequest),
        failure=OpenAIFailure,
    )
)
async def model(request: Request) -> Response:
    served, wanted = services_of(request).engine.info.model, request.path_params["model"]
    if wanted != served:
        raise UnknownRequest(f"no model {wanted[:64]!r}; there is {served}, which speaks whatever model is asked for")
    return json_response(OpenAIModel(served))


@operation(
    Operation(
        "What voice may be, and who speaks then",
        answers={JSON: OpenAIVoices},
        raises=(NotReady,),
        failure=OpenAIFailure,
    )
)
async def voices(request: Request) -> Response:
    services = services_of(request)
    return json_response(offered_voices(services.engine.info.voices, dict(services.settings.openai_voices)))


class SpeechEvents(Events):
    """Server-sent events, each with some of the bytes of one file."""

    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        audio = await begun(self._encoded(stream))  # until here an error still has a status of its own
        self._outcome = "left_sending"
        await self._send_events(self._events(audio, stream), scope, send)

    async def _events(self, audio: AsyncIterator[bytes], stream: AudioStream) -> AsyncIterator[bytes]:
        try:
            async for encoded in audio:
                yield frame("speech.audio.delta", SpeechDelta(audio=self._rendering.encode(encoded)))
            seconds = stream.report.audio_seconds / self._rendering.tempo
            yield frame("speech.audio.done", SpeechDone(usage=usage_of(self._request.text, seconds)))
        except CosystreamError as error:
            self._outcome = error.type
            yield frame("speech.audio.error", SpeechError(error=OpenAIProblem.of(problem_of(error))))
