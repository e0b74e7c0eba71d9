"""The convolutions that let a token see the few that follow it, in front of both flows."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.streaming import Past


class EncoderState:
    """What a flow encoder keeps of the tokens behind it, at token rate and at frame rate."""

    def __init__(self) -> None:
        self.tokens = Past()
        self.frames = Past()

    def commit(self, num_tokens: int, num_frames: int) -> None:
        """Let the piece just encoded be past."""
        self.tokens.commit(num_tokens)
        self.frames.commit(num_frames)

    def fork(self) -> "EncoderState":
        """The same past, to be gone on from in another way."""
        other = EncoderState()
        other.tokens, other.frames = self.tokens.fork(), self.frames.fork()
        return other


class PreLookahead(nn.Module):
    """A convolution that sees ahead, one that sees behind, and the tokens themselves added.

    Shapes: B batch, T tokens of the piece, L tokens seen but not yet spoken, D features, C channels.
    """

    def __init__(self, in_channels: int, channels: int, lookahead: int) -> None:
        super().__init__()
        self.lookahead = lookahead
        self.conv1 = nn.Conv1d(in_channels, channels, kernel_size=lookahead + 1)
        self.conv2 = nn.Conv1d(channels, in_channels, kernel_size=3)

    def forward(self, x: Tensor, lookahead: Tensor, past: Past) -> Tensor:
        """``x`` (B, T, D) as it is spoken; ``lookahead`` (B, L, D) may be empty: silence follows the end."""
        y = torch.cat([x, lookahead], dim=1).transpose(1, 2)  # (B, D, T + L)
        y = F.leaky_relu(self.conv1(F.pad(y, (0, self.lookahead - lookahead.size(1)))))  # (B, C, T)
        y = self.conv2(past.extend("pre_lookahead_layer.conv2", y, num_past=2))  # (B, D, T)
        spoken: Tensor = x + y.transpose(1, 2)  # (B, T, D)
        return spoken
