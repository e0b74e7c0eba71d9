"""v2's flow encoder: conformer layers at token rate, twice as many vectors, and conformer layers at frame rate."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import ConformerConfig
from cosystream.models.cosyvoice.lookahead import EncoderState, PreLookahead
from cosystream.models.streaming import Past, block_mask

UPSAMPLING = 2
"""Frames a token."""
NUM_UP_BLOCKS = 4
"""Layers at frame rate."""
LAYER_EPSILON = 1e-12
"""Of the norms within a conformer layer; all others have 1e-5."""


class UpsampleConformer(nn.Module):
    """Embedded speech tokens in, two vectors a token out.

    A piece is encoded behind all that ``state`` has committed; the whole is a piece behind nothing.

    Shapes: T tokens of the piece, L tokens seen but not yet spoken, D features.
    """

    def __init__(self, config: ConformerConfig, *, lookahead: int, chunk_size: int) -> None:
        super().__init__()
        size = config.output_size
        self.chunk_size = chunk_size
        self.embed = Embed(config.input_size, size)
        self.pre_lookahead_layer = PreLookahead(size, size, lookahead)
        self.encoders = nn.ModuleList(ConformerLayer(f"encoders.{i}", config) for i in range(config.num_blocks))
        self.up_layer = Upsample(size)
        self.up_embed = Embed(size, size)
        self.up_encoders = nn.ModuleList(ConformerLayer(f"up_encoders.{i}", config) for i in range(NUM_UP_BLOCKS))
        self.after_norm = nn.LayerNorm(size)

    def forward(self, x: Tensor, lookahead: Tensor, state: EncoderState, *, streaming: bool) -> Tensor:
        """``x`` (1, T, D) and ``lookahead`` (1, L, D) to (1, 2T, D'); what lies behind is ``state``'s, not changed yet.

        When streaming, attention ends with the chunk that a token lies in; else it sees everything.
        """
        h = self.pre_lookahead_layer(self.embed(x), self.embed(lookahead), state.tokens)
        h = run_layers(self.encoders, h, state.tokens, self.chunk_size if streaming else None)
        h = self.up_embed(self.up_layer(h, state.frames))
        h = run_layers(self.up_encoders, h, state.frames, UPSAMPLING * self.chunk_size if streaming else None)
        out: Tensor = self.after_norm(h)
        return out


def run_layers(layers: nn.ModuleList, x: Tensor, past: Past, block: int | None) -> Tensor:
    """``x`` (1, N, D) through ``layers`` that share positions and mask."""
    num_new = x.size(1)
    positions = position_table(past.num_frames, num_new, x)
    visible = None if block is None else block_mask(past.num_frames, num_new, block, x.device)
    for layer in layers:
        x = layer(x, positions, past, visible)
    return x


def position_table(num_past: int, num_new: int, like: Tensor) -> Tensor:
    """Sinusoids of every distance between N new queries and P + N keys, falling: (P + 2N, D), as ``like`` (1, N, D) is.

    A key behind its query is at a positive distance. The last row belongs to no pair: ``shift_distances`` wants it.
    """
    size = like.size(-1)
    distances = torch.arange(num_past + num_new - 1, -num_new - 1, -1, device=like.device, dtype=torch.float32)
    m = torch.arange(0, size, 2, device=like.device, dtype=torch.float32)
    angles = distances[:, None] * torch.exp(m * (-math.log(10_000) / size))
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1).to(like.dtype)


def shift_distances(scores: Tensor) -> Tensor:
    """Scores by query and distance, (B, H, N, P + 2N), to scores by query and key, (B, H, N, P + N).

    Distances fall from left to right, so that each query's first key lies one to the left of the query's before.
    """
    num_new, num_distances = scores.shape[-2:]
    width = num_distances - 1  # of rows that begin one earlier each
    rows = scores.flatten(2)[..., num_new - 1 : num_new - 1 + num_new * width]
    return rows.view(*scores.shape[:2], num_new, width)[..., : num_distances - num_new]


class Embed(nn.Module):
    """Linear and norm, scaled up."""

    def __init__(self, in_features: int, size: int) -> None:
        super().__init__()
        self.out = nn.Sequential(nn.Linear(in_features, size), nn.LayerNorm(size))
        self.scale = math.sqrt(size)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.out(x) * self.scale
        return out


class Upsample(nn.Module):
    """Each vector twice, and a causal convolution over them: (1, T, D) -> (1, 2T, D)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(size, size, kernel_size=2 * UPSAMPLING + 1)

    def forward(self, x: Tensor, past: Past) -> Tensor:
        frames = x.repeat_interleave(UPSAMPLING, dim=1).mT  # (1, D, 2T)
        out: Tensor = self.conv(past.extend("up_layer.conv", frames, num_past=2 * UPSAMPLING))
        return out.mT


class ConformerLayer(nn.Module):
    """Attention and a feed-forward, each behind its norm; this conformer has no convolutions of its own."""

    def __init__(self, layer: str, config: ConformerConfig) -> None:
        super().__init__()
        size = config.output_size
        self.norm_mha = nn.LayerNorm(size, LAYER_EPSILON)
        self.self_attn = RelativeAttention(layer, config)
        self.norm_ff = nn.LayerNorm(size, LAYER_EPSILON)
        self.feed_forward = FeedForward(size, config.linear_units)

    def forward(self, x: Tensor, positions: Tensor, past: Past, visible: Tensor | None) -> Tensor:
        x = x + self.self_attn(self.norm_mha(x), positions, past, visible)
        out: Tensor = x + self.feed_forward(self.norm_ff(x))
        return out


class RelativeAttention(nn.Module):
    """Attention that knows distances: score(i, j) = ((q_i + u) k_j + (q_i + v) p(i - j)) / sqrt(E).

    Shapes: N vectors of the piece, P behind it, D features, H heads, E head size, R = P + 2N distances.
    """

    def __init__(self, layer: str, config: ConformerConfig) -> None:
        super().__init__()
        size, heads = config.output_size, config.num_heads
        self.layer = layer
        self.head_size = size // heads
        self.linear_q = nn.Linear(size, size)
        self.linear_k = nn.Linear(size, size)
        self.linear_v = nn.Linear(size, size)
        self.linear_out = nn.Linear(size, size)
        self.linear_pos = nn.Linear(size, size, bias=False)
        self.pos_bias_u = nn.Parameter(torch.zeros(heads, self.head_size))
        self.pos_bias_v = nn.Parameter(torch.zeros(heads, self.head_size))

    def forward(self, x: Tensor, positions: Tensor, past: Past, visible: Tensor | None) -> Tensor:
        """``x`` (1, N, D) with ``positions`` (R, D); ``visible`` (N, P + N), None is all."""
        q, k, v = (self._split(project(x)) for project in (self.linear_q, self.linear_k, self.linear_v))  # (1, H, N, E)
        keys, values = past.attend(self.layer, k, v)  # (1, H, P + N, E)
        # Of weights and distances alone, yet not kept: little beside the solver, and nothing to go stale.
        p = self._split(self.linear_pos(positions)[None])  # (1, H, R, E)
        by_distance = (q + self.pos_bias_v[:, None]) * self.head_size**-0.5 @ p.mT  # (1, H, N, R)
        bias = shift_distances(by_distance)
        if visible is not None:
            bias = bias.masked_fill(~visible, -math.inf)
        attended = F.scaled_dot_product_attention(q + self.pos_bias_u[:, None], keys, values, attn_mask=bias)
        out: Tensor = self.linear_out(attended.transpose(1, 2).flatten(2))  # (1, N, D)
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.size(0), x.size(1), -1, self.head_size).transpose(1, 2)


class FeedForward(nn.Module):
    """Wider, SiLU, and back."""

    def __init__(self, size: int, inner_size: int) -> None:
        super().__init__()
        self.w_1 = nn.Linear(size, inner_size)
        self.w_2 = nn.Linear(inner_size, size)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.w_2(F.silu(self.w_1(x)))
        return out
