"""The end of one piece going over into the beginning of the next."""

import pytest
import torch

from cosystream.models.cosyvoice.crossfade import crossfade, fade_window


def test_what_both_pieces_say_keeps_its_level_under_a_hann_window() -> None:
    steady = torch.ones(5000)
    torch.testing.assert_close(crossfade(steady, steady, fade_window(3840, 0.5)), steady, rtol=0, atol=1e-3)


def test_a_hamming_window_is_eight_per_cent_louder() -> None:
    steady = torch.ones(5000)
    faded = crossfade(steady, steady, fade_window(3840, 0.54))
    torch.testing.assert_close(faded[:3840], torch.full((3840,), 1.08), rtol=0, atol=1e-3)


@pytest.mark.parametrize("num_more", [0, 3])
def test_a_fade_begins_with_the_old_piece_and_ends_with_the_new_one(num_more: int) -> None:
    old = torch.cat([torch.full((num_more,), 5.0), -torch.ones(100)])
    faded = crossfade(torch.ones(150), old, fade_window(100, 0.5))
    assert len(faded) == 150
    assert faded[0] == pytest.approx(-1, abs=1e-3)
    assert (faded.diff() >= 0).all()
    torch.testing.assert_close(faded[99:], torch.ones(51), rtol=0, atol=1e-3)
