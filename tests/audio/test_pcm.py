import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.audio.pcm import from_pcm, to_pcm


def waveform(*samples: float) -> np.typing.NDArray[np.float32]:
    return np.array(samples, dtype=np.float32)


def test_samples_become_signed_16_bit_little_endian() -> None:
    assert to_pcm(waveform(0.0, 0.5, -0.5, 1 / 32768)) == bytes.fromhex("0000 0040 00c0 0100")


def test_samples_are_rounded_to_the_nearest_step() -> None:
    assert to_pcm(waveform(1.4 / 32768, 1.6 / 32768, -1.6 / 32768)) == bytes.fromhex("0100 0200 feff")


def test_what_is_too_loud_is_clipped() -> None:
    assert to_pcm(waveform(1.0, 2.0, -1.0, -2.0)) == bytes.fromhex("ff7f ff7f 0080 0080")


def test_nothing_becomes_nothing() -> None:
    assert to_pcm(waveform()) == b""
    assert from_pcm(b"").size == 0


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="2 of 3 samples are not finite"):
        to_pcm(waveform(number, 0.0, number))


def test_every_sample_survives_the_way_out_and_back() -> None:
    pcm = np.arange(-32768, 32768).astype("<i2").tobytes()
    assert to_pcm(from_pcm(pcm)) == pcm


@given(st.lists(st.floats(-1.0, 1.0, width=32), min_size=1))
def test_a_waveform_comes_back_to_within_half_a_step_or_the_last_one(samples: list[float]) -> None:
    back = from_pcm(to_pcm(waveform(*samples)))
    assert np.abs(back - np.clip(waveform(*samples), -1.0, 32767 / 32768)).max() <= 0.5 / 32768
