import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.audio.pcm import from_pcm, to_pcm
from cosystream.audio.quality import rms_dbfs
from cosystream.audio.resample import Resampler

RATES = [8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000]


def sine(hertz: float, sample_rate: int, seconds: float) -> np.typing.NDArray[np.float32]:
    times = np.arange(round(sample_rate * seconds)) / sample_rate
    return (0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32)


def noise(num_samples: int) -> bytes:
    return to_pcm(np.random.default_rng(7).uniform(-0.9, 0.9, num_samples).astype(np.float32))


def resample(pieces: list[bytes], source_rate: int, target_rate: int) -> bytes:
    resampler = Resampler(source_rate, target_rate)
    return b"".join([*map(resampler.feed, pieces), resampler.finish()])


@given(
    num_samples=st.integers(0, 8_000),
    cuts=st.lists(st.integers(0, 8_000), max_size=8).map(sorted),
    source_rate=st.sampled_from(RATES),
    target_rate=st.sampled_from(RATES),
)
def test_fed_in_pieces_gives_the_same_bytes(
    num_samples: int, cuts: list[int], source_rate: int, target_rate: int
) -> None:
    pcm = noise(num_samples)
    ends = [2 * cut for cut in cuts]
    pieces = [pcm[begin:end] for begin, end in zip([0, *ends], [*ends, len(pcm)], strict=True)]
    assert resample(pieces, source_rate, target_rate) == resample([pcm], source_rate, target_rate)


@given(
    num_samples=st.integers(0, 8_000),
    source_rate=st.sampled_from(RATES),
    target_rate=st.integers(8_000, 48_000),
)
def test_all_output_is_as_long_as_the_input_to_the_nearest_sample(
    num_samples: int, source_rate: int, target_rate: int
) -> None:
    num_out = len(resample([noise(num_samples)], source_rate, target_rate)) / 2
    assert abs(num_out - num_samples * target_rate / source_rate) <= 0.5


@pytest.mark.parametrize("target_rate", [8_000, 16_000, 22_050, 44_100, 48_000])
def test_a_tone_keeps_its_pitch_its_level_and_its_place(target_rate: int) -> None:
    heard = from_pcm(resample([to_pcm(sine(440.0, 24_000, seconds=1.0))], 24_000, target_rate))
    error = heard - sine(440.0, target_rate, seconds=1.0)
    middle = slice(target_rate // 10, -target_rate // 10)
    assert np.abs(error[middle]).max() < 1e-4


def test_what_the_lower_rate_cannot_hold_is_left_out() -> None:
    heard = from_pcm(resample([to_pcm(sine(6_000.0, 24_000, seconds=1.0))], 24_000, 8_000))
    assert rms_dbfs(heard[800:-800], 8_000, silence_dbfs=-200.0) < -90.0


def test_speech_that_overshoots_is_clipped_and_does_not_wrap_around() -> None:
    square = np.sign(sine(100.0, 24_000, seconds=0.2))
    heard = from_pcm(resample([to_pcm(square)], 24_000, 44_100))
    assert np.abs(np.diff(heard)).max() < 1.5


def test_equal_rates_pass_the_same_object_through() -> None:
    resampler, pcm = Resampler(24_000, 24_000), noise(100)
    assert resampler.feed(pcm) is pcm
    assert resampler.finish() == b""


@pytest.mark.parametrize(("target_rate", "most_seconds"), [(8_000, 0.08), (16_000, 0.04), (48_000, 0.04)])
def test_output_lags_behind_input_by_little(target_rate: int, most_seconds: float) -> None:
    resampler = Resampler(24_000, target_rate)
    num_out = 0
    for num_in in range(240, 24_000, 240):
        num_out += len(resampler.feed(bytes(480))) // 2
        assert num_in / 24_000 - num_out / target_rate < most_seconds
