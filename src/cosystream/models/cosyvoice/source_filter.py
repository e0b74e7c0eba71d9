"""What the two HiFT vocoders share: how source and mel meet at each rate, and how a spectrum comes out."""

import math
from functools import lru_cache
from itertools import accumulate
from operator import mul

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import HiFTConfig
from cosystream.models.cosyvoice.convolution import TimeConv
from cosystream.models.cosyvoice.fast_convolution import quicken
from cosystream.models.cosyvoice.overlap_add import Analysis, Synthesis
from cosystream.models.cosyvoice.resblock import Extend, ResBlock
from cosystream.models.cosyvoice.source import Source

MAX_MAGNITUDE = 100.0


class SourceFilter(nn.Module):
    """A network that filters a source as a mel says, from frame rate up to that of a short inverse STFT.

    Shapes: R rows, T steps at the rate of a stage, C channels of it, K columns of the STFT, B bins.
    """

    def __init__(self, config: HiFTConfig) -> None:
        super().__init__()
        self.config = config
        self.num_bins = config.n_fft // 2 + 1
        self.frame_columns = math.prod(config.upsample_rates)
        self.frame_samples = self.frame_columns * config.hop_length
        rates = config.upsample_rates
        self.widths = [config.base_channels // 2 ** (i + 1) for i in range(len(rates))]
        self.strides = [self.frame_columns // rate for rate in accumulate(rates, mul)]
        """Columns of the source's STFT to a step of each stage."""
        self.m_source = Source(config)
        self.source_downs = nn.ModuleList(
            TimeConv(2 * self.num_bins, width, kernel_size=2 * stride if stride > 1 else 1, stride=stride)
            for width, stride in zip(self.widths, self.strides, strict=True)
        )
        self.source_resblocks = nn.ModuleList(
            ResBlock(f"source_resblocks.{i}", width, kernel_size, dilations)
            for i, (width, kernel_size, dilations) in enumerate(
                zip(self.widths, config.source_resblock_kernel_sizes, config.source_resblock_dilations, strict=True)
            )
        )
        self.num_kernels = len(config.resblock_kernel_sizes)
        self.resblocks = nn.ModuleList(
            ResBlock(f"resblocks.{i * self.num_kernels + j}", width, kernel_size, dilations)
            for i, width in enumerate(self.widths)
            for j, (kernel_size, dilations) in enumerate(
                zip(config.resblock_kernel_sizes, config.resblock_dilations, strict=True)
            )
        )
        self.conv_post = TimeConv(self.widths[-1], 2 * self.num_bins, kernel_size=7)

    def transforms(self) -> tuple[Analysis, Synthesis]:
        """Between samples and spectrum."""
        weight = self.conv_post.weight
        return _transforms(self.config.n_fft, self.config.hop_length, weight.dtype, weight.device)

    def fuse(self, stage: int, x: Tensor, source: Tensor, extend: Extend) -> Tensor:
        """Add ``source`` (R, T, C) to ``x`` (R, T, C), both at the rate of ``stage``, and mix them."""
        x = x + self.source_resblocks[stage](source, extend)
        first = stage * self.num_kernels
        mixed: Tensor = self.resblocks[first](x, extend)
        for block in self.resblocks[first + 1 : first + self.num_kernels]:
            mixed = mixed + block(x, extend)
        return mixed / self.num_kernels

    def spectrum(self, x: Tensor, extend: Extend) -> Tensor:
        """The spectrum that ``x`` (R, K, C) of the last stage stands for, real beside imaginary parts, (R, K, 2B)."""
        x = self.conv_post(extend("conv_post", F.leaky_relu(x), 6))  # slope 0.01 here, unlike before the stages
        magnitude = torch.exp(x[..., : self.num_bins]).clamp(max=MAX_MAGNITUDE)
        phase = torch.sin(x[..., self.num_bins :])  # the sine of it is taken for the phase itself
        return torch.cat([magnitude * torch.cos(phase), magnitude * torch.sin(phase)], dim=-1)

    def quicken(self) -> None:
        """Lay out the weights, once they are loaded, as the device computes with them fastest."""
        quicken(self)


@lru_cache
def _transforms(n_fft: int, hop: int, dtype: torch.dtype, device: torch.device) -> tuple[Analysis, Synthesis]:
    window = torch.hann_window(n_fft, dtype=dtype, device=device)
    return Analysis(window, hop), Synthesis(window, hop)
