"""A listener whose connection broke off comes back for the rest."""

import pytest
from starlette.types import ASGIApp

from cosystream.types import Prompt, SynthesisRequest
from cosystream.web.resuming import KEPT_SECONDS, MOST_KEPT, Resumable, Told
from cosystream.wire.fields import Call, Rendering
from tests.support.asgi import Answer, Event, ask, exchange

TEXT = "one two three four five six seven eight nine ten eleven twelve"
QUERY = {"text": TEXT, "seed": "5"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def told(request_id: str = "r", *, prompt: Prompt | None = None) -> Told:
    return Told(request_id, Call(SynthesisRequest("hello", prompt=prompt), Rendering()), ends=[10, 20, 30])


async def test_the_rest_is_what_the_whole_would_have_been(tone: ASGIApp) -> None:
    whole = await ask(tone, "GET", "/synthesize/stream", params=QUERY)
    async with exchange(tone, "GET", "/synthesize/stream", params=QUERY) as broken:
        events: list[Event] = []
        while sum(event.name == "audio" for event in events) < 3:
            message = await broken.next()
            if message["type"] == "http.response.body" and b"event:" in message["body"]:
                events += Answer([broken.answer.messages[0], message]).events
        broken.leave()
        await broken.ended()
    last_id = events[-1].id
    rest = await ask(tone, "GET", "/synthesize/stream", params=QUERY, headers={"last-event-id": last_id})
    heard = b"".join(bytes.fromhex(event.data["audio"]) for event in events if event.name == "audio")
    assert heard + rest.audio == whole.audio
    assert rest.events[0].name == "start"
    ids = [event.id for event in rest.events if event.name == "audio"]
    assert [i.rpartition(":")[2] for i in ids] == [str(index) for index in range(3, 3 + len(ids))]
    assert rest.events[-1].name == "done"
    assert rest.events[-1].data["samples"] == len(whole.audio) // 2
    texts = [event.data["text"] for event in (*events, *rest.events) if event.name == "sentence"]
    assert texts == [event.data["text"] for event in whole.events if event.name == "sentence"]


async def test_the_rest_can_break_off_and_be_gone_on_with_as_well(tone: ASGIApp) -> None:
    whole = await ask(tone, "POST", "/synthesize/stream", json=QUERY | {"seed": 5})
    audio = [event for event in whole.events if event.name == "audio"]
    first = await ask(tone, "GET", "/synthesize/stream", params=QUERY, headers={"last-event-id": audio[0].id})
    second_id = next(event.id for event in first.events if event.name == "audio")
    second = await ask(tone, "POST", "/synthesize/stream", json={"text": "?"}, headers={"last-event-id": second_id})
    assert bytes.fromhex(audio[0].data["audio"]) + first.audio == whole.audio
    skipped = next(bytes.fromhex(event.data["audio"]) for event in first.events if event.name == "audio")
    assert skipped + second.audio == first.audio


async def test_nothing_follows_the_last_event(tone: ASGIApp) -> None:
    whole = await ask(tone, "GET", "/synthesize/stream", params=QUERY)
    last_id = [event.id for event in whole.events if event.name == "audio"][-1]
    again = await ask(tone, "GET", "/synthesize/stream", params=QUERY, headers={"last-event-id": last_id})
    assert again.status == 204


def test_what_is_being_sent_and_what_broke_off_lately_is_found() -> None:
    clock = Clock()
    resumable, one = Resumable(clock), told()
    resumable.begin(one)
    clock.now = 1000.0
    rest = resumable.find("r:1")
    assert rest is not None
    assert (rest.num_heard, rest.num_samples) == (2, 20)
    resumable.end(one)
    clock.now += KEPT_SECONDS - 0.1
    assert resumable.find("r:1") is not None
    clock.now += 0.2
    assert resumable.find("r:1") is None


@pytest.mark.parametrize(
    "last_id", ["", "r", "r:", "r:-1", "r:3", "r:99999999999", "other:0", "r:0:0", "r:½", "../r:0"]
)
def test_an_id_that_was_never_given_is_not_found(last_id: str) -> None:
    resumable = Resumable(Clock())
    resumable.begin(told())
    assert resumable.find(last_id) is None


def test_a_request_with_a_recording_is_not_kept() -> None:
    resumable = Resumable(Clock())
    resumable.begin(told(prompt=Prompt(b"RIFF")))
    assert resumable.find("r:1") is None


def test_the_oldest_are_forgotten() -> None:
    resumable = Resumable(Clock())
    for number in range(MOST_KEPT + 5):
        resumable.begin(told(f"r{number}"))
    assert resumable.find("r4:0") is None
    assert resumable.find("r5:0") is not None
