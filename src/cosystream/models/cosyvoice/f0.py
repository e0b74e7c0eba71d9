"""Predicts the pitch from the mel: v2's sees both sides of a frame, v3's three frames ahead."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import HiFTConfig
from cosystream.models.cosyvoice.convolution import TimeConv
from cosystream.models.cosyvoice.resblock import Extend

F0_LOOKAHEAD = 3
"""Frames that the first convolution of the causal one sees ahead."""


class F0Predictor(nn.Module):
    """v2's.

    Shapes: M mel bins, T frames.
    """

    def __init__(self, config: HiFTConfig) -> None:
        super().__init__()
        channels = config.f0_channels
        layers: list[nn.Module] = []
        for in_channels in (config.in_channels, *[channels] * 4):
            layers += [nn.Conv1d(in_channels, channels, kernel_size=3, padding=1), nn.ELU()]
        self.condnet = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels, 1)

    def forward(self, mel: Tensor) -> Tensor:
        """f0 (T,) in Hz of ``mel`` (T, M), of one utterance: beside others it would be rounded in other ways."""
        x = self.condnet(mel.T[None]).transpose(1, 2)  # (1, T, C)
        return torch.abs(self.classifier(x)).flatten()


class CausalF0Predictor(nn.Module):
    """v3's, in float64: phase sums what it says, so that an error in its last digits is heard in the end.

    Shapes: R rows, T frames, M mel bins.
    """

    def __init__(self, config: HiFTConfig) -> None:
        super().__init__()
        channels = config.f0_channels
        layers: list[nn.Module] = [TimeConv(config.in_channels, channels, F0_LOOKAHEAD + 1, dtype=torch.float64)]
        for _ in range(4):
            layers += [nn.ELU(), TimeConv(channels, channels, kernel_size=3, dtype=torch.float64)]
        self.condnet = nn.ModuleList(layers)  # named by place, ELU included
        self.classifier = nn.Linear(channels, 1, dtype=torch.float64)

    def forward(self, mel: Tensor, extend: Extend) -> Tensor:
        """f0 (R, T) in Hz, float64, of all frames of ``mel`` (R, T + 3, M) but the last three, which it merely sees."""
        x = F.elu(self.condnet[0](mel.double()))  # (R, T, C)
        for index in range(2, len(self.condnet), 2):
            x = F.elu(self.condnet[index](extend(f"f0_predictor.condnet.{index}", x, 2)))
        return torch.abs(self.classifier(x)).squeeze(-1)
