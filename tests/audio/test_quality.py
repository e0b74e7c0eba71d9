import math

import numpy as np
import pytest
from numpy.typing import NDArray

from cosystream.audio.quality import (
    leading_silence_seconds,
    longest_silence_seconds,
    num_clipped,
    peak,
    rms_dbfs,
    seam_jumps,
    voiced_seconds,
)

RATE = 24_000
NOTHING = np.zeros(0, np.float32)


def tone(seconds: float, amplitude: float = 1.0) -> NDArray[np.float32]:
    radians = 2 * np.pi * 400 / RATE * np.arange(round(RATE * seconds))
    return np.asarray(amplitude * np.sin(radians), dtype=np.float32)


def silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(round(RATE * seconds), np.float32)


def waveform(*samples: float) -> NDArray[np.float32]:
    return np.array(samples, dtype=np.float32)


@pytest.mark.parametrize(("amplitude", "dbfs"), [(1.0, -3.01), (0.1, -23.01), (0.01, -43.01)])
def test_the_level_of_a_sine_is_3_db_below_its_peak(amplitude: float, dbfs: float) -> None:
    assert rms_dbfs(tone(0.5, amplitude), RATE) == pytest.approx(dbfs, abs=0.01)


def test_pauses_do_not_count_towards_the_level() -> None:
    speech = np.concatenate([silence(1.0), tone(0.3), silence(2.0), tone(0.1), silence(0.007)])
    assert rms_dbfs(speech, RATE) == pytest.approx(rms_dbfs(tone(0.4), RATE))


def test_what_counts_as_silence_can_be_chosen() -> None:
    whisper = tone(0.2, amplitude=0.001)
    assert rms_dbfs(whisper, RATE) == -math.inf
    assert rms_dbfs(whisper, RATE, silence_dbfs=-70.0) == pytest.approx(-63.01, abs=0.01)
    assert leading_silence_seconds(whisper, RATE, silence_dbfs=-70.0) == 0
    assert longest_silence_seconds(whisper, RATE, silence_dbfs=-70.0) == 0


def test_silence_has_no_level() -> None:
    assert rms_dbfs(silence(0.5), RATE) == -math.inf


def test_the_peak_is_the_largest_amplitude_of_either_sign() -> None:
    assert peak(waveform(0.25, -0.5, 0.125)) == 0.5


def test_samples_at_the_limit_and_past_it_are_clipped() -> None:
    assert num_clipped(waveform(1.0, 32767 / 32768, 32766 / 32768, 0.0, -32767 / 32768, -1.0, -1.5)) == 5


def test_silence_is_measured_before_speech() -> None:
    assert leading_silence_seconds(np.concatenate([silence(0.25), tone(0.1), silence(0.5)]), RATE) == 0.25


@pytest.mark.parametrize(
    "pauses", [(0.5, 0.1, 0.2), (0.1, 0.5, 0.2), (0.2, 0.1, 0.5)], ids=["before", "between", "after"]
)
def test_the_longest_silence_may_be_anywhere(pauses: tuple[float, float, float]) -> None:
    before, between, after = map(silence, pauses)
    speech = np.concatenate([before, tone(0.1), between, tone(0.2), after])
    assert longest_silence_seconds(speech, RATE) == 0.5


def test_what_is_no_silence_is_voiced() -> None:
    speech = np.concatenate([silence(1.0), tone(0.3), silence(2.0), tone(0.1), silence(0.007)])
    assert voiced_seconds(speech, RATE) == 0.4
    assert voiced_seconds(silence(0.5), RATE) == voiced_seconds(NOTHING, RATE) == 0
    assert voiced_seconds(tone(0.2, amplitude=0.001), RATE, silence_dbfs=-70.0) == 0.2


def test_all_silence_is_one_silence() -> None:
    assert leading_silence_seconds(silence(0.305), RATE) == 0.305
    assert longest_silence_seconds(silence(0.305), RATE) == 0.305


def test_speech_throughout_has_no_silence() -> None:
    assert leading_silence_seconds(tone(0.305), RATE) == 0
    assert longest_silence_seconds(tone(0.305), RATE) == 0


def test_a_jump_counts_where_it_is() -> None:
    jumps = seam_jumps([waveform(0.0, 0.125), waveform(0.625, 0.375), waveform(0.375)])
    assert jumps.at_seams == 0.5
    assert jumps.inside == 0.25


def test_empty_chunks_are_no_seams() -> None:
    whole = tone(0.05)
    assert seam_jumps([NOTHING, whole, NOTHING]) == seam_jumps([whole])
    assert seam_jumps([whole]).at_seams == 0


def test_a_cut_tone_jumps_at_its_seams_no_further_than_inside() -> None:
    jumps = seam_jumps(np.split(tone(0.1), [500, 1_000, 2_000]))
    assert 0 < jumps.at_seams <= jumps.inside


def test_of_nothing_there_is_nothing_to_measure() -> None:
    assert rms_dbfs(NOTHING, RATE) == -math.inf
    assert peak(NOTHING) == num_clipped(NOTHING) == 0
    assert leading_silence_seconds(NOTHING, RATE) == longest_silence_seconds(NOTHING, RATE) == 0
    assert seam_jumps([]) == seam_jumps([NOTHING])
