"""The same convolutions with fewer products, for a CPU that does nothing else.

A long kernel meets its signal in tiles: both are transformed by a short Fourier transform, there multiplied, and
transformed back. A tile of 16 steps and a kernel of 11 give 6 steps for 23 real products instead of 66. In float32 the
sums are shorter, too, and round less. And what is to be convolved after each step was repeated is instead convolved
as it is, by sums of the kernel's taps.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.convolution import RepeatConv, TimeConv

LEAST_TAPS = 7
"""A kernel shorter than that is fastest as it is."""
TILES = {7: 16, 11: 32}
"""Steps of a tile by taps of the kernel, where measured."""


class TiledConv(nn.Module):
    """What ``conv`` does, by tiles of ``size`` steps.

    Shapes: R rows, T steps, C channels, D dilation, B tiles of each of D interleaved signals, W steps of a tile,
    Q products, H steps that a tile gives.
    """

    analysis: Tensor  # (Q, W)
    weight: Tensor  # (Q, C, C')
    synthesis: Tensor  # (H, Q)
    bias: Tensor  # (C',)

    def __init__(self, conv: TimeConv, size: int) -> None:
        super().__init__()
        assert conv.stride == (1,)
        assert conv.bias is not None
        (self.num_taps,), (self.dilation,) = conv.kernel_size, conv.dilation
        self.hop = size - self.num_taps + 1
        analysis, taps, synthesis = _products(self.num_taps, size)
        kernel = conv.weight.detach()
        weight = torch.einsum("qk,oik->qio", taps.to(kernel.device), kernel.double())
        for name, buffer in (("analysis", analysis), ("weight", weight), ("synthesis", synthesis)):
            self.register_buffer(name, buffer.to(kernel).contiguous(), persistent=False)
        self.register_buffer("bias", conv.bias.detach() * size, persistent=False)  # of the mean, over all its steps

    def forward(self, x: Tensor) -> Tensor:
        """(R, T', C) -> (R, T, C'), T' as much longer as the kernel spans."""
        num_rows, length, channels = x.shape
        size, dilation = self.hop + self.num_taps - 1, self.dilation
        num_steps = length - (self.num_taps - 1) * dilation
        num_tiles = -(-num_steps // (self.hop * dilation))
        x = F.pad(x, (0, 0, 0, (num_tiles * self.hop + self.num_taps - 1) * dilation - length))
        step = dilation * channels
        tiles = x.as_strided((size, num_rows, num_tiles, step), (step, x.stride(0), self.hop * step, 1))
        columns = torch.mm(self.analysis, tiles.reshape(size, -1))  # (Q, R B D C)
        products = torch.bmm(columns.view(len(columns), -1, channels), self.weight)  # (Q, R B D, C')
        products[0] += self.bias
        y = torch.mm(self.synthesis, products.flatten(1)).view(self.hop, num_rows, num_tiles, -1)
        return y.permute(1, 2, 0, 3).reshape(num_rows, num_tiles * self.hop * dilation, -1)[:, :num_steps]


class PhaseConv(nn.Module):
    """What ``conv`` does, without repeating: each of its phases is a convolution over what there was before.

    Shapes: R rows, T steps, C channels, P steps behind.
    """

    def __init__(self, conv: RepeatConv) -> None:
        super().__init__()
        assert conv.bias is not None
        rate, (num_taps,), self.num_past = conv.rate, conv.kernel_size, conv.num_past
        self.rate = rate
        self.conv = TimeConv(conv.in_channels, rate * conv.out_channels, self.num_past + 1, device="meta")
        kernel = conv.weight.detach().double()  # (C', C, K)
        weight = kernel.new_zeros(rate, *kernel.shape[:2], self.num_past + 1)
        for phase in range(rate):
            for tap in range(num_taps):
                weight[phase, :, :, self.num_past + (phase - (num_taps - 1) + tap) // rate] += kernel[..., tap]
        self.conv.weight = nn.Parameter(weight.flatten(0, 1).to(conv.weight.dtype), requires_grad=False)
        self.conv.bias = nn.Parameter(conv.bias.detach().repeat(rate), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """(R, P + T, C) -> (R, rate T, C')."""
        y: Tensor = self.conv(x)  # (R, T, rate C')
        return y.reshape(len(y), self.rate * y.size(1), -1)


def quicken(module: nn.Module) -> None:
    """Put these in the place of all convolutions in ``module`` that they are for, once its weights are there."""
    for name, child in module.named_children():
        if isinstance(child, RepeatConv):
            setattr(module, name, PhaseConv(child))
        elif isinstance(child, TimeConv) and _is_worth_tiles(child):
            num_taps = child.kernel_size[0]
            setattr(module, name, TiledConv(child, TILES.get(num_taps, 2 * num_taps)))
        else:
            quicken(child)


def _is_worth_tiles(conv: TimeConv) -> bool:
    on_cpu = conv.weight.device.type == "cpu"
    long = conv.kernel_size[0] >= LEAST_TAPS and conv.stride == (1,)
    return on_cpu and long and conv.out_channels == conv.in_channels


def _products(num_taps: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """How a tile and a kernel become factors, and what becomes of their products: (Q, W), (Q, K) and (H, Q), float64.

    A frequency's two numbers a + ib are multiplied by the kernel's c + id with three products, k1 = c (a + b),
    k2 = a (d - c) and k3 = b (c + d): the real part is k1 - k3, the imaginary one k1 + k2. The lowest frequency and the
    highest are real.
    """
    steps = torch.arange(size, dtype=torch.float64)
    hop = size - num_taps + 1
    analysis, taps, synthesis = [], [], []
    for frequency in range(size // 2 + 1):
        angles = 2 * math.pi / size * (frequency * steps % size)
        cos, sin = angles.cos(), angles.sin()
        if frequency * 2 in (0, size):
            analysis.append(cos)
            taps.append(cos[:num_taps])
            synthesis.append(cos[:hop] / size)
        else:
            analysis += [cos - sin, cos, -sin]
            taps += [cos[:num_taps], (sin - cos)[:num_taps], (cos + sin)[:num_taps]]
            synthesis += [part[:hop] * 2 / size for part in (cos - sin, -sin, -cos)]
    return torch.stack(analysis), torch.stack(taps), torch.stack(synthesis, dim=1)
