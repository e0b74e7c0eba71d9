"""DashScope's own client, with nothing but its base URL changed, against the server as a process."""

import gc
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from cosystream.audio.formats import Format
from tests.support.decoding import decoded
from tests.support.server import ServerProcess, running_server

dashscope = pytest.importorskip("dashscope", reason="the client is not installed")
tts = pytest.importorskip("dashscope.audio.tts")
tts_v2 = pytest.importorskip("dashscope.audio.tts_v2")
failures = pytest.importorskip("dashscope.common.error")

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # the client leaves sockets open
]

HELLO = "你好，我是通义生成式语音大模型。很高兴认识你。"
KEY = "s3cret"
PCM = tts_v2.AudioFormat.PCM_24000HZ_MONO_16BIT


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("COSYSTREAM_API_KEYS", KEY)
        with running_server(tmp_path_factory.mktemp("server"), "--engine", "tone") as server:
            yield server


@pytest.fixture(autouse=True)
def _base_url(server: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(dashscope, "api_key", KEY)
    monkeypatch.setattr(dashscope, "base_websocket_api_url", url_of(server))
    yield
    gc.collect()  # its sockets, here and not in another test


def url_of(server: ServerProcess) -> str:
    return server.url.replace("http", "ws") + "/api-ws/v1/inference"


def pcm_of(server: ServerProcess, text: str, **fields: str) -> bytes:
    """What another route answers."""
    headers = {"authorization": f"Bearer {KEY}"}
    return httpx.post(f"{server.url}/synthesize", data={"text": text, **fields}, headers=headers).content


def streams_open(server: ServerProcess) -> str:
    exposition = httpx.get(f"{server.url}/metrics", headers={"x-api-key": KEY}).text
    (line,) = (line for line in exposition.splitlines() if line.startswith("cosystream_streams "))
    return line.split()[1]


def synthesizer(callback: "Heard | None" = None, **options: Any) -> Any:
    defaults = {"model": "cosyvoice-v2", "voice": "longxiaochun_v2", "format": PCM}
    return tts_v2.SpeechSynthesizer(callback=callback, **defaults | options)


class Heard(tts_v2.ResultCallback):  # type: ignore[name-defined,misc]
    """What the client calls back with."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.events: list[Any] = []
        self.audio = b""
        self.failure = ""
        self.sounds = threading.Event()
        self.closed = threading.Event()

    def on_open(self) -> None:
        self.calls.append("open")

    def on_complete(self) -> None:
        self.calls.append("complete")

    def on_error(self, message: str) -> None:
        self.calls.append("error")
        self.failure = message

    def on_close(self) -> None:
        self.calls.append("close")
        self.closed.set()

    def on_event(self, message: str) -> None:
        self.events.append(json.loads(message)["payload"]["output"])

    def on_data(self, data: bytes) -> None:
        self.audio += data
        self.sounds.set()


def test_a_call_returns_the_audio(server: ServerProcess) -> None:
    assert synthesizer().call(HELLO) == pcm_of(server, HELLO)


def test_dashscopes_voices_and_rates_are_followed(server: ServerProcess) -> None:
    spoken = synthesizer(voice="longanyang", speech_rate=2.0, volume=50).call(HELLO)
    assert spoken == pcm_of(server, HELLO, speaker="中文男", speed="2")


@pytest.mark.parametrize(
    ("format_", "container", "sample_rate"),
    [
        (tts_v2.AudioFormat.DEFAULT, "mp3", 22_050),
        (tts_v2.AudioFormat.MP3_48000HZ_MONO_256KBPS, "mp3", 48_000),
        (tts_v2.AudioFormat.WAV_16000HZ_MONO_16BIT, "wav", 16_000),
        (tts_v2.AudioFormat.OGG_OPUS_24KHZ_MONO_32KBPS, "opus", 48_000),
    ],
)
def test_every_format_of_the_client_is_served(
    server: ServerProcess, format_: Any, container: Format, sample_rate: int
) -> None:
    heard = decoded(synthesizer(format=format_).call(HELLO), container, sample_rate)
    assert heard.sample_rate == sample_rate
    assert heard.waveform.size / heard.sample_rate == pytest.approx(len(pcm_of(server, HELLO)) / 48_000, abs=0.2)


def test_a_streaming_call_hears_while_it_writes(server: ServerProcess) -> None:
    heard = Heard()
    client = synthesizer(heard, additional_params={"word_timestamp_enabled": True})
    client.streaming_call("你好，我是通义生成式语音大模型。很")
    assert heard.sounds.wait(10), "the first sentence is whole"
    client.streaming_call("高兴认识你。")
    client.streaming_complete(10_000)
    assert heard.calls == ["open", "complete", "close"]
    assert heard.audio == pcm_of(server, HELLO)
    sentences = [output for output in heard.events if output["type"] == "sentence-end"]
    assert "".join(output["original_text"] for output in sentences) == HELLO
    words = [word for output in sentences for word in output["sentence"]["words"]]
    assert "".join(word["text"] for word in words) == HELLO.replace("，", "").replace("。", "")
    assert words[-1]["end_time"] == len(heard.audio) // 48


def test_a_flush_speaks_at_once(server: ServerProcess) -> None:
    heard = Heard()
    client = synthesizer(heard)
    client.streaming_call("你好")
    client.streaming_flush()
    assert heard.sounds.wait(10)
    client.streaming_complete(10_000)
    assert heard.audio == pcm_of(server, "你好")


def test_a_call_with_a_callback_returns_before_it_is_heard(server: ServerProcess) -> None:
    heard = Heard()
    assert synthesizer(heard).call(HELLO) is None
    assert heard.closed.wait(10)
    assert heard.audio == pcm_of(server, HELLO)


def test_a_cancelled_call_ends_at_once_and_frees_its_job(server: ServerProcess) -> None:
    heard = Heard()
    client = synthesizer(heard)
    client.streaming_call("一 " * 1500)
    client.streaming_flush()
    assert heard.sounds.wait(10)
    client.streaming_cancel()
    assert heard.calls == ["open", "complete", "close"]
    assert len(heard.audio) < len(pcm_of(server, "一 " * 1500))
    assert streams_open(server) == "0.0"


def test_an_unknown_voice_raises_with_a_list_of_the_voices() -> None:
    with pytest.raises(failures.RequestFailure) as raised:
        synthesizer(voice="nobody").call(HELLO)
    assert raised.value.name == "InvalidParameter"
    assert raised.value.message.startswith("no voice 'nobody'; there are 中文女, 中文男, 英文女, 英文男")


def test_an_instruction_that_nobody_follows_raises_and_is_told_to_the_callback() -> None:
    heard = Heard()
    with pytest.raises(failures.RequestFailure, match="the engine 'tone' follows none"):
        synthesizer(heard, instruction="用四川话说这句话。").streaming_call(HELLO)
    assert heard.calls[0] == "error"
    assert json.loads(heard.failure)["header"]["error_code"] == "InvalidParameter"


def test_a_wrong_key_does_not_connect(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dashscope, "api_key", "wrong")
    with caplog.at_level(logging.CRITICAL, "dashscope"), pytest.raises(TimeoutError):
        synthesizer().call(HELLO)


def test_the_pool_reuses_its_connection(server: ServerProcess) -> None:
    pool = tts_v2.SpeechSynthesizerObjectPool(max_size=1, url=url_of(server))
    try:
        for _ in range(3):
            client = pool.borrow_synthesizer("cosyvoice-v2", "longxiaochun_v2", PCM)
            assert client.call(HELLO) == pcm_of(server, HELLO)
            assert pool.return_synthesizer(client) is not False
    finally:
        pool.shutdown()
        client.close()


@pytest.mark.filterwarnings("ignore:dashscope 2.0 audio API is a preview:FutureWarning")
def test_the_client_of_version_two_streams(server: ServerProcess) -> None:
    options: dict[str, Any] = {"voice": "longwan", "format": "pcm", "sample_rate": 24_000, "ws_url": url_of(server)}
    with dashscope.Client(api_key=KEY, base_url=server.url) as client:
        chunks = list(client.audio.tts.stream(HELLO, **options))
        assert len(chunks) > 10
        assert b"".join(chunks) == pcm_of(server, HELLO)
        with client.audio.tts.connect(**options) as session:
            session.send_text("一 " * 1500)
            session.flush()
            events = session.events()
            while not isinstance(next(events), bytes):
                pass
            session.cancel()
            rest = list(events)
        assert rest[-1]["header"]["event"] == "task-finished"


def test_the_client_of_version_one_says_all_at_once(server: ServerProcess) -> None:
    options: dict[str, Any] = {"format": "pcm", "sample_rate": 24_000, "word_timestamp_enabled": True}
    result = tts.SpeechSynthesizer.call(model="sambert-zhichu-v1", text=HELLO, **options)
    assert result.get_audio_data() == pcm_of(server, HELLO)
    assert result.get_timestamps()[-1]["end_time"] == len(pcm_of(server, HELLO)) // 48


def test_the_log_has_a_line_for_each_task(server: ServerProcess) -> None:
    client = synthesizer()
    client.call(HELLO)
    task = client.get_last_request_id()
    (line,) = (line for line in server.log().splitlines() if f"task_id={task}" in line)
    assert f" route=/api-ws/v1/inference task_id={task} outcome=finished chars=23 speaker=中文女 " in line
    assert HELLO not in server.log()
