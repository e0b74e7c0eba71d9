from itertools import pairwise

import httpx
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from cosystream.client.events import EventReader, ServerSentEvent
from cosystream.wire.native import Audio
from cosystream.wire.sse import PING, frame

LINES = st.sampled_from(
    ["event: audio", "event:done", "data: 你好", "data:", "data", ": ping", "id: 3", "retry: 9", "x", ""]
)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=30)


def read(body: bytes, cuts: list[int] | None = None) -> list[ServerSentEvent]:
    reader = EventReader()
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts or []), len(body)]
    pieces = [body[begin:end] for begin, end in pairwise(places)]
    return [event for piece in pieces for event in reader.feed(piece)]


def as_httpx_sse_reads(body: bytes) -> list[ServerSentEvent]:
    """It gives events without data, too, which the standard says are none."""
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=body)
    events = EventSource(answer).iter_sse()
    return [ServerSentEvent(event.event, event.data.encode()) for event in events if event.data]


@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=8))
def test_wherever_a_body_is_cut_the_events_are_the_same(lines: list[tuple[str, str]], cuts: list[int]) -> None:
    body = "".join(line + end for line, end in lines).encode()
    assert read(body, cuts) == read(body) == read(body, list(range(len(body))))


@given(STREAMS)
def test_a_client_that_exists_reads_the_same_events(lines: list[tuple[str, str]]) -> None:
    body = "".join(line + end for line, end in lines).encode()
    assert [event for event in read(body) if event.data] == as_httpx_sse_reads(body)


def test_what_the_server_writes_is_read() -> None:
    audio = Audio(index=0, audio="0100", samples=1, offset_ms=0)
    (event,) = read(PING + frame("audio", audio, "r1:0") + PING)
    assert event.name == "audio"
    assert event.data == b'{"index":0,"audio":"0100","samples":1,"offset_ms":0}'


def test_an_event_may_have_no_name_and_several_lines_of_data() -> None:
    assert read(b"\xef\xbb\xbfdata: one\ndata: two\n\n") == [ServerSentEvent("message", b"one\ntwo")]


def test_a_byte_order_mark_is_one_at_the_beginning_only() -> None:
    mark = b"\xef\xbb\xbf"
    assert read(mark + b"data: a\n\n" + mark + b"data: b\n\ndata: c\n\n", [1, 2]) == [
        ServerSentEvent("message", b"a"),
        ServerSentEvent("message", b"c"),
    ]


def test_what_is_cut_off_by_the_end_of_all_is_no_event() -> None:
    assert read(b"data: one\n") == []
    assert read(b"data: one\n\ndata: two") == [ServerSentEvent("message", b"one")]


def test_an_event_without_data_is_none_and_leaves_no_name_behind() -> None:
    assert read(b"event: done\n\ndata: x\n\n") == [ServerSentEvent("message", b"x")]
