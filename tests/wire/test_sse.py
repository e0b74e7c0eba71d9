from collections.abc import Iterable
from typing import Any

import httpx
import orjson
from httpx_sse import EventSource
from hypothesis import given
from hypothesis import strategies as st

from cosystream.wire.native import Audio, Sentence
from cosystream.wire.sse import PING, frame

names = st.sampled_from(["queued", "start", "audio", "sentence", "done", "error"])
ids = st.none() | st.from_regex(r"[\w.-]{1,64}:[0-9]{1,6}", fullmatch=True)
strings = st.text()
data = st.dictionaries(strings, strings | st.none() | st.booleans() | st.integers(-(2**53), 2**53))
sent = st.lists(st.tuples(names, data, ids), max_size=8)


def decode(frames: Iterable[bytes]) -> list[tuple[str, Any, str]]:
    """What a client that exists hears: names, data and ids."""
    answer = httpx.Response(200, headers={"content-type": "text/event-stream"}, content=b"".join(frames))
    return [(event.event, orjson.loads(event.data), event.id) for event in EventSource(answer).iter_sse()]


@given(sent)
def test_a_client_reads_what_was_sent(events: list[tuple[str, dict[str, Any], str | None]]) -> None:
    heard = decode(frame(name, fields, event_id) for name, fields, event_id in events)
    assert [event[:2] for event in heard] == [event[:2] for event in events]
    last_id = ""
    for (*_, sent_id), (*_, heard_id) in zip(events, heard, strict=True):
        last_id = sent_id or last_id  # an id holds until the next one
        assert heard_id == last_id


@given(sent)
def test_pings_between_events_are_not_heard(events: list[tuple[str, dict[str, Any], str | None]]) -> None:
    frames = [frame(*event) for event in events]
    with_pings = [PING, PING, *(piece for one in frames for piece in (one, PING))]
    assert decode(with_pings) == decode(frames)


@given(sent)
def test_whatever_a_client_takes_for_the_end_of_a_line_a_frame_has_the_same_lines(
    events: list[tuple[str, dict[str, Any], str | None]],
) -> None:
    for event in events:
        sent_bytes = frame(*event)
        assert sent_bytes.decode().splitlines() == sent_bytes.decode().split("\n")[:-1]
        assert sent_bytes.count(b"\n") == 3 + (event[2] is not None)


def test_a_frame_is_written_as_the_documentation_shows_it() -> None:
    assert frame("audio", Audio(index=3, audio="0100", samples=1, offset_ms=300), "r1:3") == (
        b'id: r1:3\nevent: audio\ndata: {"index":3,"audio":"0100","samples":1,"offset_ms":300}\n\n'
    )
    assert frame("sentence", Sentence(index=0, text="你好\n\u2028", begin_ms=0)) == (
        'event: sentence\ndata: {"index":0,"text":"你好\\n\\u2028","begin_ms":0}\n\n'.encode()
    )
