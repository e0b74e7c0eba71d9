"""The residual blocks of the vocoder, for v2 that sees both sides and for v3 that sees the past alone."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.convolution import TimeConv

Extend: TypeAlias = Callable[[str, Tensor, int], Tensor]
"""(layer, x, num): ``x`` (R, T, C) made ``num`` longer, for T to be left of it: ``Tails.extend`` or ``symmetric``."""


def symmetric(_layer: str, x: Tensor, num: int) -> Tensor:
    """``x`` (R, T, C) with silence on both sides, (R, T + num, C): nothing is known but the piece itself."""
    return F.pad(x, (0, 0, num // 2, num - num // 2))


class Snake(nn.Module):
    """An activation with a period of its own for each channel.

    Shapes: R rows, T steps, C channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x + sin(alpha x)^2 / alpha, (R, T, C), with no more temporaries than there must be."""
        squares = (x * self.alpha).sin_().square_()
        return torch.addcmul(x, squares, 1 / (self.alpha + 1e-9), out=squares)


class ResBlock(nn.Module):
    """Dilated convolutions, each followed by a plain one, added to what they were given.

    Shapes: R rows, T steps, C channels.
    """

    def __init__(self, name: str, channels: int, kernel_size: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.name = name
        self.convs1 = nn.ModuleList(TimeConv(channels, channels, kernel_size, dilation=d) for d in dilations)
        self.convs2 = nn.ModuleList(TimeConv(channels, channels, kernel_size) for _ in dilations)
        self.activations1 = nn.ModuleList(Snake(channels) for _ in dilations)
        self.activations2 = nn.ModuleList(Snake(channels) for _ in dilations)
        self.spans = [(kernel_size - 1) * d for d in dilations]
        self.plain_span = kernel_size - 1

    def forward(self, x: Tensor, extend: Extend) -> Tensor:
        for index, span in enumerate(self.spans):
            y = extend(f"{self.name}.convs1.{index}", self.activations1[index](x), span)
            y = self.convs1[index](y)  # (R, T, C)
            y = extend(f"{self.name}.convs2.{index}", self.activations2[index](y), self.plain_span)
            x = self.convs2[index](y).add_(x)
        return x
