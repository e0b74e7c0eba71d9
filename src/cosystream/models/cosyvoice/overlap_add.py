"""A short-time Fourier transform and its inverse, column by column as a signal comes in."""

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its name everywhere


class Analysis:
    """The columns of a centred STFT, of a signal that is fed piece by piece and reflected at both ends.

    Shapes: N samples, K columns, B bins.
    """

    def __init__(self, window: Tensor, hop: int) -> None:
        self.window = window
        self.hop = hop
        self._pending = window.new_zeros(0)
        """From the first sample of the next column on."""
        self._started = False

    def feed(self, signal: Tensor, *, last: bool) -> None:
        """``signal`` (N,), more than half a window to begin with."""
        half = len(self.window) // 2
        self._pending = torch.cat([self._pending, signal])
        if not self._started and len(signal):
            self._pending = F.pad(self._pending[None], (half, 0), mode="reflect")[0]
            self._started = True
        if last and self._started:
            self._pending = F.pad(self._pending[None], (0, half), mode="reflect")[0]

    def take(self, num_columns: int) -> Tensor:
        """The next columns, real parts above imaginary ones, (1, 2B, K)."""
        size = (num_columns - 1) * self.hop + len(self.window)
        assert len(self._pending) >= size, "more columns than the signal has"
        columns = torch.stft(
            self._pending[:size],
            n_fft=len(self.window),
            hop_length=self.hop,
            window=self.window,
            center=False,
            return_complex=True,
        )
        self._pending = self._pending[num_columns * self.hop :]
        return torch.cat([columns.real, columns.imag])[None]


class Synthesis:
    """The signal of a centred STFT: columns overlap, and what the next ones may add to is held back.

    The window is divided out by the sum of its squares over the columns there are, which is a constant only away from
    the ends: it is summed like the signal.

    Shapes: N samples, K columns, B bins.
    """

    def __init__(self, window: Tensor, hop: int) -> None:
        self.window = window
        self.hop = hop
        self._overlap = window.new_zeros(2, 0)  # signal and squared window
        self._num_skipped = len(window) // 2
        """Samples still to come that lie before the middle of the first column."""

    def feed(self, spectrum: Tensor, *, last: bool) -> Tensor:
        """The samples (N,) that ``spectrum`` (1, B, K) completes; with ``last`` all up to the last column's middle."""
        size, num_columns = len(self.window), spectrum.size(-1)
        columns = torch.fft.irfft(spectrum[0], n=size, dim=0) * self.window[:, None]  # (W, K)
        squares = self.window.square()[:, None].expand(-1, num_columns)
        sums = F.fold(  # (2, 1, 1, N)
            torch.stack([columns, squares]),
            output_size=(1, (num_columns - 1) * self.hop + size),
            kernel_size=(1, size),
            stride=(1, self.hop),
        )[:, 0, 0]
        sums[:, : self._overlap.size(1)] += self._overlap
        num_done = sums.size(1) - (size // 2 if last else size - self.hop)
        done, self._overlap = sums[:, :num_done], sums[:, num_done:]
        done = done[:, self._num_skipped :]
        self._num_skipped = max(0, self._num_skipped - num_done)
        return done[0] / done[1]
