from cosystream.bench.player import Player
from cosystream.wire.native import Audio, FailureEvent, Problem
from cosystream.wire.sse import frame

CHUNK = Audio(index=0, audio="00" * 200, samples=100, offset_ms=0)  # 0.1 s
START = frame("start", {"sample_rate": 1000})
DONE = frame("done", {"chunks": 2, "samples": 200, "rtf": 0.5})


def _audio(index: int) -> bytes:
    return frame("audio", Audio(index, CHUNK.audio, CHUNK.samples, index * 100), f"r:{index}")


def _player() -> Player:
    player = Player("text", now=1.0)
    player.answered(200, None)
    return player


def test_a_whole_answer_is_served_and_timed_from_the_question() -> None:
    player = _player()
    player.body(1.25, START + _audio(0))
    player.body(1.5, _audio(1) + DONE)
    heard = player.heard()
    assert heard.served
    assert (heard.first_audio_seconds, heard.chunks, heard.rtf) == (0.25, 2, 0.5)
    assert heard.underruns == 1


def test_each_chunk_is_handed_on_with_its_time_of_arrival() -> None:
    arrived: list[tuple[float, str]] = []
    player = Player("text", 1.0, lambda now, audio: arrived.append((now, audio)))
    player.answered(200, None)
    player.body(2.0, START + _audio(0))
    assert arrived == [(2.0, CHUNK.audio)]


def test_a_lost_chunk_is_noticed() -> None:
    player = _player()
    player.body(2.0, START + _audio(0) + DONE)
    assert player.heard().problem == "2 chunks of 200 samples were sent, 1 of 100 arrived"
    assert not player.heard().served


def test_chunks_out_of_order_are_noticed() -> None:
    player = _player()
    player.body(2.0, START + _audio(1) + _audio(0) + DONE)
    assert player.heard().problem is not None


def test_an_answer_that_breaks_off_is_noticed() -> None:
    player = _player()
    player.body(2.0, START + _audio(0))
    assert player.heard().problem == "the answer breaks off"


def test_an_error_in_the_stream_is_told_in_the_servers_words() -> None:
    player = _player()
    player.body(2.0, START + frame("error", FailureEvent(Problem("timeout", "no audio for 10 s"), partial_audio=False)))
    assert player.heard().problem == "no audio for 10 s"


def test_being_told_to_come_back_is_no_problem() -> None:
    player = Player("text", 1.0)
    player.answered(503, "7")
    player.body(1.0, b'{"error":{}}')
    heard = player.heard()
    assert heard.refused
    assert (heard.retry_after_seconds, heard.problem) == (7.0, None)


def test_a_refusal_that_does_not_say_when_to_come_back_does_not_count_as_one() -> None:
    player = Player("text", 1.0)
    player.answered(503, None)
    assert not player.heard().refused


def test_no_answer_at_all_is_a_problem() -> None:
    assert Player("text", 1.0).heard().problem == "no answer"
