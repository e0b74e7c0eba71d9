"""What pipecat's services make of a server: run by the Python of an environment that has pipecat, with its URL."""

# mypy: disable-error-code="import-not-found, import-untyped, untyped-decorator"

import asyncio
import json
import sys

import aiohttp
from pipecat.frames.frames import ErrorFrame, TTSAudioRawFrame, TTSSpeakFrame, TTSStartedFrame, TTSStoppedFrame
from pipecat.services.minimax.tts import MiniMaxHttpTTSService
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.tts_service import TTSService
from pipecat.tests.utils import run_test

SAMPLE_RATE = 24_000


async def main(url: str, text: str) -> None:
    """Write, for each service, what came out of it; one line of JSON."""
    async with aiohttp.ClientSession() as session:

        def minimax(voice: str) -> MiniMaxHttpTTSService:
            return MiniMaxHttpTTSService(
                api_key="none is wanted",
                group_id="123",
                base_url=f"{url}/v1/t2a_v2",
                aiohttp_session=session,
                sample_rate=SAMPLE_RATE,
                settings=MiniMaxHttpTTSService.Settings(voice=voice, speed=1.0),
            )

        services = {
            "minimax": minimax("中文女"),
            "minimax, another voice": minimax("Calm_Woman"),
            "openai": OpenAITTSService(api_key="none is wanted", base_url=f"{url}/v1", sample_rate=SAMPLE_RATE),
        }
        heard = {name: await spoken(service, text) for name, service in services.items()}
        sys.stdout.write(json.dumps(heard) + "\n")


async def spoken(service: TTSService, text: str) -> dict[str, object]:
    down, up = await run_test(service, frames_to_send=[TTSSpeakFrame(text)])
    audio = [frame for frame in down if isinstance(frame, TTSAudioRawFrame)]
    return {
        "frames": len(audio),
        "rates": sorted({frame.sample_rate for frame in audio}),
        "pcm": b"".join(frame.audio for frame in audio).hex(),
        "started": sum(isinstance(frame, TTSStartedFrame) for frame in down),
        "stopped": sum(isinstance(frame, TTSStoppedFrame) for frame in down),
        "errors": [frame.error for frame in up if isinstance(frame, ErrorFrame)],
    }


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
