"""The tool that makes the voices' data."""

import numpy as np
import pytest

from cosystream.audio.quality import peak, rms_dbfs
from cosystream.engines.kokoro.model import SAMPLE_RATE
from tools.make_voices import LARGEST_PEAK, LEVEL_DBFS, gain, joined_norm


def test_norms_of_pieces_are_joined_to_that_of_the_whole() -> None:
    whole = np.random.default_rng(0).normal(3.0, 2.0, size=(5, 100))
    pieces = np.split(whole, [20, 50], axis=1)
    norms = [np.stack([piece.mean(axis=1), piece.var(axis=1)]) for piece in pieces]
    joined = joined_norm(norms, weights=[20, 30, 50])
    np.testing.assert_allclose(joined, np.stack([whole.mean(axis=1), whole.var(axis=1)]))


def test_a_voice_is_brought_to_one_level() -> None:
    tone = np.sin(np.arange(SAMPLE_RATE) / 10).astype(np.float32)
    assert rms_dbfs(gain(tone) * tone, SAMPLE_RATE) == pytest.approx(LEVEL_DBFS, abs=0.1)


def test_a_voice_with_high_peaks_stays_below_the_limit() -> None:
    clicks = np.where(np.arange(SAMPLE_RATE) % 240 == 0, 1.0, 0.001).astype(np.float32)
    assert peak(gain(clicks) * clicks) == pytest.approx(LARGEST_PEAK)
