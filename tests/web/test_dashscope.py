"""DashScope's CosyVoice protocol on a WebSocket, driven message by message."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray
from starlette.types import ASGIApp

from cosystream.audio.formats import Format
from cosystream.audio.pcm import from_pcm
from cosystream.config import ApiKeys, Settings
from cosystream.errors import CosystreamError, NotReady, Overloaded, SynthesisFailed
from cosystream.runtime.threaded import WARM_UP, ThreadedEngine
from cosystream.types import AudioChunk
from cosystream.web.app import create_app
from tests.support.asgi import ask
from tests.support.cores import ScriptedCore
from tests.support.decoding import decoded
from tests.support.engines import ScriptedEngine, chunk
from tests.support.sockets import SocketClient
from tests.support.virtual_time import run_at_once

PATH = "/api-ws/v1/inference"
TEXT = "One two. Three four five."


class Client(SocketClient):
    def say(self, action: str, task_id: str = "t1", *, streaming: str = "duplex", **payload: object) -> None:
        header = {"action": action, "task_id": task_id, "streaming": streaming}
        self.send(orjson.dumps({"header": header, "payload": payload}).decode())

    def run(self, task_id: str = "t1", **parameters: Any) -> None:
        self.say("run-task", task_id, parameters={"format": "pcm", "sample_rate": 24_000, **parameters}, input={})

    def write(self, text: str, task_id: str = "t1") -> None:
        self.say("continue-task", task_id, input={"text": text})

    def finish(self, task_id: str = "t1", **given: object) -> None:
        self.say("finish-task", task_id, input=given)

    async def next_event(self, name: str) -> Any:
        """The next message that is one, which is of this name; it may be a sentence's."""
        event = await self.next()
        while isinstance(event, bytes):
            event = await self.next()
        read = orjson.loads(event)
        assert name == read["payload"].get("output", {}).get("type", read["header"]["event"]), read
        return read

    async def rest(self) -> "Rest":
        """Everything up to the end of the present task."""
        rest = Rest([])
        while not rest.events or rest.events[-1]["header"]["event"] not in ("task-finished", "task-failed"):
            rest.messages.append(await self.next())
        return rest


class Rest:
    """What a client heard."""

    def __init__(self, messages: list[str | bytes]) -> None:
        self.messages = messages

    @property
    def events(self) -> list[Any]:
        return [orjson.loads(message) for message in self.messages if isinstance(message, str)]

    @property
    def audio(self) -> bytes:
        return b"".join(message for message in self.messages if isinstance(message, bytes))

    @property
    def kinds(self) -> list[str]:
        """Each event's name, or what it says of a sentence; ``audio`` for audio."""
        return ["audio" if isinstance(message, bytes) else kind_of(orjson.loads(message)) for message in self.messages]

    @property
    def sentences(self) -> list[Any]:
        """What the ends of the sentences say."""
        return [event["payload"]["output"] for event in self.events if kind_of(event) == "sentence-end"]

    @property
    def failure(self) -> tuple[str, str]:
        header = self.events[-1]["header"]
        return header["error_code"], header["error_message"]


def kind_of(event: Any) -> str:
    header, output = event["header"], event["payload"].get("output") or {}
    kind = output["type"] if header["event"] == "result-generated" else header["event"]
    assert isinstance(kind, str)
    return kind


@asynccontextmanager
async def connected(
    app: ASGIApp, path: str = PATH, *, reads: int | None = None, headers: Mapping[str, str] | None = None
) -> AsyncIterator[Client]:
    client = Client(app, path, headers=headers, reads=reads)
    try:
        await client.answered()
        yield client
    finally:
        client.cancel()


async def spoken(app: ASGIApp, text: str = TEXT, **parameters: Any) -> Rest:
    """A whole task on a connection of its own."""
    async with connected(app) as client:
        client.run(**parameters)
        client.write(text)
        client.finish()
        return await client.rest()


async def failure(app: ASGIApp, text: str = TEXT, **parameters: Any) -> tuple[str, str]:
    """Of a task that fails, after which the connection is closed."""
    async with connected(app) as client:
        client.run(**parameters)
        client.write(text)
        client.finish()
        rest = await client.rest()
        await client.ended()
        assert client.closed is not None
    return rest.failure


def never() -> asyncio.Event:
    return asyncio.Event()


# What is heard


async def test_a_task_is_heard_from_its_beginning_to_its_end(tone: ASGIApp) -> None:
    heard = await spoken(tone)
    assert [kind for kind in heard.kinds if kind not in ("audio", "sentence-synthesis")] == [
        "task-started",
        "sentence-begin",
        "sentence-end",
        "sentence-begin",
        "sentence-end",
        "task-finished",
    ]
    assert {event["header"]["task_id"] for event in heard.events} == {"t1"}
    assert heard.events[-1]["payload"]["usage"] == {"characters": len(TEXT)}


async def test_each_piece_of_audio_stands_behind_its_event(tone: ASGIApp) -> None:
    kinds = (await spoken(tone)).kinds
    assert kinds.count("audio") > 5
    assert [place for place, kind in enumerate(kinds, 1) if kind == "sentence-synthesis"] == [
        place for place, kind in enumerate(kinds) if kind == "audio"
    ]


async def test_it_is_the_audio_that_other_routes_answer(tone: ASGIApp) -> None:
    answer = await ask(tone, "POST", "/synthesize", data={"text": TEXT})
    assert (await spoken(tone)).audio == answer.body


async def test_sentences_are_told_with_their_times(tone: ASGIApp) -> None:
    heard = await spoken(tone)
    assert [output["original_text"] for output in heard.sentences] == ["One two.", "Three four five."]
    assert [(output["sentence"]["begin_time"], output["sentence"]["end_time"]) for output in heard.sentences] == [
        (0, 400),
        (400, 1000),
    ]
    assert len(heard.audio) == 2 * 24_000


async def test_words_are_told_if_they_are_wanted(tone: ASGIApp) -> None:
    words = [output["sentence"]["words"] for output in (await spoken(tone, word_timestamp_enabled=True)).sentences]
    assert [[word["text"] for word in sentence] for sentence in words] == [["One", "two"], ["Three", "four", "five"]]
    assert (words[1][0]["begin_time"], words[1][-1]["end_time"]) == (400, 1000)
    assert [output["sentence"]["words"] for output in (await spoken(tone)).sentences] == [[], []]


async def test_audio_goes_out_while_text_comes_in(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        client.run()
        await client.next_event("task-started")
        client.write("One two. Thr")
        assert (await client.next_event("sentence-begin"))["payload"]["output"]["original_text"] == "One two."
        client.write("ee four five.")
        client.finish()
        heard = await client.rest()
    assert [output["original_text"] for output in heard.sentences] == ["One two.", "Three four five."]
    assert heard.audio == (await spoken(tone)).audio


async def test_flush_speaks_what_is_written(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        client.run()
        client.write("One two")
        client.say("continue-task", input={"flush": True})
        await client.next_event("task-started")
        assert (await client.next_event("sentence-begin"))["payload"]["output"]["original_text"] == "One two"


async def test_tasks_follow_one_another_on_a_connection(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        for task_id in ("t1", "t2", "t3"):
            client.run(task_id)
            client.write(TEXT, task_id)
            client.finish(task_id)
            heard = await client.rest()
            assert heard.kinds[-1] == "task-finished"
            assert {event["header"]["task_id"] for event in heard.events} == {task_id}
            assert heard.audio == (await spoken(tone)).audio


async def test_a_task_may_say_all_at_once(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        parameters = {"format": "pcm", "sample_rate": 24_000}
        client.say("run-task", streaming="out", parameters=parameters, input={"text": TEXT})
        heard = await client.rest()
    assert heard.audio == (await spoken(tone)).audio
    assert heard.events[-1]["payload"]["output"] is None


async def test_a_task_without_text_finishes(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        client.run()
        client.finish()
        heard = await client.rest()
    assert heard.kinds == ["task-started", "task-finished"]
    assert heard.events[-1]["payload"]["usage"] == {"characters": 0}


@pytest.mark.parametrize("path", [PATH, f"{PATH}/"])
async def test_the_path_may_end_with_a_slash(tone: ASGIApp, path: str) -> None:
    async with connected(tone, path) as client:
        client.run()
        await client.next_event("task-started")


# How it sounds


@pytest.mark.parametrize("format_", ["wav", "mp3", "opus"])
@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 24_000, 48_000])
async def test_the_format_and_the_rate_are_those_asked_for(tone: ASGIApp, format_: Format, sample_rate: int) -> None:
    heard = decoded((await spoken(tone, format=format_, sample_rate=sample_rate)).audio, format_, sample_rate)
    assert heard.sample_rate == (48_000 if format_ == "opus" else sample_rate)
    assert heard.waveform.size / heard.sample_rate == pytest.approx(1.0, abs=0.25)


async def test_without_a_format_it_is_an_mp3(tone: ASGIApp) -> None:
    audio = (await spoken(tone, format="Default", sample_rate=0)).audio
    assert decoded(audio, "mp3", 22_050).sample_rate == 22_050


async def test_the_rate_of_speech_is_followed(tone: ASGIApp) -> None:
    fast = await spoken(tone, rate=2.0)
    assert len(fast.audio) == 24_000
    assert fast.sentences[-1]["sentence"]["end_time"] == 500


@pytest.mark.parametrize(("volume", "gain"), [(0, 0.0), (25, 0.5), (50, 1.0), (100, 2.0)])
async def test_volume_is_loudness(tone: ASGIApp, volume: int, gain: float) -> None:
    plain, louder = [from_pcm((await spoken(tone, volume=given)).audio) for given in (50, volume)]
    np.testing.assert_allclose(louder, gain * plain, atol=2e-4)


def strongest_hertz(waveform: NDArray[np.float32]) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(waveform.size)))
    return float(np.argmax(spectrum)) * 24_000 / waveform.size


@pytest.mark.parametrize("pitch", [0.5, 0.8, 1.25, 2.0])
async def test_pitch_is_higher_or_deeper_and_as_long(tone: ASGIApp, pitch: float) -> None:
    plain, moved = [from_pcm((await spoken(tone, "one " * 10, pitch=given)).audio) for given in (1.0, pitch)]
    assert moved.size == pytest.approx(plain.size, abs=2)
    assert strongest_hertz(moved) == pytest.approx(pitch * strongest_hertz(plain), rel=0.03)


async def test_the_request_is_what_the_parameters_say() -> None:
    engine = ScriptedEngine(chunk(sentence="hello"))
    await spoken(create_app(engine, Settings()), voice="中文女", seed=7, instruction="slowly", rate=0.5)
    (request,) = engine.requests
    assert (request.speaker, request.seed, request.instruction, request.speed) == ("中文女", 7, "slowly", 0.5)


async def test_dashscopes_own_voices_are_spoken_by_ours() -> None:
    engine = ScriptedEngine(chunk(sentence="hello"))
    app = create_app(engine, Settings(default_speaker="中文女"))
    await spoken(app, voice="longxiaochun_v2")
    await spoken(app)
    assert [request.speaker for request in engine.requests] == ["中文女", "中文女"]


# Failures


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"voice": "nobody"}, "no voice 'nobody'; there are 中文女, 中文男, 英文女, 英文男, and DashScope's names"),
        ({"rate": 9}, "rate: is '9'; a number from 0.5 to 2.0 would do"),
        ({"hot_fix": {"replace": []}}, "hot_fix: pronunciations cannot be prescribed here; leave it out"),
        ({"instruction": "用四川话说"}, "instruction: the engine 'tone' follows none; leave it out"),
    ],
)
async def test_what_cannot_be_done_fails_with_the_reason(
    tone: ASGIApp, parameters: Mapping[str, Any], message: str
) -> None:
    code, said = await failure(tone, **parameters)
    assert code == "InvalidParameter"
    assert said.startswith(message)


@pytest.mark.parametrize("text", ["?!", "<speak>hello</speak>", "a\0b", "word " * 1000])
async def test_text_that_cannot_be_spoken_fails(tone: ASGIApp, text: str) -> None:
    code, message = await failure(tone, text)
    assert code == "InvalidParameter"
    assert message.startswith("text: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Overloaded("the queue is full", retry_after_seconds=1.0), "Throttling"),
        (NotReady("the engine is loading", retry_after_seconds=1.0), "ServiceUnavailable"),
    ],
)
async def test_what_the_engine_refuses_fails(error: CosystreamError, code: str) -> None:
    assert await failure(create_app(ScriptedEngine(refusal=error), Settings())) == (code, str(error))


async def test_an_engine_that_is_not_there_yet_fails_the_task() -> None:
    loading = ScriptedEngine(info=NotReady("the engine is loading", retry_after_seconds=1.0))
    assert await failure(create_app(loading, Settings())) == ("ServiceUnavailable", "the engine is loading")


async def test_speech_that_breaks_off_fails_behind_its_audio() -> None:
    engine = ScriptedEngine(chunk(sentence="hello"), SynthesisFailed("lost my voice"))
    heard = await spoken(create_app(engine, Settings()))
    assert heard.kinds == ["task-started", "sentence-begin", "sentence-synthesis", "audio", "task-failed"]
    assert heard.failure == ("InternalError", "lost my voice")
    assert engine.open == 0


async def test_what_nobody_has_foreseen_fails_in_words(caplog: pytest.LogCaptureFixture) -> None:
    code, message = await failure(create_app(ScriptedEngine(ZeroDivisionError("oh")), Settings()))
    assert (code, message) == ("InternalError", "the server could not go on with this task; its log says why")
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("text", ["hello", "{}", '{"header": {"action": "sing", "task_id": "t1"}}', "x" * 200_000])
async def test_what_is_no_instruction_fails_and_closes(tone: ASGIApp, text: str) -> None:
    async with connected(tone) as client:
        client.send(text)
        code, _ = (await client.rest()).failure
        await client.ended()
        assert code == "InvalidParameter"
        assert client.closed is not None


async def test_what_is_no_instruction_fails_the_task_in_flight() -> None:
    engine = ScriptedEngine(chunk(sentence="hello"), never())
    async with connected(create_app(engine, Settings())) as client:
        client.run()
        client.write("Hello. ")
        client.say("continue-task", input={"flush": True})
        await client.next_event("task-started")
        await client.next_event("sentence-begin")
        client.send("hello")
        assert (await client.rest()).events[-1]["header"]["task_id"] == "t1"
        await client.ended()
    assert engine.open == 0


@pytest.mark.parametrize("action", ["continue-task", "finish-task"])
async def test_a_task_that_was_never_begun_fails(tone: ASGIApp, action: str) -> None:
    async with connected(tone) as client:
        client.say(action, "t7", input={})
        heard = await client.rest()
        assert heard.events[-1]["header"]["task_id"] == "t7"
        assert heard.failure == ("InvalidParameter", "task_id: there is no such task; begin it with run-task")


async def test_a_second_task_is_refused_and_the_first_goes_on(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        client.run("t1")
        client.run("t2")
        refused, heard = await client.rest(), Rest([])
        client.write(TEXT)
        client.finish()
        heard = await client.rest()
    assert refused.events[-1]["header"]["task_id"] == "t2"
    assert refused.failure[1] == "another task is in flight here; wait for its end, or open another connection"
    assert heard.kinds[-1] == "task-finished"
    assert heard.audio == (await spoken(tone)).audio


async def test_what_was_said_before_the_end_was_heard_is_ignored(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        client.run("t1")
        client.finish("t1")
        await client.rest()
        client.write("late", "t1")
        client.finish("t1", directive="cancel")
        client.run("t2")
        await client.next_event("task-started")


async def test_whoever_says_much_at_once_holds_up_nobody(tone: ASGIApp) -> None:
    num_turns = 0
    async with connected(tone) as client:
        client.run()
        client.finish()
        await client.rest()
        for _ in range(100):
            client.write("late")
        while not client._said.empty():
            await asyncio.sleep(0)
            num_turns += 1
    assert num_turns >= 10


async def test_text_behind_the_end_of_the_text_fails() -> None:
    engine = ScriptedEngine(chunk(sentence="hello"), never())
    async with connected(create_app(engine, Settings())) as client:
        client.run()
        client.write("hello")
        client.finish()
        client.write("more")
        assert (await client.rest()).failure == ("InvalidParameter", "text: the text has ended; begin another")


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_is_said_the_connection_ends_in_order_and_nothing_stays_open(seed: int) -> None:
    chance = random.Random(seed)
    script: list[AudioChunk | asyncio.Event] = [chunk(sentence="hello"), chunk(), never()]
    engine = ScriptedEngine(*script[: chance.randint(1, 3)])
    sayings: list[Callable[[Client], None]] = [
        lambda client: client.run(f"t{chance.randint(1, 3)}"),
        lambda client: client.run("t1", voice="nobody"),
        lambda client: client.write("Hello there. ", f"t{chance.randint(1, 3)}"),
        lambda client: client.say("continue-task", "t1", input={"text": 7}),
        lambda client: client.say("continue-task", "t1", input={"flush": True}),
        lambda client: client.finish(f"t{chance.randint(1, 3)}"),
        lambda client: client.finish("t1", directive="cancel"),
        lambda client: client.send("{}"),
    ]
    weights = [8, 1, 8, 1, 4, 4, 4, 1]
    async with connected(create_app(engine, Settings())) as client:
        for saying in chance.choices(sayings, weights, k=12):
            saying(client)
            for _ in range(chance.choice([0, 0, 1, 20])):
                await asyncio.sleep(0)
        client.leave()
        await client.ended()
    assert engine.open == 0


# Cancelling and leaving


async def test_cancelling_finishes_the_task_and_keeps_the_connection() -> None:
    engine = ScriptedEngine(chunk(sentence="hello"), never())
    async with connected(create_app(engine, Settings())) as client:
        client.run()
        client.write("Hello there. ")
        client.say("continue-task", input={"flush": True})
        await client.next_event("task-started")
        await client.next_event("sentence-begin")
        client.finish(directive="cancel")
        heard = await client.rest()
        assert heard.kinds[-1] == "task-finished"
        assert engine.open == 0
        engine.script = ScriptedEngine(chunk(sentence="hello")).script
        client.run("t2")
        client.write("Hello.", "t2")
        client.finish("t2")
        assert (await client.rest()).kinds[-1] == "task-finished"


async def test_cancelling_before_there_is_text_finishes_the_task(tone: ASGIApp) -> None:
    async with connected(tone) as client:
        client.run()
        client.finish(directive="cancel")
        assert (await client.rest()).kinds == ["task-started", "task-finished"]


@pytest.mark.parametrize("leaves", [False, True], ids=["cancelling", "leaving"])
async def test_the_core_is_free_within_a_step(leaves: bool) -> None:
    core = ScriptedCore(instead={WARM_UP.text: "hello"})
    async with ThreadedEngine.running(lambda: core) as engine, connected(create_app(engine, Settings())) as client:
        client.run()
        client.write("hello hold")
        client.say("continue-task", input={"flush": True})
        await client.next_event("task-started")
        await client.next_event("sentence-begin")
        (job,) = core.jobs
        if leaves:
            client.leave()
            await client.ended()
        else:
            client.finish(directive="cancel")
            await client.rest()
        assert engine.load.open == 0
    assert core.jobs_that_were("cancel")[-1] == job


async def test_who_leaves_while_waiting_ends_the_job() -> None:
    engine = ScriptedEngine(places=(never(),))
    app = create_app(engine, Settings())
    async with connected(app) as client:
        client.run()
        client.write("hello")
        client.finish()
        await engine.opened.wait()
        client.leave()
        await client.ended()
    assert engine.open == 0
    exposition = (await ask(app, "GET", "/metrics")).body.decode()
    assert 'cosystream_cancelled_total{stage="waiting"} 1.0' in exposition


async def test_a_reader_who_takes_nothing_is_ended() -> None:
    engine = ScriptedEngine(chunk(sentence="hello"), chunk(), never())
    app = create_app(engine, Settings(reader_timeout_ms=50))
    async with connected(app, reads=2) as client:
        client.run()
        client.write("hello")
        client.finish()
        await client.stuck.wait()
        await client.ended()
        assert client.closed is None, "there is nobody to tell"
    assert engine.open == 0
    exposition = (await ask(app, "GET", "/metrics")).body.decode()
    assert f'cosystream_requests_total{{outcome="reader_stalled",route="{PATH}"}}' in exposition


async def test_who_deletes_the_request_ends_the_task() -> None:
    core = ScriptedCore(instead={WARM_UP.text: "hello"})
    async with ThreadedEngine.running(lambda: core) as engine:
        app = create_app(engine, Settings())
        async with connected(app, headers={"X-Request-Id": "r1"}) as client:
            client.run()
            client.write("hello hold")
            client.finish()
            await client.next_event("task-started")
            assert (await client.next_event("sentence-begin"))["header"]["attributes"] == {"request_uuid": "r1"}
            assert (await ask(app, "DELETE", "/requests/r1")).status == 204
            code, _ = (await client.rest()).failure
            assert code == "TaskCancelled"


def test_a_silent_connection_is_closed() -> None:
    async def main() -> None:
        async with connected(create_app(ScriptedEngine(), Settings())) as client:
            await asyncio.wait([client._task])
            assert client.closed is not None
            assert 60 <= asyncio.get_running_loop().time() < 80

    run_at_once(main())


def test_a_task_whose_text_does_not_go_on_fails() -> None:
    async def main() -> None:
        async with connected(create_app(ScriptedEngine(), Settings())) as client:
            client.run()
            client.write("hello")
            heard = await client._heard.get(), await client._heard.get()
            assert Rest([heard[1] or ""]).failure == ("GatewayTimeout", "nothing was written for 120 s")
            assert 120 <= asyncio.get_running_loop().time() < 140

    run_at_once(main())


# Keys, the log and the metrics


@pytest.mark.parametrize(
    ("authorization", "status"), [("bearer s3cret", 101), ("Bearer s3cret", 101), ("bearer x", 401)]
)
async def test_a_key_opens_the_door(authorization: str, status: int) -> None:
    app = create_app(ScriptedEngine(), Settings(api_keys=ApiKeys(("s3cret",))))
    async with connected(app, headers={"Authorization": authorization}) as client:
        assert (await client.answered()).get("status", 101) == status


async def test_each_task_is_a_line_and_so_is_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    app = create_app(ScriptedEngine(chunk(sentence="secret")), Settings())
    async with connected(app, headers={"X-Request-Id": "r1"}) as client:
        for task_id in ("t1", "t 2"):
            client.run(task_id)
            client.write("secret", task_id)
            client.finish(task_id)
            await client.rest()
        client.leave()
        await client.ended()
    lines = [record.getMessage() for record in caplog.records if record.name == "cosystream.requests"]
    figures = "outcome=finished chars=6 speaker=anna queue_ms=250 first_audio_ms=500 audio_ms=100 rtf=0.125 underruns=1"
    assert lines[0] == f"request_id=r1 route={PATH} task_id=t1 {figures}"
    assert lines[1] == f"request_id=r1 route={PATH} task_id=- {figures}"
    assert lines[2].startswith(f"request_id=r1 method=WS route={PATH} status=101 ")
    assert lines[2].endswith(" outcome=closed tasks=2")
    exposition = (await ask(app, "GET", "/metrics")).body.decode()
    assert f'cosystream_requests_total{{outcome="finished",route="{PATH}"}} 2.0' in exposition
    assert f'cosystream_requests_total{{outcome="closed",route="{PATH}"}} 1.0' in exposition
    assert "cosystream_audio_seconds_total 0.2" in exposition


async def test_a_refused_task_is_counted_by_its_problem() -> None:
    app = create_app(ScriptedEngine(), Settings())
    await failure(app, voice="nobody")
    exposition = (await ask(app, "GET", "/metrics")).body.decode()
    assert f'cosystream_requests_total{{outcome="unknown_voice",route="{PATH}"}} 1.0' in exposition
