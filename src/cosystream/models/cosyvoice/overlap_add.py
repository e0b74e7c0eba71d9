"""A short-time Fourier transform and its inverse, column by column as signals come in.

Windows are so short that a product with the matrix of the transform is fastest.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.tails import Tails

PENDING = "analysis"
OVERLAP, SQUARES = "synthesis.overlap", "synthesis.squares"


class Analysis:
    """The columns of a centred STFT, of signals that are fed piece by piece and reflected at both ends.

    Shapes: R rows, N samples, K columns, B bins, W window.
    """

    def __init__(self, window: Tensor, hop: int) -> None:
        self.size = len(window)
        self.hop = hop
        angles = _angles(window)
        matrix = torch.cat([angles.cos(), -angles.sin()]) * window.double()
        self.matrix = matrix.T.to(window)  # (W, 2B)

    def feed(self, tails: Tails, signal: Tensor, *, last: bool) -> None:
        """``signal`` (R, N), more than half a window to begin with."""
        half = self.size // 2
        if PENDING in tails.kept:
            signal = tails.join(PENDING, signal)  # from the first sample of the next column on
        elif signal.size(1):
            signal = F.pad(signal, (half, 0), mode="reflect")
        if not signal.size(1):
            return
        tails.kept[PENDING] = F.pad(signal, (0, half), mode="reflect") if last else signal

    def take(self, tails: Tails, num_columns: int) -> Tensor:
        """The next columns, real parts beside imaginary ones, (R, K, 2B)."""
        pending = tails.kept[PENDING]
        size = (num_columns - 1) * self.hop + self.size
        assert pending.size(1) >= size, "more columns than the signal has"
        tails.kept[PENDING] = pending[:, num_columns * self.hop :].clone()
        return pending[:, :size].unfold(1, self.size, self.hop) @ self.matrix


class Synthesis:
    """The signals of a centred STFT: columns overlap, and what the next ones may add to is held back.

    The window is divided out by the sum of its squares over the columns there are, which is a constant only away from
    the ends: it is summed like the signal.

    Shapes: R rows, N samples, K columns, B bins, W window.
    """

    def __init__(self, window: Tensor, hop: int) -> None:
        assert len(window) % hop == 0
        self.size = len(window)
        self.hop = hop
        angles = _angles(window)
        weights = angles.new_full((len(angles), 1), 2 / self.size)
        weights[0] = weights[-1] = 1 / self.size  # the others stand for their conjugates as well
        matrix = torch.cat([angles.cos(), -angles.sin()]) * weights.repeat(2, 1) * window.double()
        self.matrix = matrix.to(window)  # (2B, W)
        self.squares = window.square()  # (W,)

    def feed(self, tails: Tails, spectrum: Tensor, *, last: bool) -> Tensor:
        """The samples (R, N) that ``spectrum`` (R, K, 2B), real parts beside imaginary ones, completes.

        With ``last`` all up to the last column's middle. The first columns reach the middle of the very first.
        """
        half, is_first = self.size // 2, OVERLAP not in tails.kept
        assert not is_first or spectrum.size(1) * self.hop >= half, "too few columns to begin with"
        sums = self._add(tails, OVERLAP, spectrum @ self.matrix)
        windows = self._add(tails, SQUARES, self.squares.expand(*spectrum.shape[:2], -1))
        num_done = sums.size(1) - (half if last else self.size - self.hop)
        tails.kept[OVERLAP], tails.kept[SQUARES] = sums[:, num_done:].clone(), windows[:, num_done:].clone()
        done = slice(half if is_first else 0, num_done)
        return sums[:, done] / windows[:, done]

    def _add(self, tails: Tails, name: str, columns: Tensor) -> Tensor:
        """``columns`` (R, K, W), each a hop behind the one before, added to each other and to what is kept, (R, N)."""
        num_rows, num_columns, size = columns.shape
        num_hops = size // self.hop
        hops = columns.reshape(num_rows, num_columns, num_hops, self.hop)
        sums = columns.new_zeros(num_rows, num_columns + num_hops - 1, self.hop)
        for index in range(num_hops):
            sums[:, index : index + num_columns] += hops[:, :, index]
        flat = sums.flatten(1)
        kept = tails.kept.get(name)
        if kept is not None:
            flat[:, : kept.size(1)] += kept
        return flat


def _angles(window: Tensor) -> Tensor:
    """Of each bin at each sample, (B, W), in float64."""
    size = len(window)
    steps = torch.arange(size, device=window.device)
    turns = torch.arange(size // 2 + 1, device=window.device)[:, None] * steps % size
    return turns.double() * (2 * math.pi / size)
