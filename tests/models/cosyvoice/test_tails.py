"""What streams keep, put together and taken apart."""

import torch

from cosystream.models.cosyvoice.tails import Tails, alike, stacked

SIGNAL = torch.randn(2, 20, 3, generator=torch.Generator().manual_seed(0))


def test_a_signal_in_pieces_sees_the_same_behind_it_as_the_whole() -> None:
    whole, tails = Tails().extend("layer", SIGNAL, 4), Tails()
    for start in (0, 1, 11):
        end = {0: 1, 1: 11, 11: 20}[start]
        extended = tails.extend("layer", SIGNAL[:, start:end], 4)
        assert torch.equal(extended, whole[:, start : end + 4])


def test_streams_part_and_meet_again_unchanged() -> None:
    rows = [Tails(), Tails()]
    for row, signal in zip(rows, SIGNAL, strict=True):
        row.extend("layer", signal[None, :10], 4)
    together = stacked(rows)
    extended = together.extend("layer", SIGNAL[:, 10:], 4)
    assert torch.equal(extended, SIGNAL[:, 6:])
    for row, signal, parted in zip(rows, SIGNAL, together.rows(2), strict=True):
        assert torch.equal(row.kept["layer"], signal[None, 6:10])
        assert torch.equal(parted.kept["layer"], signal[None, 16:])


def test_what_is_handed_over_is_kept_no_longer() -> None:
    tails = Tails({"held": SIGNAL[:, :5]})
    assert torch.equal(tails.join("held", SIGNAL[:, 5:]), SIGNAL)
    assert not tails.kept


def test_places_of_equal_keys_come_together() -> None:
    assert alike(["a", "b", "a", "c", "b"]) == [[0, 2], [1, 4], [3]]
