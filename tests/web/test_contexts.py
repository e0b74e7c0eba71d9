"""Text in while audio goes out, on a socket that is driven by hand."""

import asyncio
import base64
import gc
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp

from cosystream.config import ApiKeys, Settings
from cosystream.errors import CosystreamError, NotReady, Overloaded
from cosystream.runtime.resolving import resolve
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.types import AudioChunk, Prompt, SynthesisRequest
from cosystream.web.app import create_app
from cosystream.web.routes.contexts import MOST_CONTEXTS
from cosystream.wire.contexts import Message
from tests.support.asgi import LONGEST_WAIT_SECONDS, ask
from tests.support.cores import ScriptedCore
from tests.support.engines import INFO, ScriptedEngine, chunk
from tests.support.sockets import SocketClient
from tests.support.virtual_time import run_at_once

STORY = "今天天气很好。Shall we go for a walk? 好的，3 点见！"
Said = dict[str, Any] | bytes


class Client(SocketClient):
    @property
    def heard(self) -> list[Said]:
        return list(map(read, self.received))

    def say(self, type_: str, context: str = "c1", **fields: object) -> None:
        self.send(orjson.dumps({"type": type_, "context": context, **fields}).decode())

    async def next(self) -> Any:
        return read(await super().next())

    async def until(self, type_: str, context: str = "c1") -> dict[str, Any]:
        """The next message of this type and context."""
        while True:
            said = await self.next()
            if isinstance(said, dict) and (said["type"], said.get("context")) == (type_, context):
                return said


def read(message: str | bytes) -> Said:
    return orjson.loads(message) if isinstance(message, str) else message


@asynccontextmanager
async def connected(app: ASGIApp, **how: Any) -> AsyncIterator[Client]:
    client = Client(app, "/v1/stream", **how)
    try:
        yield client
    finally:
        client.cancel()


@asynccontextmanager
async def scripted(**settings: Any) -> AsyncIterator[tuple[ASGIApp, ThreadedEngine[Any], ScriptedCore]]:
    """Words at a core that keeps a diary. The job of its warm-up is number 1."""
    core = ScriptedCore(streams_at_once=8)
    async with ThreadedEngine.running(lambda: core) as engine:
        yield create_app(engine, Settings(**settings)), engine, core


def audio_of(received: list[Said], context: str = "c1") -> bytes:
    """The binary messages that follow those which announce them."""
    return b"".join(
        pcm
        for said, pcm in pairwise(received)
        if isinstance(said, dict) and isinstance(pcm, bytes) and said["context"] == context
    )


def told(received: list[Said], type_: str, context: str = "c1") -> list[dict[str, Any]]:
    return [
        said for said in received if isinstance(said, dict) and said["type"] == type_ and said.get("context") == context
    ]


async def figures(app: ASGIApp) -> dict[tuple[str, str], float]:
    exposition = (await ask(app, "GET", "/metrics")).body.decode()
    return {
        (sample.name.removeprefix("cosystream_"), label): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if (label := sample.labels.get("outcome") or sample.labels.get("stage"))
    }


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(LONGEST_WAIT_SECONDS):
        while not happened():  # noqa: ASYNC110 - on a thread
            await asyncio.sleep(0)


# When all goes well


async def test_a_context_tells_the_whole_story_in_order() -> None:
    first, second, third = chunk(2400, "One.", 1), chunk(2400, None, 2), chunk(1200, "Two.", 3)
    engine = ScriptedEngine(first, second, third)
    async with connected(create_app(engine, Settings()), headers={"x-request-id": "r1"}) as client:
        client.say("start", seed=7)
        client.say("text", text="One. Two.")
        client.say("end")
        await client.until("done")
        assert client.heard == [
            {
                "type": "started",
                "context": "c1",
                "request_id": "r1",
                "sample_rate": 24000,
                "engine": "scripted",
                "speaker": "anna",
                "seed": 7,
                "channels": 1,
                "format": "pcm_s16le",
            },
            {"type": "sentence", "context": "c1", "index": 0, "text": "One.", "begin_ms": 0},
            {"type": "audio", "context": "c1", "index": 0, "samples": 2400, "offset_ms": 0},
            first.pcm,
            {"type": "audio", "context": "c1", "index": 1, "samples": 2400, "offset_ms": 100},
            second.pcm,
            {"type": "sentence", "context": "c1", "index": 1, "text": "Two.", "begin_ms": 200},
            {"type": "audio", "context": "c1", "index": 2, "samples": 1200, "offset_ms": 200},
            third.pcm,
            {
                "type": "done",
                "context": "c1",
                "request_id": "r1",
                "chunks": 3,
                "samples": 6000,
                "duration_ms": 250,
                "first_audio_ms": 500,
                "queue_ms": 250,
                "rtf": 0.125,
                "underruns": 1,
                "finish_reason": "stop",
            },
        ]
    assert engine.open == 0


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("sample_rate", [None, 16_000])
async def test_written_in_pieces_it_sounds_as_one_request_does(
    tone: ASGIApp, size: int, sample_rate: int | None
) -> None:
    fields: dict[str, Any] = {"speed": 1.5, "sample_rate": sample_rate}
    whole = await ask(tone, "POST", "/synthesize/stream", json={"text": STORY, "format": "pcm", **fields})
    async with connected(tone) as client:
        client.say("start", **fields)
        for start in range(0, len(STORY), size):
            client.say("text", text=STORY[start : start + size])
        client.say("end")
        done = await client.until("done")
        assert audio_of(client.heard) == whole.body
        samples = 0
        for index, said in enumerate(told(client.heard, "audio")):
            assert (said["index"], said["offset_ms"]) == (index, round(samples * 1000 / (sample_rate or 24_000)))
            samples += said["samples"]
        assert (done["samples"], done["chunks"]) == (samples, index + 1)
        sentences = told(client.heard, "sentence")
        assert [said["index"] for said in sentences] == [0, 1, 2]
        assert [said["begin_ms"] for said in sentences] == sorted(said["begin_ms"] for said in sentences)
        assert "".join(said["text"] for said in sentences).replace(" ", "") == STORY.replace(" ", "")


async def test_contexts_of_one_socket_are_independent(tone: ASGIApp) -> None:
    texts = {"a": "One two three. ", "b": "四五六。", "c": "Seven! "}
    async with connected(tone) as client:
        for name in texts:
            client.say("start", name, speaker="英文女")
        for index in range(15):
            for name, text in texts.items():
                if text[index:]:
                    client.say("text", name, text=text[index])
        for name in texts:
            client.say("end", name)
        while len([said for said in client.heard if isinstance(said, dict) and said["type"] == "done"]) < 3:
            await client.next()
        for name, text in texts.items():
            alone = await ask(
                tone, "POST", "/synthesize/stream", json={"text": text, "speaker": "英文女", "format": "pcm"}
            )
            assert audio_of(client.heard, name) == alone.body


async def test_a_binary_message_follows_the_one_that_announces_it(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        for name in "abcdef":
            client.say("start", name)
            client.say("text", name, text="one two three four five. six seven.\n")
            client.say("end", name)
        client.send("no message")
        while len([said for said in client.heard if isinstance(said, dict) and said["type"] == "done"]) < 6:
            await client.next()
    for said, following in pairwise(client.heard):
        announced = said["samples"] * 2 if isinstance(said, dict) and said["type"] == "audio" else None
        assert announced == (len(following) if isinstance(following, bytes) else None)


async def test_a_name_may_be_used_again(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        for text in ("One two.", "Three."):
            client.say("start")
            client.say("text", text=text)
            client.say("end")
            await client.until("done")
        assert [done["duration_ms"] for done in told(client.heard, "done")] == [400, 200]
        assert [said["index"] for said in told(client.heard, "audio")] == [0, 1, 2, 3, 0, 1]


async def test_a_sentence_is_spoken_before_the_text_has_ended(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        client.say("start")
        client.say("text", text="One. Tw")
        await client.until("audio")
        client.say("text", text="o")
        client.say("flush")
        assert (await client.until("sentence"))["text"] == "Two"
        client.say("end")
        assert (await client.until("done"))["duration_ms"] == 400


async def test_what_is_written_is_spoken_after_a_pause() -> None:
    async with scripted(idle_flush_ms=10) as (app, _, _), connected(app) as client:
        client.say("start")
        client.say("text", text="one 2026")
        assert (await client.until("sentence"))["text"] == "one"
        client.say("text", text=" two")
        assert (await client.until("sentence"))["text"] == "2026"


async def test_the_engine_gets_what_the_caller_sent() -> None:
    engine = ScriptedEngine(chunk())
    async with connected(create_app(engine, Settings())) as client:
        wav = base64.b64encode(b"RIFF").decode()
        client.say("start", voice="anna", instruct="whisper", speed=0.5, seed=3, prompt_wav=wav, prompt_text="hi")
        assert (await client.next())["speaker"] == "prompt_wav"
        client.say("text", text="Hello.")
        client.say("end")
        await client.until("done")
    assert engine.requests == [SynthesisRequest("Hello.", "prompt_wav", "whisper", Prompt(b"RIFF", "hi"), 0.5, 3)]


async def test_voice_and_seed_are_told_before_there_is_a_text() -> None:
    engine = ScriptedEngine(chunk())
    async with connected(create_app(engine, Settings(default_speaker="中文女"))) as client:
        client.say("start")
        started = await client.next()
        assert started["speaker"] == "中文女"
        client.say("text", text="One.\n")
        await client.until("audio")
    assert engine.requests == [resolve(SynthesisRequest("One.\n", "中文女", seed=started["seed"]), INFO)]


# What is not understood


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("no message", None),
        (b"\0\0", None),
        ('{"type":"sing","context":"c1"}', "type"),
        ('{"type":"text","context":"c2","text":"a"}', "context"),
        ('{"type":"start","context":"c1"}', "context"),
        ('{"type":"text","context":"c1","text":3}', "text"),
        ('{"type":"text","context":"c1","text":"\\u0000"}', "text"),
        ('{"type":"text","context":"c1","text":"' + "a" * 1000 + '"}', None),
    ],
)
async def test_what_is_not_understood_is_told_and_changes_nothing(message: str | bytes, field: str | None) -> None:
    async with scripted(max_body_bytes=900) as (app, _, _), connected(app) as client:
        client.say("start")
        await client.next()
        client.send(message)
        refusal = await client.next()
        assert refusal["type"] == "error"
        assert "context" not in refusal
        assert refusal["error"]["field"] == field
        client.say("text", text="one two")
        client.say("end")
        assert (await client.until("done"))["duration_ms"] == 200


async def test_text_behind_its_end_is_not_understood() -> None:
    async with scripted() as (app, _, _), connected(app) as client:
        client.say("start")
        client.say("text", text="one hold")
        client.say("end")
        client.say("text", text="two")
        assert "has ended" in (await client.until("error", None))["error"]["message"]  # type: ignore[arg-type]


async def test_for_a_context_that_has_ended_messages_may_still_be_on_their_way(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        client.say("start", speed=9)
        client.say("text", text="one")
        client.say("flush")
        client.say("cancel")
        client.say("end")
        client.say("start", "c2")
        assert [(await client.next())["type"] for _ in range(2)] == ["error", "started"]


async def test_only_so_many_contexts_are_open_at_once(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        for number in range(MOST_CONTEXTS + 1):
            client.say("start", f"c{number}")
        refusal = await client.until("error", None)  # type: ignore[arg-type]
        assert "which are the most at once" in refusal["error"]["message"]
        client.say("cancel", "c0")
        await client.until("done", "c0")
        client.say("start", "c16")
        await client.until("started", "c16")


async def test_the_recordings_of_a_socket_are_no_more_than_one_body_may_be() -> None:
    app = create_app(ScriptedEngine(chunk()), Settings(max_body_bytes=1000))
    half, too_much = base64.b64encode(bytes(500)).decode(), base64.b64encode(bytes(501)).decode()
    async with connected(app) as client:
        client.say("start", "a", prompt_wav=half)
        client.say("start", "b", prompt_wav=too_much)
        refusal = await client.until("error", None)  # type: ignore[arg-type]
        assert refusal["error"]["type"] == "upload_too_large"
        assert refusal["error"]["message"].startswith("prompt_wav: ")
        client.say("start", "c")
        await client.until("started", "c")
        client.say("start", "b", prompt_wav=half)
        await client.until("started", "b")
        client.say("cancel", "a")
        await client.until("done", "a")
        client.say("start", "d", prompt_wav=half)
        await client.until("started", "d")


# What cannot be spoken


@pytest.mark.parametrize(
    ("fields", "type_", "field"),
    [
        ({"speed": 3}, "invalid_request", "speed"),
        ({"speaker": "nobody"}, "unknown_voice", "speaker"),
        ({"volume": 3}, "invalid_request", "volume"),
        ({"format": "mp3"}, "invalid_request", "format"),
        ({"prompt_wav": "?"}, "invalid_request", "prompt_wav"),
    ],
)
async def test_a_context_that_cannot_begin_says_so(fields: dict[str, Any], type_: str, field: str) -> None:
    engine = ScriptedEngine(chunk())
    async with connected(create_app(engine, Settings())) as client:
        client.say("start", **fields)
        failure = await client.next()
        assert (failure["type"], failure["context"], failure["partial_audio"]) == ("error", "c1", False)
        assert (failure["error"]["type"], failure["error"]["field"]) == (type_, field)
    assert engine.requests == []


@pytest.mark.parametrize("fields", [{"instruction": "whisper"}, {"prompt_wav": "UklGRg=="}])
async def test_what_the_engine_lacks_is_told_in_place_of_the_start(tone: ASGIApp, fields: dict[str, str]) -> None:
    async with connected(tone) as client:
        client.say("start", **fields)
        failure = await client.next()
        assert (failure["type"], failure["context"]) == ("error", "c1")
        assert (failure["error"]["type"], [failure["error"]["field"]]) == ("invalid_request", list(fields))


async def test_a_context_that_cannot_begin_keeps_nothing_of_its_recording(tone: ASGIApp) -> None:
    gc.disable()
    try:
        async with connected(tone) as client:
            client.say("start", "forgotten", prompt_wav="UklGRg==")
            await client.until("error", "forgotten")
            client.say("flush", "forgotten")
            client.send("no message")
            await client.until("error", None)  # type: ignore[arg-type]
            there = [found for found in gc.get_objects() if type(found) is Message]
            assert [message.type for message in there if message.context == "forgotten"] == ["flush"]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "error", [NotReady("loading", retry_after_seconds=1.0), Overloaded("full", retry_after_seconds=1.0)]
)
async def test_what_the_engine_refuses_ends_its_context(error: CosystreamError) -> None:
    async with connected(create_app(ScriptedEngine(refusal=error), Settings())) as client:
        client.say("start")
        client.say("text", text="One.")
        client.say("end")
        failure = await client.until("error")
        assert (failure["error"]["type"], failure["partial_audio"]) == (error.type, False)


async def test_an_engine_that_is_loading_is_told_at_the_start() -> None:
    engine = ScriptedEngine(info=NotReady("loading", retry_after_seconds=1.0))
    async with connected(create_app(engine, Settings())) as client:
        client.say("start")
        assert (await client.next())["error"]["type"] == "not_ready"


async def test_a_failure_in_mid_stream_is_the_last_of_its_context_alone() -> None:
    async with scripted() as (app, engine, _), connected(app) as client:
        client.say("start", "a")
        client.say("start", "b")
        client.say("text", "a", text="one fail two\n")
        client.say("text", "b", text="one two three\n")
        client.say("end", "b")
        failure = await client.until("error", "a")
        assert (failure["error"]["type"], failure["partial_audio"]) == ("synthesis_failed", True)
        if not told(client.heard, "done", "b"):
            await client.until("done", "b")
        client.say("text", "a", text="four\n")
        client.say("start", "c")
        assert (await client.next())["context"] == "c"
        assert engine.load.open == 0


async def test_what_nobody_has_foreseen_ends_its_context_in_words() -> None:
    engine = ScriptedEngine(chunk(), AudioChunk(b"odd"))
    async with connected(create_app(engine, Settings())) as client:
        client.say("start", sample_rate=16_000)
        client.say("text", text="One.\n")
        failure = await client.until("error")
        assert "its log says why" in failure["error"]["message"]
    assert engine.open == 0


async def test_a_text_that_becomes_too_long_ends_its_context() -> None:
    async with scripted(max_text_chars=10) as (app, engine, _), connected(app) as client:
        client.say("start")
        client.say("text", text="one hold\n")
        await client.until("audio")
        client.say("text", text="two three\n")
        failure = await client.until("error")
        assert (failure["error"]["type"], failure["error"]["field"]) == ("text_too_long", "text")
        assert engine.load.open == 0


@pytest.mark.parametrize("text", ["", " ", "。！"])
async def test_a_text_with_nothing_to_say_is_an_error_at_its_end(tone: ASGIApp, text: str) -> None:
    async with connected(tone) as client:
        client.say("start")
        client.say("text", text=text)
        client.say("end")
        failure = await client.until("error")
        assert "nothing to say" in failure["error"]["message"]


# Who cancels, and who leaves


@pytest.mark.parametrize("text", ["", "one two hold three\n", "ponder one\n"])
async def test_who_cancels_is_told_that_it_is_done_and_nothing_else(text: str) -> None:
    async with scripted() as (app, engine, core), connected(app) as client:
        client.say("start")
        client.say("text", text=text)
        await until(lambda: not text or core.pondering.is_set() or len(core.jobs_that_were("submit")) == 2)
        client.say("cancel")
        done = await client.until("done")
        assert done["finish_reason"] == "cancelled"
        assert done["chunks"] == len(told(client.heard, "audio"))
        assert engine.load.open == 0
        core.pondered.set()
        client.say("text", text="four\n")
        client.say("start", "c2")
        assert (await client.next())["type"] == "started"


async def test_another_can_cancel_by_the_id_of_the_socket() -> None:
    async with scripted() as (app, _, _), connected(app, headers={"x-request-id": "r1"}) as client:
        client.say("start")
        client.say("text", text="one hold\n")
        await client.until("audio")
        assert (await ask(app, "DELETE", "/requests/r1")).status == 204
        assert (await client.until("error"))["error"]["type"] == "cancelled"


@pytest.mark.parametrize(
    ("text", "stage"), [("one hold\n", "sending"), ("hold\n", "waiting"), ("ponder one\n", "waiting")]
)
async def test_who_leaves_frees_every_job(text: str, stage: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with scripted() as (app, engine, core):
        async with connected(app) as client:
            for name in ("a", "b"):
                client.say("start", name)
                client.say("text", name, text=text)
            client.say("start", "silent")
            await until(lambda: core.pondering.is_set() or len(core.jobs_that_were("submit")) == 3)
            if stage == "sending":
                while not (told(client.heard, "audio", "a") and told(client.heard, "audio", "b")):
                    await client.next()
                await client.next()
            client.leave()
            await client.ended()
            assert engine.load.open == 0
            core.pondered.set()
        counted = await figures(app)
    assert counted["cancelled_total", stage] == 2
    assert counted["requests_total", f"left_{stage}"] == 1
    line = next(record.message for record in caplog.records if "route=/v1/stream" in record.message)
    assert "method=WS route=/v1/stream status=101" in line
    assert f"outcome=left_{stage} contexts=3 chars={2 * len(text)}" in line
    assert text.strip() not in caplog.text


async def test_who_has_heard_everything_has_not_left() -> None:
    async with scripted() as (app, engine, _):
        async with connected(app) as client:
            client.say("start")
            client.say("text", text="one two\n")
            for _ in range(2):
                await client.until("audio")
            await until(lambda: engine.load.open == 0)
            for context in ("c2", "c3"):  # meanwhile the server has noticed, too
                client.say("start", context)
                await client.until("started", context)
            client.leave()
            await client.ended()
        counted = await figures(app)
    assert counted["requests_total", "finished"] == 1
    assert ("cancelled_total", "sending") not in counted


@pytest.mark.parametrize("reads", [0, 1, 3, 4])
async def test_who_stops_reading_is_ended_after_a_while(reads: int) -> None:
    async with scripted(reader_timeout_ms=50) as (app, engine, _):
        async with connected(app, reads=reads) as client:
            client.say("start")
            client.say("text", text="one two three hold\n")
            await client.ended()
            assert engine.load.open == 0
        counted = await figures(app)
    assert counted["requests_total", "reader_stalled"] == 1
    assert ("cancelled_total", "sending") not in counted


def test_a_socket_without_a_context_is_closed_after_a_while() -> None:
    async def main() -> None:
        app = create_app(ScriptedEngine(), Settings())
        async with connected(app) as client:
            await client.answered()
            await asyncio.sleep(119)
            client.say("start")
            await client._heard.get()
            await asyncio.sleep(250)  # it may be thinking about its text
            assert client.closed is None
            client.say("cancel")
            await client._heard.get()
            await asyncio.sleep(119)
            client.send("no message")
            await client._heard.get()
            said_last = asyncio.get_running_loop().time()
            async with asyncio.timeout(151):
                await asyncio.wait([client._task])
            assert 120 <= asyncio.get_running_loop().time() - said_last <= 150
            assert client.closed is not None
            assert client.closed["code"] == 1000
            assert (await figures(app))["requests_total", "idle"] == 1

    run_at_once(main())


async def test_without_a_key_there_is_no_socket() -> None:
    app = create_app(ScriptedEngine(chunk()), Settings(api_keys=ApiKeys(["secret"])))
    async with connected(app) as client:
        await client.ended()
        assert (await client.answered())["status"] == 401
    async with connected(app, headers={"authorization": "Bearer secret"}) as client:
        client.say("start")
        assert (await client.next())["type"] == "started"


async def test_each_context_logs_one_line_without_its_text(tone: ASGIApp, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with connected(tone, headers={"x-request-id": "r1"}) as client:
        client.say("start", "my name")
        client.say("text", "my name", text="one two")
        client.say("end", "my name")
        await client.until("done", "my name")
        client.leave()
        await client.ended()
    (line,) = [record.message for record in caplog.records if "context=" in record.message]
    assert line.startswith("request_id=r1 context=1 outcome=finished chars=7 ")
    assert "audio_ms=400" in line
    assert "one two" not in caplog.text
    assert "my name" not in caplog.text
