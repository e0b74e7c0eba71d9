import pytest

from cosystream.audio.encode import FileEncoder
from cosystream.audio.formats import FORMATS, MEDIA_TYPES, Format, rate_for
from tests.support.decoding import decoded

WANTED = [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000]


@pytest.mark.parametrize("wanted", [*WANTED, 8_001, 23_999, 47_999])
@pytest.mark.parametrize("format_", FORMATS)
def test_a_rate_that_a_format_says_it_can_hold_it_holds(format_: Format, wanted: int) -> None:
    held = rate_for(format_, wanted)
    assert rate_for(format_, held) == held
    encoder = FileEncoder(format_, held)
    encoder.feed(bytes(held // 5 * 2))
    heard = decoded(b"".join(encoder.finish()), format_, held)
    assert heard.sample_rate == (48_000 if format_ == "opus" else held)  # all Opus is decoded at 48 kHz
    assert heard.seconds == pytest.approx(0.2, abs=0.3)


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("format_", ["pcm", "wav", "flac", "mp3", "aac"])
def test_usual_rates_are_left_as_they_are(format_: Format, wanted: int) -> None:
    assert rate_for(format_, wanted) == wanted


@pytest.mark.parametrize(
    ("format_", "wanted", "held"),
    [
        ("opus", 22_050, 24_000),
        ("opus", 44_100, 48_000),
        ("opus", 11_025, 12_000),
        ("mp3", 10_000, 11_025),
        ("aac", 47_999, 48_000),
        ("flac", 12_345, 12_345),
    ],
)
def test_a_rate_that_cannot_be_held_gives_way_to_the_next_above_it(format_: Format, wanted: int, held: int) -> None:
    assert rate_for(format_, wanted) == held


@pytest.mark.parametrize("law", ["mulaw", "alaw"])
@pytest.mark.parametrize("wanted", WANTED)
def test_telephony_has_one_rate(law: Format, wanted: int) -> None:
    assert rate_for(law, wanted) == 8_000


def test_every_format_has_a_media_type_of_its_own() -> None:
    assert set(MEDIA_TYPES) == set(FORMATS)
    assert len(set(MEDIA_TYPES.values())) == len(FORMATS)
