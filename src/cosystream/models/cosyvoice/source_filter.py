"""What the two HiFT vocoders share: how source and mel meet at each rate, and how a spectrum comes out."""

import math
from itertools import accumulate
from operator import mul

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import HiFTConfig
from cosystream.models.cosyvoice.resblock import Extend, ResBlock
from cosystream.models.cosyvoice.source import Source

MAX_MAGNITUDE = 100.0


class SourceFilter(nn.Module):
    """A network that filters a source as a mel says, from frame rate up to that of a short inverse STFT.

    Shapes: T steps at the rate of a stage, C channels of it, K columns of the STFT, B bins.
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
            nn.Conv1d(2 * self.num_bins, width, kernel_size=2 * stride if stride > 1 else 1, stride=stride)
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
        self.conv_post = nn.Conv1d(self.widths[-1], 2 * self.num_bins, kernel_size=7)

    def window(self) -> Tensor:
        """Of the STFT and its inverse."""
        weight = self.conv_post.weight
        return torch.hann_window(self.config.n_fft, dtype=weight.dtype, device=weight.device)

    def fuse(self, stage: int, x: Tensor, source: Tensor, extend: Extend) -> Tensor:
        """Add ``source`` (1, C, T) to ``x`` (1, C, T), both at the rate of ``stage``, and mix them."""
        x = x + self.source_resblocks[stage](source, extend)
        first = stage * self.num_kernels
        mixed = torch.zeros_like(x)
        for block in self.resblocks[first : first + self.num_kernels]:
            mixed = mixed + block(x, extend)
        return mixed / self.num_kernels

    def spectrum(self, x: Tensor, extend: Extend) -> Tensor:
        """The complex spectrum (1, B, K) that ``x`` (1, C, K) of the last stage stands for."""
        x = self.conv_post(extend("conv_post", F.leaky_relu(x), 6))  # slope 0.01 here, unlike before the stages
        magnitude = torch.exp(x[:, : self.num_bins]).clamp(max=MAX_MAGNITUDE)
        return torch.polar(magnitude, torch.sin(x[:, self.num_bins :]))  # the sine of it is taken for the phase itself
