"""Who speaks with a voice keeps it, on every socket, while it is deleted and another takes its name."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from starlette.types import ASGIApp

from cosystream.audio import wav
from cosystream.audio.pcm import to_pcm
from cosystream.config import Settings
from cosystream.engines.cosyvoice.core import CosyVoiceCore
from cosystream.engines.cosyvoice.options import CosyVoiceOptions
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.types import Prompt
from cosystream.web.app import create_app
from tests.engines.cosyvoice.conftest import TINY, tiny
from tests.support.asgi import ask, exchange
from tests.support.sockets import SocketClient

Engine = ThreadedEngine[Any]
Change = Callable[[], Awaitable[None]]
FIRST, SECOND = "hello world, this is a test.\n", "And here it goes on.\n"
STREAM = "/synthesize/stream"


def prompt(seed: int) -> Prompt:
    noise = np.random.default_rng(seed).standard_normal(48_000)
    return Prompt(wav.encode(to_pcm((0.1 * noise).astype(np.float32)), 24_000), "hello there")


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[tuple[ASGIApp, Engine]]:
    """With a voice of the name of ``ann``."""
    options: CosyVoiceOptions = replace(TINY, voices_dir=folder / "voices", cache_dir=folder / "cache")

    def build() -> CosyVoiceCore:
        return tiny("v3", options)

    async with ThreadedEngine.running(build) as engine:
        await engine.add_voice("ann", prompt(0))
        yield create_app(engine, Settings()), engine


class Client(SocketClient):
    def say(self, message: object) -> None:
        self.send(orjson.dumps(message).decode())

    async def audio(self) -> bytes:
        """The next binary message."""
        while not isinstance(message := await self.next(), bytes):
            assert '"error' not in message, message
        return message

    async def until(self, *words: str) -> Any:
        """The next event that has all of ``words`` in it."""
        while True:
            message = await self.next()
            if isinstance(message, str) and all(word in message for word in words):
                return orjson.loads(message)


@asynccontextmanager
async def connected(app: ASGIApp, path: str) -> AsyncIterator[Client]:
    client = Client(app, path)
    try:
        yield client
    finally:
        client.cancel()


async def in_a_context(app: ASGIApp, change: Change) -> bytes:
    """What is heard of two texts, with a ``change`` of the voices as soon as the first sounds."""
    async with connected(app, "/v1/stream") as client:
        client.say({"type": "start", "context": "c", "speaker": "ann", "seed": 5})
        client.say({"type": "text", "context": "c", "text": FIRST})
        await client.audio()
        await change()
        client.say({"type": "text", "context": "c", "text": SECOND})
        client.say({"type": "end", "context": "c"})
        assert (await client.until('"context":"c"', "_ms", "finish_reason"))["type"] == "done"
        return b"".join(said for said in client.received if isinstance(said, bytes))


async def in_a_dashscope_task(app: ASGIApp, change: Change) -> bytes:
    async with connected(app, "/api-ws/v1/inference") as client:

        def say(action: str, text: str = "", **payload: object) -> None:
            header = {"action": action, "task_id": "t", "streaming": "duplex"}
            client.say({"header": header, "payload": {"input": {"text": text} if text else {}, **payload}})

        say("run-task", parameters={"voice": "ann", "format": "pcm", "sample_rate": 24_000, "seed": 5})
        say("continue-task", FIRST)
        await client.audio()
        await change()
        say("continue-task", SECOND)
        say("finish-task")
        assert (await client.until("task-f"))["header"]["event"] == "task-finished"
        return b"".join(said for said in client.received if isinstance(said, bytes))


@pytest.mark.parametrize("speak", [in_a_context, in_a_dashscope_task])
async def test_a_text_that_is_being_written_keeps_its_voice_when_another_takes_its_name(
    tmp_path: Path, speak: Callable[[ASGIApp, Change], Awaitable[bytes]]
) -> None:
    async with serving(tmp_path) as (app, engine):

        async def nothing() -> None:
            pass

        async def another() -> None:
            await engine.remove_voice("ann")
            await engine.add_voice("ann", prompt(1))

        async def removed() -> None:
            await engine.remove_voice("ann")

        whole = await speak(app, nothing)
        assert await speak(app, another) == whole
        assert await speak(app, removed) != whole  # as it was begun by the other
        assert "ann" not in engine.info.speakers


async def test_a_context_speaks_with_the_voice_that_was_there_when_it_was_started(tmp_path: Path) -> None:
    async with serving(tmp_path) as (app, engine), connected(app, "/v1/stream") as client:
        client.say({"type": "start", "context": "c", "speaker": "ann"})
        assert orjson.loads(await client.next())["speaker"] == "ann"
        await engine.remove_voice("ann")
        client.say({"type": "text", "context": "c", "text": FIRST})
        client.say({"type": "end", "context": "c"})
        await client.audio()
        assert (await client.until("finish_reason"))["type"] == "done"


async def test_a_minimax_task_keeps_its_voice_for_the_texts_to_come(tmp_path: Path) -> None:
    async with serving(tmp_path) as (app, engine), connected(app, "/ws/v1/t2a_v2") as client:
        client.say({"event": "task_start", "voice_setting": {"voice_id": "ann"}, "audio_setting": {"format": "pcm"}})
        client.say({"event": "task_continue", "text": FIRST})
        await client.until("task_continued")
        await engine.remove_voice("ann")
        for text in (SECOND, FIRST):
            client.say({"event": "task_continue", "text": text})
        client.say({"event": "task_finish"})
        assert (await client.until("task_f"))["event"] == "task_finished"
        assert len([said for said in client.received if '"is_final":true' in str(said)]) == 3


async def test_the_rest_of_what_broke_off_is_spoken_by_the_voice_that_began(tmp_path: Path) -> None:
    fields = {"text": FIRST + SECOND, "speaker": "ann", "seed": 5}
    async with serving(tmp_path) as (app, engine):
        whole = await ask(app, "POST", STREAM, json=fields)
        async with exchange(app, "POST", STREAM, json=fields) as broken:
            while b"event: audio" not in (await broken.next()).get("body", b""):
                pass
            broken.leave()
            heard = [event for event in (await broken.ended()).events if event.name == "audio"]
        await engine.remove_voice("ann")
        await engine.add_voice("ann", prompt(1))
        rest = await ask(app, "POST", STREAM, json=fields, headers={"last-event-id": heard[-1].id})
        assert b"".join(bytes.fromhex(event.data["audio"]) for event in heard) + rest.audio == whole.audio
