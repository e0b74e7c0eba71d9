"""The short-time Fourier transform and its inverse, column by column against torch's of the whole."""

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.overlap_add import Analysis, Synthesis

HOP = 4
WINDOW = torch.hann_window(16, dtype=torch.float64)
SIGNAL = torch.randn(96, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def columns() -> Tensor:
    return torch.stft(SIGNAL, 16, HOP, window=WINDOW, return_complex=True)


@pytest.mark.parametrize("sizes", [[96], [9, 87], [48, 0, 48], [30, 30, 30, 6]])
def test_columns_are_those_of_the_whole_signal(columns: Tensor, sizes: list[int]) -> None:
    analysis, taken = Analysis(WINDOW, HOP), []
    num_fed = num_taken = 0
    for index, piece in enumerate(torch.split(SIGNAL, sizes)):
        last = index == len(sizes) - 1
        analysis.feed(piece, last=last)
        num_fed += len(piece)
        num_ready = columns.size(1) if last else max(0, (num_fed - 8) // HOP + 1)
        if num_ready > num_taken:
            taken.append(analysis.take(num_ready - num_taken)[0])
            num_taken = num_ready
    torch.testing.assert_close(torch.cat(taken, dim=1), torch.cat([columns.real, columns.imag]))


@pytest.mark.parametrize("sizes", [[25], [1] * 25, [7, 18], [24, 1]])
def test_the_signal_comes_back_up_to_both_its_ends(columns: Tensor, sizes: list[int]) -> None:
    synthesis = Synthesis(WINDOW, HOP)
    pieces = [
        synthesis.feed(piece[None], last=index == len(sizes) - 1)
        for index, piece in enumerate(torch.split(columns, sizes, dim=1))
    ]
    torch.testing.assert_close(torch.cat(pieces), SIGNAL)


def test_a_spectrum_of_no_signal_is_divided_by_its_windows_as_torch_does() -> None:
    spectrum = torch.randn(1, 9, 12, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    whole = torch.istft(spectrum, 16, HOP, window=WINDOW)[0]
    synthesis = Synthesis(WINDOW, HOP)
    pieces = [synthesis.feed(piece, last=False) for piece in torch.split(spectrum[..., :8], 3, dim=-1)]
    pieces.append(synthesis.feed(spectrum[..., 8:], last=True))
    torch.testing.assert_close(torch.cat(pieces), whole)
