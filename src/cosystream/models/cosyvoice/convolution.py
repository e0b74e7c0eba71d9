"""Convolutions over time, of a signal whose channels lie side by side: that is how a CPU reads them fastest."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere


class TimeConv(nn.Conv1d):
    """A convolution that adds nothing at the ends: whoever calls it extends what goes in.

    Shapes: R rows, T steps, C channels, K kernel size.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(R, T, C) -> (R, T', C')."""
        if x.dtype == torch.float64 and self.stride == (1,):
            return self._product(x)
        image = x.transpose(1, 2)[:, :, None]  # (R, C, 1, T), channels last in memory
        weight = self.weight[:, :, None]
        y = F.conv2d(image, weight, self.bias, stride=(1, *self.stride), dilation=(1, *self.dilation))
        return y[:, :, 0].transpose(1, 2).contiguous()

    def _product(self, x: Tensor) -> Tensor:
        """As one product of matrices, since the libraries have no convolutions in float64 to speak of."""
        (kernel_size,), (dilation,) = self.kernel_size, self.dilation
        num_steps = x.size(1) - (kernel_size - 1) * dilation
        taps = torch.stack([x[:, tap * dilation :][:, :num_steps] for tap in range(kernel_size)], dim=-1)
        return F.linear(taps.flatten(2), self.weight.flatten(1), self.bias)  # (R, T', C K) -> (R, T', C')


class RepeatConv(nn.Conv1d):
    """A convolution over steps each of which is repeated ``rate`` times.

    Shapes: R rows, T steps, C channels, P steps behind.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, rate: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size)
        self.rate = rate
        self.num_past = -(-(kernel_size - 1) // rate)
        """Steps behind, before they are repeated."""

    def forward(self, x: Tensor) -> Tensor:
        """(R, P + T, C) -> (R, rate T, C')."""
        x = x.transpose(1, 2).repeat_interleave(self.rate, dim=-1)
        unseen = self.num_past * self.rate - (self.kernel_size[0] - 1)
        return super().forward(x[..., unseen:]).transpose(1, 2).contiguous()


class TransposedConv(nn.ConvTranspose1d):
    """A convolution that makes ``rate`` steps of each, by weights of their own.

    Shapes: R rows, T steps, C channels.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, rate: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride=rate, padding=(kernel_size - rate) // 2)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """(R, T, C) -> (R, rate T, C')."""
        return super().forward(x.transpose(1, 2), output_size).transpose(1, 2).contiguous()
