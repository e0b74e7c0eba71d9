import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.wire.accept import LONGEST, choose

OFFERS = {"text/event-stream": "events", "audio/wav": "wav", "audio/x-wav": "wav", "audio/pcm": "pcm"}

names = st.sampled_from([*OFFERS, "audio/*", "text/*", "*/*", "*", "audio/flac", "image/png", ""])
qualities = st.sampled_from(
    ["", ";q=0", ";q=0.3", "; q=0.7", ";Q=1", ";q=2", ";q=", ";q=nan", ";q=-1", ";level=1;q=0.5"]
)
entries = st.builds(lambda name, quality: name + quality, names, qualities)
headers = st.lists(entries, max_size=5).map(", ".join) | st.text()


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        # anything will do
        ("", "events"),
        ("  ", "events"),
        (",, ,", "events"),
        ("*/*", "events"),
        ("text/html, application/xhtml+xml, */*;q=0.8", "events"),
        ("application/json, text/plain, */*", "events"),
        # one of them will do
        ("text/event-stream", "events"),
        ("audio/wav", "wav"),
        ("audio/x-wav", "wav"),
        ("audio/pcm", "pcm"),
        ("AUDIO/PCM", "pcm"),
        (" audio/pcm ; rate=24000 ", "pcm"),
        ("audio/*", "wav"),
        ("text/*", "events"),
        # some more than others
        ("audio/wav, text/event-stream", "wav"),
        ("text/event-stream, audio/wav", "events"),
        ("audio/wav;q=0.2, audio/pcm;q=0.9, text/event-stream;q=0.5", "pcm"),
        ("audio/wav; q=0.2, audio/pcm ;Q = 0.9", "pcm"),
        ("audio/flac, audio/pcm;q=0.1", "pcm"),
        ("audio/webm,audio/ogg,audio/wav,audio/*;q=0.9,application/ogg;q=0.7,video/*;q=0.6,*/*;q=0.5", "wav"),
        # the most exact entry says how much
        ("text/event-stream;q=0.1, */*", "wav"),
        ("text/event-stream;q=0, */*", "wav"),
        ("audio/wav;q=0, */*", "events"),
        ("audio/wav;q=0, audio/*", "pcm"),
        ("audio/*;q=0.4, audio/pcm;q=0.5", "pcm"),
        ("audio/*, audio/wav;q=0.5", "pcm"),
        ("*/*, audio/*;q=0, text/*;q=0.1", "events"),
        # none of them will do
        ("application/json", None),
        ("image/*", None),
        ("*/*;q=0", None),
        ("audio/wav;q=0", None),
        # nonsense refuses what it speaks of
        ("audio/wav;q=high", None),
        ("audio/wav;q=", None),
        ("audio/wav;q=nan", None),
        ("audio/wav;q=inf", None),
        ("audio/wav;q=-1", None),
        ("audio/wav;q=1.5, audio/pcm;q=0.1", "pcm"),
        ("audio", None),
        ("*", None),
        ("/", None),
        (";;;=,=;q", None),
    ],
)
def test_the_best_liked_offer_is_chosen(accept: str, chosen: str | None) -> None:
    assert choose(accept, OFFERS, otherwise="events") == chosen


@pytest.mark.parametrize("accept", ["", "*/*", "audio/*", "audio/pcm, audio/wav;q=0.9"])
def test_who_does_not_care_gets_the_other_default(accept: str) -> None:
    assert choose(accept, OFFERS, otherwise="pcm") == "pcm"


def test_what_stands_behind_thousands_of_letters_is_not_read() -> None:
    assert choose("a," * (LONGEST // 2 - 9) + "audio/wav", OFFERS, otherwise="events") == "wav"
    assert choose("a," * (LONGEST // 2) + "audio/wav", OFFERS, otherwise="events") is None


@given(headers, st.sampled_from(sorted(set(OFFERS.values()))))
def test_whatever_the_header_says_the_choice_is_an_offer_or_none(accept: str, otherwise: str) -> None:
    assert choose(accept, OFFERS, otherwise) in {None, *OFFERS.values()}


@given(headers, names)
def test_what_is_refused_by_name_is_never_chosen(accept: str, name: str) -> None:
    others = [entry for entry in accept.split(",") if entry.partition(";")[0].strip().lower() not in OFFERS]
    for refused in OFFERS:
        header = ", ".join([*others, f"{refused};q=0"])
        assert choose(header, OFFERS, otherwise="events") != OFFERS[refused]
