from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from bench.reference_ours import Ours
from bench.reference_protocol import BLOCK, SMALL, Speech

MODEL = Path(__file__).parents[1] / "parity" / "golden" / "v3" / "model"
SPEECH = Speech((1, 2, 3), tuple(range(4, 14)), tuple(range(30)), num_tokens=60)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Others may be using the cores."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.mark.usefixtures("one_thread")
def test_either_way_every_listener_gets_what_so_many_tokens_sound_like() -> None:
    ours = Ours(MODEL, num_threads=1)
    spoken = {way: ours.speak(way, SPEECH, num_streams=2) for way in (BLOCK, SMALL)}
    for streams in spoken.values():
        for arrivals in streams:
            assert sum(arrival.audio_seconds for arrival in arrivals) == pytest.approx(60 / 25, abs=0.02)
            assert [a.at_seconds for a in arrivals] == sorted(a.at_seconds for a in arrivals)
    assert spoken[SMALL][0][0].audio_seconds < spoken[BLOCK][0][0].audio_seconds


@pytest.mark.usefixtures("one_thread")
def test_chunks_are_timed_early_and_late() -> None:
    early, late = Ours(MODEL, num_threads=1).chunk_seconds(BLOCK, SPEECH, (0, 50))
    assert min(early, late) > 0
