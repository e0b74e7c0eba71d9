import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cosystream.audio.gain import KNEE, amplify
from cosystream.audio.pcm import from_pcm

SAMPLES = np.arange(-32768, 32768, dtype="<i2").tobytes()


def test_as_loud_as_it_is_are_the_same_bytes() -> None:
    assert amplify(SAMPLES, 1.0) is SAMPLES


@pytest.mark.parametrize("gain", [0.1, 0.5, 0.9])
def test_softer_is_exactly_softer(gain: float) -> None:
    np.testing.assert_allclose(from_pcm(amplify(SAMPLES, gain)), gain * from_pcm(SAMPLES), atol=1e-4)


@pytest.mark.parametrize("gain", [1.5, 2.0, 10.0])
def test_louder_is_exactly_louder_while_there_is_room_and_never_falls(gain: float) -> None:
    before, after = from_pcm(SAMPLES), from_pcm(amplify(SAMPLES, gain))
    has_room = np.abs(gain * before) <= KNEE
    np.testing.assert_allclose(after[has_room], gain * before[has_room], atol=1e-4)
    assert (np.diff(after) >= 0).all()  # nothing wraps around
    assert np.abs(after).max() >= KNEE


@given(arrays(np.dtype("<i2"), st.integers(0, 50)), st.integers(0, 50), st.floats(0.01, 10.0))
def test_it_does_not_matter_how_the_speech_is_cut(samples: np.ndarray, cut: int, gain: float) -> None:
    pcm = samples.tobytes()
    assert amplify(pcm[: 2 * cut], gain) + amplify(pcm[2 * cut :], gain) == amplify(pcm, gain)
