"""What is let through, and what is not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from cosystream.engines.cosyvoice.guard import fault

LIMIT = 0.99
SPEECH: NDArray[np.float32] = (np.sin(np.linspace(0, 300, 4800)) / 2).astype(np.float32)


def test_speech_is_let_through_also_where_it_is_loud() -> None:
    loud = np.clip(SPEECH * np.float32(1.985), -LIMIT, LIMIT)
    assert fault(SPEECH, LIMIT) is None
    assert np.count_nonzero(np.abs(loud) >= LIMIT) > 0
    assert fault(loud, LIMIT) is None
    assert fault(SPEECH[:0], LIMIT) is None


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_single_sample_that_is_no_number_is_a_fault(number: float) -> None:
    spoilt = SPEECH.copy()
    spoilt[777] = number
    assert fault(spoilt, LIMIT) == "the models computed something that is no number"


def test_noise_at_full_scale_is_a_fault() -> None:
    noise = np.clip(SPEECH * np.float32(100), -LIMIT, LIMIT)
    assert "is overdriven" in (fault(noise, LIMIT) or "")
