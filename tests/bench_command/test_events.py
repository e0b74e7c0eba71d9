import pytest

from cosystream.bench.events import Event, EventReader
from cosystream.wire.sse import PING, frame

STREAM = frame("start", {"rate": 1}) + PING + frame("audio", {"audio": "00ff"}, "a:0") + PING + frame("done", {})
EVENTS = [Event("start", b'{"rate":1}'), Event("audio", b'{"audio":"00ff"}'), Event("done", b"{}")]


def test_reads_what_the_server_writes() -> None:
    assert list(EventReader().feed(STREAM)) == EVENTS


@pytest.mark.parametrize("size", [1, 2, 7, 30])
def test_however_the_stream_is_cut_the_events_are_the_same(size: int) -> None:
    reader = EventReader()
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert [event for piece in pieces for event in reader.feed(piece)] == EVENTS


def test_an_event_is_not_told_before_it_is_complete() -> None:
    reader = EventReader()
    assert list(reader.feed(STREAM[:-1])) == EVENTS[:-1]
    assert list(reader.feed(STREAM[-1:])) == EVENTS[-1:]
