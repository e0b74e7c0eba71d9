"""v3's flow estimator: a diffusion transformer, causal in its convolutions, blockwise causal in its attention."""

from itertools import chain

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import DiTConfig
from cosystream.models.cosyvoice.time_features import time_features
from cosystream.models.linear import Precision, fused, quicken
from cosystream.models.streaming import Context

NUM_TIME_FEATURES = 256
POSITION_KERNEL = 31
POSITION_GROUPS = 16
ROTARY_BASE = 10_000
NORM_EPS = 1e-6


class DiT(nn.Module):
    """The velocity of mel frames on their way from noise to speech.

    The residual stream, norms, modulation and convolutions are in float32; what a linear layer gives may be narrower.

    Shapes: R rows (sequences and guidance in any mixture), N frames of the piece, M mel bins, C channels, H heads,
    D head size, S Euler steps, T what an Euler step's modulation amounts to.
    """

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        self.dim = config.dim
        self.time_embed = TimeEmbedding(config.dim)
        self.input_embed = InputEmbedding(config)
        self.rotary_embed = RotaryEmbedding(config.head_size)
        self.transformer_blocks = nn.ModuleList(Block(str(i), config) for i in range(config.depth))
        self.norm_out = Modulation(config.dim, 2)
        self.proj_out = nn.Linear(config.dim, config.out_channels)

    def time_embedding(self, t: Tensor) -> Tensor:
        """What ``forward`` takes as ``time``, for all Euler steps at once: (S,) -> (S, T).

        Nothing in a layer but its modulation depends on time, so that is what the table holds: the 42 per cent of the
        parameters that make it are not read again.
        """
        time = self.time_embed(t)
        norms = chain((block.get_submodule("attn_norm") for block in self.transformer_blocks), [self.norm_out])
        return torch.cat([norm(time) for norm in norms], dim=-1).float()

    def quicken(self, precision: Precision) -> None:
        """Lay out the weights for inference. What makes ``time_embedding`` is dropped: it has been asked by then."""
        del self.time_embed, self.norm_out
        for block in self.transformer_blocks:
            assert isinstance(block, Block)
            del block.attn_norm
            block.attn.fuse()
        quicken(self, precision)

    def forward(
        self,
        x: Tensor,  # (R, N, M)
        mu: Tensor,  # (R, N, M)
        spks: Tensor,  # (R, M)
        cond: Tensor,  # (R, N, M)
        time: Tensor,  # (R, T)
        context: Context,
    ) -> Tensor:  # (R, N, M) float32
        """Velocity at ``x``, a piece of each row's frames behind those that ``context`` knows."""
        rotation = self.rotary_embed(context.positions(x.size(1)))
        sizes = [6 * self.dim] * len(self.transformer_blocks) + [2 * self.dim]
        *inner, last = torch.split(time[:, None], sizes, dim=-1)

        h = self.input_embed(x, mu, spks, cond, context)  # (R, N, C)
        for layer, modulation in zip(self.transformer_blocks, inner, strict=True):
            h = layer(h, modulation, rotation, context)
        scale, shift = last.chunk(2, dim=-1)  # the other way round than in a block
        velocity: Tensor = self.proj_out(modulate(h, shift, scale))
        return velocity.float()


class TimeEmbedding(nn.Module):
    """A sinusoid of the solver's time and two layers over it, (S,) -> (S, C)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.time_mlp = nn.Sequential(nn.Linear(NUM_TIME_FEATURES, dim), nn.SiLU(), nn.Linear(dim, dim))

    def forward(self, t: Tensor) -> Tensor:
        embedding: Tensor = self.time_mlp(time_features(t, NUM_TIME_FEATURES))
        return embedding


class Modulation(nn.Module):
    """The time as ``count`` vectors that shift, scale and gate a layer, (S, C) -> (S, count C)."""

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, count * dim)

    def forward(self, time: Tensor) -> Tensor:
        vectors: Tensor = self.linear(F.silu(time))
        return vectors


def modulate(h: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return F.layer_norm(h, h.shape[-1:], eps=NORM_EPS) * (1 + scale) + shift


class InputEmbedding(nn.Module):
    """All that is known of each frame, and two convolutions that tell it where it stands."""

    def __init__(self, config: DiTConfig) -> None:
        super().__init__()
        num_features = 2 * config.mel_dim + config.mu_dim + config.spk_dim
        self.proj = nn.Linear(num_features, config.dim)
        self.conv_pos_embed = PositionConvolutions(config.dim)

    def forward(self, x: Tensor, mu: Tensor, spks: Tensor, cond: Tensor, context: Context) -> Tensor:
        h = self.proj(torch.cat([x, cond, mu, spks[:, None].expand(-1, x.size(1), -1)], dim=-1)).float()
        placed: Tensor = h + self.conv_pos_embed(h, context)  # (R, N, C)
        return placed


class PositionConvolutions(nn.Module):
    """Two convolutions that see no future, (R, N, C) -> (R, N, C)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(nn.Conv1d(dim, dim, POSITION_KERNEL, groups=POSITION_GROUPS), nn.Mish())
        self.conv2 = nn.Sequential(nn.Conv1d(dim, dim, POSITION_KERNEL, groups=POSITION_GROUPS), nn.Mish())

    def forward(self, h: Tensor, context: Context) -> Tensor:
        h = self.conv1(context.extend("conv_pos_embed.conv1", h.mT, num_past=POSITION_KERNEL - 1))
        h = self.conv2(context.extend("conv_pos_embed.conv2", h, num_past=POSITION_KERNEL - 1))
        return h.mT


class RotaryEmbedding(nn.Module):
    """By which angles positions turn: their cosines and sines, (R, N) -> (R, N, D / 2) each."""

    inv_freq: Tensor

    def __init__(self, head_size: int) -> None:
        super().__init__()
        # The checkpoint holds the frequencies. They are computed all the same: rounded to bfloat16 along with the
        # weights, they would turn far off after a few hundred frames.
        self.register_buffer("inv_freq", torch.empty(head_size // 2))

    def forward(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        half = self.inv_freq.numel()
        frequencies = ROTARY_BASE ** (-torch.arange(half, device=positions.device, dtype=torch.float32) / half)
        angles = positions[..., None].float() * frequencies
        return angles.cos(), angles.sin()


def rotate_first_head(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn neighbouring pairs of channels of the first head alone, (R, H, N, D).

    The reference rotates before the split into heads, so that it reaches no other head; the weights expect it.
    """
    cos, sin = rotation  # (R, N, D / 2)
    first, others = x[:, 0], x[:, 1:]
    a, b = first[..., 0::2], first[..., 1::2]
    turned = torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)  # (R, N, D)
    return torch.cat([turned.to(x.dtype)[:, None], others], dim=1)


class Attention(nn.Module):
    """Attention to the frames of the piece and behind it."""

    def __init__(self, layer: str, config: DiTConfig) -> None:
        super().__init__()
        self.layer = layer
        self.num_heads = config.num_heads
        inner = config.num_heads * config.head_size
        self.to_q = nn.Linear(config.dim, inner)
        self.to_k = nn.Linear(config.dim, inner)
        self.to_v = nn.Linear(config.dim, inner)
        self.to_out = nn.ModuleList([nn.Linear(inner, config.dim)])
        self.to_qkv: nn.Linear | None = None
        """All three in one, once they are fused."""

    def fuse(self) -> None:
        """Make one layer of three: a wider product is a faster one."""
        self.to_qkv = fused([self.to_q, self.to_k, self.to_v])
        del self.to_q, self.to_k, self.to_v

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], context: Context) -> Tensor:
        q, k, v = map(self._split, self._project(x))  # (R, H, N, D) each
        q, k = rotate_first_head(q, rotation), rotate_first_head(k, rotation)
        attended = context.attend(self.layer, q, k, v)
        out: Tensor = self.to_out[0](attended.transpose(1, 2).flatten(-2))
        return out  # (R, N, C)

    def _project(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.to_qkv is not None:
            return self.to_qkv(x).chunk(3, dim=-1)  # type: ignore[no-any-return]
        return self.to_q(x), self.to_k(x), self.to_v(x)

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.num_heads, -1).transpose(1, 2)  # (R, H, N, D)


class FeedForward(nn.Module):
    """Out to a wider layer and back."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        widen = nn.Sequential(nn.Linear(dim, inner), nn.GELU(approximate="tanh"))
        # The reference drops out at index 1.
        self.ff = nn.Sequential(widen, nn.Identity(), nn.Linear(inner, dim))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.ff(x)
        return out


class Block(nn.Module):
    """Attention and a feed-forward layer, each shifted, scaled and gated by the time."""

    def __init__(self, layer: str, config: DiTConfig) -> None:
        super().__init__()
        self.attn_norm = Modulation(config.dim, 6)
        self.attn = Attention(layer, config)
        self.ff = FeedForward(config.dim, config.ff_mult * config.dim)

    def forward(
        self,
        h: Tensor,  # (R, N, C)
        modulation: Tensor,  # (R, 1, 6 C)
        rotation: tuple[Tensor, Tensor],
        context: Context,
    ) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = modulation.chunk(6, dim=-1)
        h = h + gate1 * self.attn(modulate(h, shift1, scale1), rotation, context)
        out: Tensor = h + gate2 * self.ff(modulate(h, shift2, scale2))
        return out  # (R, N, C)
