"""Mel frames interpolated along time."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.stretch import Stretcher, stretch

speeds = st.floats(0.25, 4)
cuts = st.lists(st.integers(0, 12), min_size=1, max_size=8)


def ramp(num_frames: int) -> torch.Tensor:
    """A frame says where it lies."""
    return torch.arange(num_frames, dtype=torch.float64)[:, None].expand(-1, 2)


@given(speeds, cuts)
def test_however_it_is_cut_a_mel_is_stretched_the_same(speed: float, sizes: list[int]) -> None:
    mel, stretcher = ramp(sum(sizes)), Stretcher(speed)
    pieces = [stretcher.feed(piece, last=False) for piece in torch.split(mel, sizes)]
    pieces.append(stretcher.feed(mel[:0], last=True))
    joined = torch.cat(pieces)
    torch.testing.assert_close(joined, Stretcher(speed).feed(mel, last=True), rtol=0, atol=1e-9)
    assert len(joined) == int(len(mel) / speed)


@given(speeds, st.integers(1, 50))
def test_a_frame_lies_where_its_middle_falls(speed: float, num_frames: int) -> None:
    stretched = Stretcher(speed).feed(ramp(num_frames), last=True)[:, 0]
    expected = (torch.arange(len(stretched), dtype=torch.float64) + 0.5) * speed - 0.5
    torch.testing.assert_close(stretched, expected.clamp(0, num_frames - 1), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("num_frames", "speed"), [(39, 1.3), (36, 0.5), (40, 2)])
def test_where_speed_divides_the_length_streaming_is_the_whole(num_frames: int, speed: float) -> None:
    mel = torch.randn(num_frames, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Stretcher(speed).feed(mel, last=True), stretch(mel, speed))


def test_a_mel_at_its_own_speed_passes_unchanged_and_at_once() -> None:
    mel, stretcher = torch.randn(10, 3, generator=torch.Generator().manual_seed(0)), Stretcher(1)
    assert torch.equal(torch.cat([stretcher.feed(mel[:4], last=False), stretcher.feed(mel[4:], last=True)]), mel)
    assert len(Stretcher(1).feed(mel, last=False)) == 10


@pytest.mark.parametrize("speed", [0.5, 1.3, 2.0])
def test_a_frame_comes_as_soon_as_both_its_neighbours_are_there(speed: float) -> None:
    stretcher, num_frames = Stretcher(speed), 0
    for num_in in range(1, 60):
        num_frames += len(stretcher.feed(ramp(1), last=False))
        assert num_frames == pytest.approx(num_in / speed, abs=1 / speed + 1)


def test_the_whole_is_spread_evenly_over_the_frames_there_are() -> None:
    mel = ramp(36)
    expected = F.interpolate(mel.T[None], size=27, mode="linear", align_corners=False)[0].T
    torch.testing.assert_close(stretch(mel, 1.3), expected)
