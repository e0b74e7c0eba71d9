"""The player page where the server is slow, busy, broken, locked or able to clone, as a test wrote it down."""

import asyncio
import io
import re
import subprocess
import sys
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import Browser, Page, expect
from starlette.types import ASGIApp, Receive, Scope, Send

from cosystream.config import ApiKeys, Settings
from cosystream.errors import InvalidField, NotReady, Overloaded, ShuttingDown, SynthesisFailed
from cosystream.runtime.protocol import Place
from cosystream.web.app import create_app
from tests.support.browser import CHROMIUM, checksum, chromium, visit
from tests.support.engines import ScriptedEngine, chunk
from tests.support.serving import Served, serving

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not CHROMIUM.exists(), reason=f"there is no {CHROMIUM}")]

BEING_RECORDED = re.compile(r"Stop recording \([1-9]\d* s\)")
LISTENING = """() => {
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...others) {
  if (to instanceof AudioDestinationNode) {
    window.ear = new AnalyserNode(this.context);
    connect.call(this, window.ear);
  }
  return connect.call(this, to, ...others);
};
window.loudness = () => {
  const heard = new Float32Array(window.ear.fftSize);
  window.ear.getFloatTimeDomainData(heard);
  return Math.max(...heard.map(Math.abs));
};
}"""
"""An ear at the loudspeaker."""


@pytest.fixture(scope="module", name="browser")
def _browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def until_cancelled(served: Served, stage: str) -> None:
    """The server learns of it as soon as the browser has closed the connection."""
    for _ in range(1000):
        if f'cosystream_cancelled_total{{stage="{stage}"}} 1.0' in httpx.get(f"{served.url}/metrics").text:
            return
    raise AssertionError("the server still speaks")


def test_stop_is_silence_and_the_end_of_the_job(browser: Browser) -> None:
    engine = ScriptedEngine(chunk(24_000 * 5, "A long one.", level=8000), asyncio.Event())
    with serving(create_app(engine, Settings())) as served, visit(browser, served.url) as visited:
        visited.page.evaluate(LISTENING)
        visited.speak("A long one.")
        visited.page.wait_for_function("() => window.cosystream?.rendered > 2400 && loudness() > 0.2")
        visited.page.keyboard.press("Escape")
        figures = visited.figures()
        assert figures["state"] == "stopped"
        visited.page.wait_for_function("() => loudness() === 0")
        until_cancelled(served, "sending")
        assert engine.open == 0
        assert visited.figures()["rendered"] == figures["rendered"] < 24_000 * 5
        expect(visited.page.locator("#status")).to_have_text("Stopped.")
        assert visited.errors == []


def test_stopping_while_waiting_leaves_the_queue(browser: Browser) -> None:
    engine = ScriptedEngine(places=(Place(3, 0.42), asyncio.Event()))
    with serving(create_app(engine, Settings())) as served, visit(browser, served.url) as visited:
        visited.speak("hello")
        expect(visited.page.locator("#status")).to_have_text("Waiting: place 3, about 0.4 s.")
        visited.page.locator("#play").click()
        until_cancelled(served, "waiting")
        expect(visited.page.locator("#play")).to_have_text("Play")
        assert visited.errors == []


def test_running_dry_is_counted_and_filled_with_silence(browser: Browser) -> None:
    gate = asyncio.Event()
    chunks = [chunk(2400, "One.", level=5), chunk(1000, "Two.", level=-7)]
    engine = ScriptedEngine(chunks[0], gate, chunks[1])
    with serving(create_app(engine, Settings())) as served, visit(browser, served.url) as visited:
        visited.speak("One. Two.")
        visited.page.wait_for_function(
            "() => window.cosystream?.rendered === 2400 && window.cosystream.underruns === 1"
        )
        served.call(gate.set)
        figures = visited.wait_for("ended")
        assert (figures["rendered"], figures["underruns"]) == (3400, 1)
        assert figures["checksum"] == checksum(b"".join(piece.pcm for piece in chunks))
        expect(visited.page.locator("#underruns")).to_have_text("1")


def test_silence_before_the_end_is_told_is_no_underrun(browser: Browser) -> None:
    gate = asyncio.Event()
    engine = ScriptedEngine(chunk(2400, "One."), gate)
    with serving(create_app(engine, Settings())) as served, visit(browser, served.url) as visited:
        visited.speak("One.")
        visited.page.wait_for_function(
            "() => window.cosystream?.rendered === 2400 && window.cosystream.underruns === 1"
        )
        served.call(gate.set)
        assert visited.wait_for("ended")["underruns"] == 0


def test_what_fails_in_mid_stream_is_told_and_what_was_made_is_heard(browser: Browser) -> None:
    engine = ScriptedEngine(chunk(2400, "One."), SynthesisFailed("lost my voice"))
    with serving(create_app(engine, Settings())) as served, visit(browser, served.url) as visited:
        visited.speak("One. Two.")
        assert visited.wait_for("failed")["rendered"] == 2400
        expect(visited.page.get_by_role("alert")).to_have_text("This could not be spoken (lost my voice).")
        expect(visited.page.locator("#download")).to_be_enabled()
        assert visited.errors == []


def breaking_off(app: ASGIApp, cut: asyncio.Event, gone: asyncio.Event) -> ASGIApp:
    """``app``, whose first answer ends, unfinished, when the line is ``cut``; then it is ``gone``."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or cut.is_set():
            await app(scope, receive, send)
            return
        answering = asyncio.ensure_future(app(scope, receive, send))
        await cut.wait()
        answering.cancel()
        await asyncio.wait([answering])
        gone.set()

    return wrapped


def test_a_connection_that_breaks_off_is_taken_up_where_it_ended(browser: Browser) -> None:
    cut, gone = asyncio.Event(), asyncio.Event()
    chunks = [chunk(24_000, "One.", level=5), chunk(1000, "Two.", level=-7), chunk(1000, level=9)]
    engine = ScriptedEngine(chunks[0], gone, *chunks[1:])
    app = breaking_off(create_app(engine, Settings()), cut, gone)
    with serving(app) as served, visit(browser, served.url) as visited:
        visited.speak("One. Two.")
        visited.page.wait_for_function("() => window.cosystream?.received === 24000")
        served.call(cut.set)
        figures = visited.wait_for("ended")
        assert (figures["rendered"], figures["done"]["samples"]) == (26_000, 26_000)
        assert figures["checksum"] == checksum(b"".join(piece.pcm for piece in chunks))
        assert len(engine.requests) == 2
        expect(visited.page.get_by_role("alert")).to_be_hidden()


def test_who_is_turned_away_is_told_why_and_when_to_come_back(browser: Browser) -> None:
    engine = ScriptedEngine(refusal=Overloaded("64 wait", retry_after_seconds=7.0))
    with serving(create_app(engine, Settings())) as served, visit(browser, served.url, locale="zh-CN") as visited:
        visited.speak("你好")
        visited.wait_for("failed")
        expect(visited.page.get_by_role("alert")).to_have_text("服务器繁忙。请在 7 秒后重试。")
        visited.page.locator("#language").click()
        expect(visited.page.get_by_role("alert")).to_have_text("The server is busy. Try again in 7 s.")


@pytest.mark.parametrize(
    ("problem", "english", "chinese"),
    [
        (
            ShuttingDown("the server is shutting down", retry_after_seconds=5.0),
            "The server is shutting down.",
            "服务器正在关闭。",
        ),
        (
            InvalidField("text", "holds no word"),
            "The server cannot do this (holds no word).",
            "服务器无法处理这个请求（holds no word）。",
        ),
    ],
    ids=["whole", "detail"],
)
def test_a_problem_is_told_once(browser: Browser, problem: Exception, english: str, chinese: str) -> None:
    with (
        serving(create_app(ScriptedEngine(problem), Settings())) as served,
        visit(browser, served.url) as visited,
    ):
        visited.speak("One.")
        visited.wait_for("failed")
        expect(visited.page.get_by_role("alert")).to_contain_text(english)
        visited.page.locator("#language").click()
        expect(visited.page.get_by_role("alert")).to_contain_text(chinese)


def test_nothing_to_say_is_not_asked_for(browser: Browser) -> None:
    engine = ScriptedEngine()
    with serving(create_app(engine, Settings())) as served, visit(browser, served.url) as visited:
        visited.speak(" \n")
        expect(visited.page.get_by_role("alert")).to_have_text("Type something to say first.")
        expect(visited.page.locator("#text")).to_be_focused()
        assert engine.requests == []


def test_the_page_waits_for_an_engine_that_is_loading(browser: Browser) -> None:
    engine = ScriptedEngine(chunk(), info=NotReady("the engine is loading", retry_after_seconds=1.0))
    ready = ScriptedEngine().info
    with serving(create_app(engine, Settings())) as served, visit(browser, served.url) as visited:
        expect(visited.page.get_by_role("alert")).to_contain_text("The server is not ready yet.")
        served.call(lambda: setattr(engine, "_info", ready))
        expect(visited.page.locator("#voice option")).to_have_count(2)
        expect(visited.page.get_by_role("alert")).to_be_hidden()


# Keys


def test_a_key_is_asked_for_and_kept_in_this_tab_alone(browser: Browser) -> None:
    settings = Settings(api_keys=ApiKeys(["schlüssel-鑰"]))
    with serving(create_app(ScriptedEngine(chunk()), settings)) as served, visit(browser, served.url) as visited:
        page = visited.page
        for typed, status in (("wrong", 401), ("schlüssel-鑰", 200)):
            expect(page.locator("#key-form")).to_be_visible()
            expect(page.locator("#key")).to_be_focused()
            page.keyboard.type(typed)
            with page.expect_response(lambda answer, status=status: answer.status == status):  # type: ignore[misc]
                page.keyboard.press("Enter")
        expect(page.locator("#voice option")).to_have_count(2)
        expect(page.locator("#key-form")).to_be_hidden()
        visited.speak("hello")
        assert visited.wait_for("ended")["rendered"] == 2400
        assert '-H "Authorization: Bearer $COSYSTREAM_KEY"' in (page.locator("#snippet").text_content() or "")
        assert "鑰" not in page.content()
        assert page.evaluate("sessionStorage.getItem('cosystream-key')") == "schlüssel-鑰"
        assert page.evaluate("localStorage.length + document.cookie.length") == 0
        page.goto(f"{served.url}/docs")
        expect(page.locator(".route").first).to_be_visible()
        other_tab = page.context.new_page()
        other_tab.goto(served.url)
        expect(other_tab.locator("#key-form")).to_be_visible()


def locked() -> ASGIApp:
    return create_app(ScriptedEngine(chunk()), Settings(api_keys=ApiKeys(["s3cret"])))


def type_key(page: Page, key: str) -> None:
    page.locator("#key").fill(key)
    page.keyboard.press("Enter")


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_who_has_tried_no_key_is_asked_for_one_without_a_reproach(browser: Browser, path: str) -> None:
    with serving(locked()) as served, visit(browser, f"{served.url}{path}") as visited:
        page = visited.page
        expect(page.locator("#key")).to_be_focused()
        expect(page.get_by_role("alert")).to_have_count(0)
        type_key(page, "wrong")
        expect(page.get_by_role("alert")).to_have_text("The server does not know this API key.")
        expect(page.locator("#key")).to_be_focused()
        page.locator("#language").click()
        expect(page.get_by_role("alert")).to_have_text("服务器不认识这个 API 密钥。")
        type_key(page, "s3cret")
        expect(page.locator("#key-form")).to_be_hidden()
        expect(page.get_by_role("alert")).to_have_count(0)


def test_the_player_says_that_it_waits_for_a_key_and_forgets_that_there_was_none(browser: Browser) -> None:
    with serving(locked()) as served, visit(browser, served.url) as visited:
        page = visited.page
        expect(page.locator("#status")).to_have_text("Waiting for the API key.")
        visited.speak("hello")
        visited.wait_for("failed")
        expect(page.locator("#key")).to_be_focused()
        expect(page.get_by_role("alert")).to_have_count(0)
        type_key(page, "wrong")
        visited.speak("hello")
        visited.wait_for("failed")
        expect(page.get_by_role("alert")).to_have_text("The server does not know this API key.")
        type_key(page, "s3cret")
        expect(page.locator("#status")).to_have_text("Ready.")
        expect(page.get_by_role("alert")).to_have_count(0)


def test_what_failed_is_no_longer_told_when_the_page_has_moved_on(browser: Browser, tmp_path: Path) -> None:
    engine = ScriptedEngine(SynthesisFailed("lost my voice"))
    with serving(create_app(engine, Settings())) as served, visit(browser, served.url) as visited:
        page = visited.page
        for name in ("me.wav", "you.wav"):
            recording = tmp_path / name
            recording.write_bytes(b"RIFF of somebody")
            visited.speak("One.")
            visited.wait_for("failed")
            expect(page.get_by_role("alert")).to_be_visible()
            page.locator("#prompt-file").set_input_files(recording)
            expect(page.locator("#status")).to_have_text("Your recording speaks now.")
            expect(page.get_by_role("alert")).to_have_count(0)


def test_the_interface_shows_no_empty_frames_while_it_is_locked(browser: Browser) -> None:
    with serving(locked()) as served, visit(browser, f"{served.url}/docs") as visited:
        page = visited.page
        expect(page.locator("#key")).to_be_focused()
        expect(page.locator(".card:visible")).to_have_count(1)
        expect(page.locator("nav")).to_be_hidden()
        type_key(page, "s3cret")
        expect(page.locator("nav")).to_be_visible()
        expect(page.locator("#shapes")).to_be_visible()


# Cloning


def test_what_the_engine_cannot_is_not_offered(browser: Browser) -> None:
    engine = ScriptedEngine(info=replace(ScriptedEngine().info, can_clone=False, can_instruct=False))
    with serving(create_app(engine, Settings())) as served, visit(browser, served.url) as visited:
        expect(visited.page.locator("#voice option")).to_have_count(2)
        expect(visited.page.locator("#cloning")).to_be_hidden()
        expect(visited.page.locator("#instructing")).to_be_hidden()


def test_a_recording_from_the_microphone_is_imitated_and_kept(browser: Browser) -> None:
    engine = ScriptedEngine(chunk())
    with (
        serving(create_app(engine, Settings())) as served,
        visit(browser, served.url, permissions=["microphone"]) as visited,
    ):
        page = visited.page
        page.locator("#cloning summary").click()
        page.locator("#record").click()
        expect(page.locator("#record")).to_have_text(BEING_RECORDED)
        page.locator("#record").click()
        expect(page.locator("#prompt-heard")).to_be_visible()
        expect(page.locator("#voice")).to_be_disabled()
        page.locator("#prompt-text").fill("beep")
        page.locator("#instruction").fill("softly")
        visited.speak("hello")
        visited.wait_for("ended")
        (request,) = engine.requests
        assert request.prompt is not None
        assert (request.text, request.prompt.text, request.instruction) == ("hello", "beep", "softly")
        with wave.open(io.BytesIO(request.prompt.audio)) as file:
            assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
            assert file.getnframes() / file.getframerate() >= 0.5
            assert any(file.readframes(file.getnframes()))
        page.locator("#voice-name").fill("小明")
        page.locator("#keep-voice").click()
        expect(page.locator("#status")).to_have_text("小明 is a voice now.")
        assert engine.prompts["小明"] == request.prompt
        expect(page.locator("#voice")).to_have_value("小明")
        expect(page.locator("#voice")).to_be_enabled()
        assert visited.errors == []


ANSWERING = """() => {
const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
window.tracks = [];
window.answered = new Promise((resolve) => { window.allow = resolve; });
navigator.mediaDevices.getUserMedia = async (wanted) => {
  const microphone = await ask(wanted);
  window.tracks.push(...microphone.getTracks());
  await window.answered;
  return microphone;
};
}"""
"""Somebody who has been asked for the microphone, and answers when a test calls ``allow``."""


def test_a_second_press_while_the_microphone_is_asked_for_does_nothing(browser: Browser) -> None:
    with (
        serving(create_app(ScriptedEngine(), Settings())) as served,
        visit(browser, served.url, permissions=["microphone"]) as visited,
    ):
        page = visited.page
        page.evaluate(ANSWERING)
        page.locator("#cloning summary").click()
        page.locator("#record").click()
        expect(page.locator("#record")).to_be_disabled()
        page.locator("#record").click(force=True)
        page.evaluate("allow()")
        expect(page.locator("#record")).to_be_focused()
        expect(page.locator("#record")).to_have_text(BEING_RECORDED)
        page.locator("#record").click()
        expect(page.locator("#prompt-heard")).to_be_visible()
        assert page.evaluate("tracks.map(track => track.readyState)") == ["ended"]
        assert visited.errors == []


FAILING = """() => {
const load = AudioWorklet.prototype.addModule;
window.loads = [];
AudioWorklet.prototype.addModule = async function (url) {
  window.loads.push(url);
  if (window.loads.length === 1) throw new DOMException("no network", "AbortError");
  return load.call(this, url);
};
}"""
"""A network that is gone when a worklet is loaded for the first time."""


def test_a_microphone_that_cannot_be_used_is_let_go(browser: Browser) -> None:
    with (
        serving(create_app(ScriptedEngine(), Settings())) as served,
        visit(browser, served.url, permissions=["microphone"]) as visited,
    ):
        page = visited.page
        page.evaluate(ANSWERING)
        page.evaluate("allow()")
        page.evaluate(FAILING)
        page.locator("#cloning summary").click()
        page.locator("#record").click()
        expect(page.get_by_role("alert")).to_be_visible()
        assert page.evaluate("tracks.map(track => track.readyState)") == ["ended"]
        page.locator("#record").click()
        expect(page.locator("#record")).to_have_text(BEING_RECORDED)


def test_a_worklet_that_could_not_be_loaded_is_loaded_at_the_next_press(browser: Browser) -> None:
    engine = ScriptedEngine(chunk())
    with serving(create_app(engine, Settings())) as served, visit(browser, served.url) as visited:
        visited.page.evaluate(FAILING)
        visited.speak("hello")
        visited.wait_for("failed")
        visited.speak("hello")
        assert visited.wait_for("ended")["rendered"] == 2400
        assert visited.page.evaluate("loads.length") == 2


TOO_LONG = """async () => {
const [rate, quantum] = [44_100, 128];
class Context extends AudioContext {
  constructor() {
    super({ sampleRate: rate });
  }
}
class Node extends AudioWorkletNode {
  constructor(...given) {
    super(...given);
    window.microphone = this.port;
  }
}
Object.assign(window, { AudioContext: Context, AudioWorkletNode: Node });
const { Recording } = await import("./player/recorder.js");
let last = [];
const recording = await Recording.begin((...progress) => { last = progress; });
while (!last[1]) microphone.onmessage({ data: new Float32Array(quantum) });
const bytes = await recording.end().arrayBuffer();
return [last[0], (bytes.byteLength - 44) / 2 / rate];
}"""


def test_a_recording_that_is_as_long_as_may_be_is_no_longer(browser: Browser) -> None:
    with (
        serving(create_app(ScriptedEngine(), Settings())) as served,
        visit(browser, served.url, permissions=["microphone"]) as visited,
    ):
        heard, kept = visited.page.evaluate(TOO_LONG)
        assert heard > 30.0
        assert kept == 30.0


def test_a_file_is_imitated_and_the_command_that_is_shown_does_the_same(browser: Browser, tmp_path: Path) -> None:
    engine = ScriptedEngine(chunk())
    recording = tmp_path / 'it\'s "me"; 1.wav'
    recording.write_bytes(b"RIFF of somebody")
    with serving(create_app(engine, Settings())) as served, visit(browser, served.url) as visited:
        visited.page.locator("#cloning summary").click()
        visited.page.locator("#prompt-file").set_input_files(recording)
        visited.page.locator("#prompt-text").fill("@it's;type=me")
        visited.speak("@hello 'you' \"there\"")
        visited.wait_for("ended")
        for program in ("curl", "python"):
            visited.page.locator(f"input[name=program][value={program}]").check(force=True)
            shown = visited.page.locator("#snippet").text_content() or ""
            command = ["sh", "-c", shown] if program == "curl" else [sys.executable, "-c", shown]
            subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=30, check=True)
        visited.page.locator("#forget-prompt").click()
        expect(visited.page.locator("#voice")).to_be_enabled()
    page, curl, python = engine.requests
    assert page.prompt is not None
    assert page.prompt.audio == recording.read_bytes()
    assert page.prompt.text == "@it's;type=me"
    assert [(request.text, request.prompt) for request in (curl, python)] == [(page.text, page.prompt)] * 2
    assert curl.seed == python.seed == 7
