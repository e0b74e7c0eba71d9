"""The short-time Fourier transform and its inverse, column by column against torch's of the whole."""

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.overlap_add import Analysis, Synthesis
from cosystream.models.cosyvoice.tails import Tails

HOP = 4
WINDOW = torch.hann_window(16, dtype=torch.float64)
SIGNAL = torch.randn(96, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def columns() -> Tensor:
    return torch.stft(SIGNAL, 16, HOP, window=WINDOW, return_complex=True)


@pytest.mark.parametrize("sizes", [[96], [9, 87], [48, 0, 48], [30, 30, 30, 6]])
def test_columns_are_those_of_the_whole_signal(columns: Tensor, sizes: list[int]) -> None:
    analysis, tails, taken = Analysis(WINDOW, HOP), Tails(), []
    num_fed = num_taken = 0
    for index, piece in enumerate(torch.split(SIGNAL, sizes)):
        last = index == len(sizes) - 1
        analysis.feed(tails, piece[None], last=last)
        num_fed += len(piece)
        num_ready = columns.size(1) if last else max(0, (num_fed - 8) // HOP + 1)
        if num_ready > num_taken:
            taken.append(analysis.take(tails, num_ready - num_taken)[0].T)
            num_taken = num_ready
    torch.testing.assert_close(torch.cat(taken, dim=1), torch.cat([columns.real, columns.imag]))


@pytest.mark.parametrize("sizes", [[25], [2] + [1] * 23, [7, 18], [24, 1]])
def test_the_signal_comes_back_up_to_both_its_ends(columns: Tensor, sizes: list[int]) -> None:
    synthesis, tails = Synthesis(WINDOW, HOP), Tails()
    pieces = [
        synthesis.feed(tails, beside(piece), last=index == len(sizes) - 1)[0]
        for index, piece in enumerate(torch.split(columns, sizes, dim=1))
    ]
    torch.testing.assert_close(torch.cat(pieces), SIGNAL)


def test_a_spectrum_of_no_signal_is_divided_by_its_windows_as_torch_does() -> None:
    spectrum = torch.randn(1, 9, 12, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    whole = torch.istft(spectrum, 16, HOP, window=WINDOW)[0]
    synthesis, tails = Synthesis(WINDOW, HOP), Tails()
    pieces = [
        synthesis.feed(tails, beside(piece), last=False)[0] for piece in torch.split(spectrum[0, :, :8], 3, dim=-1)
    ]
    pieces.append(synthesis.feed(tails, beside(spectrum[0, :, 8:]), last=True)[0])
    torch.testing.assert_close(torch.cat(pieces), whole)


def beside(columns: Tensor) -> Tensor:
    """The spectrum (1, K, 2B) of complex ``columns`` (B, K)."""
    return torch.cat([columns.real, columns.imag]).T[None]
