import numpy as np
import pytest

from cosystream.engines.kokoro.silence import audible, pause_seconds
from cosystream.engines.kokoro.windows import Frames

QUIET, LOUD = -7.0, 8.0


def energy(*levels: tuple[float, int]) -> np.ndarray:
    return np.concatenate([np.full(num_frames, level, np.float32) for level, num_frames in levels])


def test_silence_around_a_clause_is_left_out_but_for_some_room() -> None:
    assert audible(energy((QUIET, 30), (LOUD, 100), (QUIET, 70))) == Frames(30 - 3, 130 + 6)


def test_silence_within_a_clause_is_kept() -> None:
    assert audible(energy((QUIET, 30), (LOUD, 50), (QUIET, 40), (LOUD, 50), (QUIET, 70))) == Frames(27, 176)


def test_there_is_not_more_room_than_frames() -> None:
    assert audible(energy((LOUD, 20))) == Frames(0, 20)


def test_a_whisper_is_not_taken_for_silence() -> None:
    frames = audible(energy((QUIET, 30), (-2.0, 40), (QUIET, 30)))
    assert frames == Frames(27, 76)


@pytest.mark.parametrize(
    ("phonemes", "seconds"),
    [("ni↓xau↓,", 0.10), ("ni↓xau↓.", 0.30), ("ni↓xau↓!”", 0.30), ("wˈɔk: ", 0.20), ("ni↓ ", 0.02), ("", 0.02)],
)
def test_a_pause_lasts_as_its_sign_asks(phonemes: str, seconds: float) -> None:
    assert pause_seconds(phonemes) == seconds
