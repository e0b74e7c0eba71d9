import io
import threading
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cosystream.client import Client, Prompt, Queued, VoiceEntry
from cosystream.errors import NotReady, Stalled, Unauthorized, UnknownRequest
from tests.client.scripted import (
    AUDIO,
    DONE,
    END,
    EVENTS,
    PCM,
    START,
    Gate,
    Step,
    piece,
    refused,
    scripted_server,
    whole,
)

QUEUED = b'event: queued\ndata: {"request_id":"r1","position":2,"eta_ms":5}\n\n'
SENTENCE = b'event: sentence\ndata: {"index":0,"text":"hello","begin_ms":0}\n\n'


def json_answer(body: bytes) -> list[Step]:
    return [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body), body]


def test_a_chunk_is_there_before_the_next_is_sent() -> None:
    heard = Gate()
    script: list[Step] = [EVENTS, piece(START), piece(AUDIO), heard, piece(DONE), END]
    with scripted_server(script) as server, Client(server.url) as client:
        for chunk in client.stream("hello"):
            assert chunk.pcm == PCM
            heard.set()
        assert heard.is_set()


def test_a_speech_knows_how_far_it_is() -> None:
    asked, begun = Gate(), Gate()
    script: list[Step] = [EVENTS, piece(QUEUED), asked, piece(START + SENTENCE + AUDIO), begun, piece(DONE), END]
    with scripted_server(script) as server, Client(server.url) as client:
        speech = client.stream("hello")
        assert (speech.request_id, speech.place, speech.start, speech.done) == (None, None, None, None)
        events = speech.events()
        assert next(events) == Queued("r1", 2, 5) == speech.place
        assert speech.request_id == "r1"
        asked.set()
        assert next(events) is speech.start
        assert speech.place is None
        assert speech.start is not None
        assert (speech.start.speaker, speech.start.seed) == ("anna", 7)
        assert next(events) is speech.sentence
        next(events)
        assert speech.done is None
        begun.set()
        assert list(events) == [speech.done]


def test_leaving_the_loop_closes_the_connection_though_the_speech_is_kept() -> None:
    with scripted_server([EVENTS, piece(START + AUDIO), Gate()]) as server, Client(server.url) as client:
        speech = client.stream("hello")
        for _ in speech:
            break
        assert server.left.wait(10)
        assert speech.done is None


def test_an_exception_in_the_loop_closes_the_connection() -> None:
    with scripted_server([EVENTS, piece(START + AUDIO), Gate()]) as server, Client(server.url) as client:
        with pytest.raises(StopIteration):  # noqa: PT012 - what stands in the loop is what is tested
            for _ in client.stream("hello"):
                next(iter(()))
        assert server.left.wait(10)


def test_leaving_a_with_closes_the_connection_though_an_iterator_is_kept() -> None:
    with scripted_server([EVENTS, piece(START + AUDIO), Gate()]) as server, Client(server.url) as client:
        with client.stream("hello") as speech:
            chunks = iter(speech)
            next(chunks)
        assert server.left.wait(10)
        assert list(chunks) == []


def test_a_speech_that_was_closed_within_its_loop_ends_it() -> None:
    with scripted_server([EVENTS, piece(START + AUDIO), Gate()]) as server, Client(server.url) as client:
        speech = client.stream("hello")
        for _ in speech:
            speech.close()
        assert server.left.wait(10)


@pytest.mark.parametrize("retries", [0, 2])
def test_a_speech_that_another_thread_closes_ends_and_is_not_asked_for_again(retries: int) -> None:
    heard = threading.Event()
    with (
        scripted_server([EVENTS, piece(START + AUDIO), Gate()]) as server,
        Client(server.url, retries=retries, timeout=5) as client,
        ThreadPoolExecutor() as pool,
    ):
        speech = client.stream("hello")

        def hear() -> int:
            num_chunks = 0
            for _ in speech:
                num_chunks += 1
                heard.set()
            return num_chunks

        hearing = pool.submit(hear)
        assert heard.wait(10)
        speech.close()
        assert hearing.result() == 1
        assert server.left.wait(10)
    assert len(server.requests) == 1


def test_a_speech_that_was_closed_before_its_loop_is_not_asked_for() -> None:
    with scripted_server() as server, Client(server.url, timeout=2) as client:
        speech = client.stream("hello")
        speech.close()
        assert list(speech.events()) == []


def test_nothing_is_asked_before_the_loop_begins() -> None:
    with scripted_server() as server, Client(server.url) as client, client.stream("hello"):
        assert server.requests == []


def test_a_speech_is_heard_once() -> None:
    with scripted_server(whole(START, AUDIO, DONE)) as server, Client(server.url) as client:
        speech = client.stream("hello")
        list(speech)
        with pytest.raises(RuntimeError, match="heard once"):
            list(speech)


def test_whole_speech_is_a_file_that_plays(tmp_path: Path) -> None:
    with scripted_server(whole(START, AUDIO, DONE)) as server, Client(server.url) as client:
        audio = client.synthesize("hello")
    assert (audio.pcm, audio.sample_rate, audio.done.samples) == (PCM, 24000, 2)
    assert audio.duration_seconds == 2 / 24000
    audio.save(tmp_path / "hello.wav")
    assert (tmp_path / "hello.wav").read_bytes() == audio.wav
    with wave.open(io.BytesIO(audio.wav)) as file:
        assert file.getparams()[:4] == (1, 2, 24000, 2)
        assert file.readframes(2) == PCM


def test_voices_are_listed() -> None:
    body = (
        b'{"voices":[{"name":"anna","languages":["de"],"gender":"female","kind":"preset","sample_rate":24000}],'
        b'"default_speaker":"anna","note":"anna stands in"}'
    )
    with scripted_server(json_answer(body)) as server, Client(server.url) as client:
        voices = client.voices()
    assert voices.voices == [VoiceEntry("anna", ["de"], "female", "preset", 24000)]
    assert (voices.default_speaker, voices.note) == ("anna", "anna stands in")


def test_voices_of_a_server_that_loads_are_not_there_yet() -> None:
    loading = refused(503, b'{"error":{"type":"not_ready","message":"the engine is loading"}}', b"Retry-After: 1")
    with scripted_server(loading) as server, Client(server.url) as client, pytest.raises(NotReady, match="loading"):
        client.voices()


def test_a_voice_is_learnt_and_forgotten() -> None:
    learnt = b'{"name":"anna b","languages":["de"],"gender":"unknown","kind":"cloned","sample_rate":24000}'
    gone = [b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"]
    with scripted_server(json_answer(learnt), gone) as server, Client(server.url) as client:
        assert client.add_voice("anna b", Prompt(b"RIFF", "words")).kind == "cloned"
        client.remove_voice("anna b")
    assert server.requests[0].endswith(b'{"name":"anna b","prompt_wav":"UklGRg==","prompt_text":"words"}')
    assert server.requests[1].startswith(b"DELETE /v1/voices/anna%20b HTTP/1.1")


def test_a_server_that_learns_a_voice_may_be_silent_for_longer() -> None:
    learnt = b'{"name":"anna","languages":["de"],"gender":"unknown","kind":"cloned","sample_rate":24000}'
    is_learnt = Gate()
    with (
        scripted_server([is_learnt, *json_answer(learnt)]) as server,
        scripted_server([Gate()]) as silent,
        Client(server.url, timeout=0.1) as client,
        Client(silent.url, timeout=0.5) as other,
        ThreadPoolExecutor() as pool,
    ):
        learning = pool.submit(client.add_voice, "anna", Prompt(b"RIFF", "words"))
        with pytest.raises(Stalled, match=r"not a byte in 0\.5 s"):
            other.voices()
        is_learnt.set()
        assert learning.result().name == "anna"


def test_a_request_is_cancelled_by_its_id() -> None:
    unknown = b'{"error":{"type":"unknown_request","message":"no request x/y is in flight","field":null}}'
    answer = [b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"]
    with scripted_server(answer, refused(404, unknown)) as server, Client(server.url) as client:
        client.cancel("r1")
        with pytest.raises(UnknownRequest, match="no request x/y"):
            client.cancel("x/y")
    assert server.requests[0].startswith(b"DELETE /requests/r1 HTTP/1.1")
    assert server.requests[1].startswith(b"DELETE /requests/x%2Fy HTTP/1.1")


def test_the_key_is_sent_and_never_shown() -> None:
    wrong = b'{"error":{"type":"unauthorized","message":"send a valid key","field":null}}'
    with scripted_server(refused(401, wrong)) as server, Client(server.url, api_key="s3crèt") as client:
        with pytest.raises(Unauthorized) as caught:
            client.voices()
        assert "s3" not in f"{caught.value} {client._address}"
    assert "authorization: bearer s3crèt" in server.requests[0].decode().lower()
