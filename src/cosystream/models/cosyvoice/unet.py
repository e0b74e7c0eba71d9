"""v2's flow estimator: a U-Net of one level, causal in its convolutions, blockwise causal in its attention."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import UNetConfig
from cosystream.models.cosyvoice.time_features import time_features
from cosystream.models.streaming import Past, block_mask


class UNet(nn.Module):
    """The velocity of mel frames on their way from noise to speech.

    Nothing is sampled down in time, so the one skip connection needs no alignment.

    Shapes: B guidance rows, N frames of the piece, P frames behind it, M mel bins, C channels, S Euler steps, D time.
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        channels = config.channels
        self.num_time_features = config.in_channels
        self.time_mlp = TimeMLP(config.in_channels, time_size(config))
        down = Stage("down", config.in_channels, config)
        down.append(CausalConv1d("down.conv", channels, channels))
        up = Stage("up", 2 * channels, config)
        up.append(CausalConv1d("up.conv", channels, channels))
        # Lists of one, because the checkpoint counts levels.
        self.down_blocks = nn.ModuleList([down])
        self.mid_blocks = nn.ModuleList(Stage(f"mid.{i}", channels, config) for i in range(config.num_mid_blocks))
        self.up_blocks = nn.ModuleList([up])
        self.final_block = CausalBlock("final", channels, channels)
        self.final_proj = Pointwise(channels, config.out_channels)

    def time_embedding(self, t: Tensor) -> Tensor:
        """What ``forward`` takes as ``time``, for all Euler steps at once: (S,) -> (S, D)."""
        embedding: Tensor = self.time_mlp(time_features(t, self.num_time_features))
        return embedding

    def forward(
        self,
        x: Tensor,  # (B, N, M)
        mu: Tensor,  # (B, N, M)
        spks: Tensor,  # (B, M)
        cond: Tensor,  # (B, N, M)
        time: Tensor,  # (B, D) or (D,)
        past: Past,
        *,
        block: int | None,
        mask: Tensor | None = None,  # (B, N)
    ) -> Tensor:  # (B, N, M)
        """Velocity at ``x``; attention sees blocks of ``block`` frames and all behind them, or with None everything.

        ``mask`` is True at frames that are there, where rows of several lengths are padded at their end.
        """
        visible = visible_keys(past.num_frames, x, block, mask)
        h = torch.cat([x, mu, spks[:, None].expand(-1, x.size(1), -1), cond], dim=-1)
        down, up = cast("Stage", self.down_blocks[0]), cast("Stage", self.up_blocks[0])
        skip = down(h, time, past, visible)
        h = down[2](skip, past)
        for stage in self.mid_blocks:
            h = stage(h, time, past, visible)
        h = up(torch.cat([h, skip], dim=-1), time, past, visible)
        h = self.final_block(up[2](h, past), past)
        velocity: Tensor = self.final_proj(h)
        return velocity if mask is None else velocity * mask[..., None]


def time_size(config: UNetConfig) -> int:
    return 4 * config.channels


def visible_keys(num_past: int, x: Tensor, block: int | None, mask: Tensor | None) -> Tensor | None:
    """Which keys each frame of ``x`` attends to, broadcastable to (B, heads, N, P + N); None is all.

    To hide padding from attention is enough: convolutions are causal, and it comes last.
    """
    visible = None if block is None else block_mask(num_past, x.size(1), block, x.device)
    if mask is None:
        return visible
    keys = F.pad(mask.bool(), (num_past, 0), value=True)[:, None, None]  # (B, 1, 1, P + N)
    return keys if visible is None else keys & visible


class Stage(nn.ModuleList):
    """A residual block and the transformer blocks behind it: items 0 and 1; a convolution may follow as item 2."""

    def __init__(self, layer: str, in_channels: int, config: UNetConfig) -> None:
        super().__init__()
        self.append(ResidualBlock(f"{layer}.res", in_channels, config.channels, time_size(config)))
        self.append(Transformer(layer, config))

    def forward(self, x: Tensor, time: Tensor, past: Past, visible: Tensor | None) -> Tensor:
        residual, transformer = self[0], self[1]
        out: Tensor = transformer(residual(x, time, past), past, visible)
        return out  # (B, N, C)


class ResidualBlock(nn.Module):
    """Two causal blocks, told the time between them, beside a shortcut."""

    def __init__(self, layer: str, in_channels: int, channels: int, num_time_channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(num_time_channels, channels))
        self.block1 = CausalBlock(f"{layer}.1", in_channels, channels)
        self.block2 = CausalBlock(f"{layer}.2", channels, channels)
        self.res_conv = Pointwise(in_channels, channels)

    def forward(self, x: Tensor, time: Tensor, past: Past) -> Tensor:
        h = self.block1(x, past) + self.mlp(time).unsqueeze(-2)  # (B, N, C) + (B, 1, C) or (1, C)
        out: Tensor = self.block2(h, past) + self.res_conv(x)
        return out


class CausalBlock(nn.Module):
    """Convolution, norm, Mish."""

    def __init__(self, layer: str, in_channels: int, channels: int) -> None:
        super().__init__()
        # The reference transposes at index 1; here only the convolution sees channels first.
        self.block = nn.Sequential(CausalConv1d(layer, in_channels, channels), nn.Identity(), nn.LayerNorm(channels))

    def forward(self, x: Tensor, past: Past) -> Tensor:
        conv, _, norm = self.block
        return F.mish(norm(conv(x, past)))


class CausalConv1d(nn.Conv1d):
    """A convolution over three frames that sees no future, (B, N, C) -> (B, N, C')."""

    def __init__(self, layer: str, in_channels: int, channels: int) -> None:
        super().__init__(in_channels, channels, kernel_size=3)
        self.layer = layer

    def forward(self, x: Tensor, past: Past) -> Tensor:  # type: ignore[override]
        x = past.extend(self.layer, x.mT, num_past=2)
        return super().forward(x).mT


class Pointwise(nn.Conv1d):
    """A convolution over a single frame, (B, N, C) -> (B, N, C')."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(in_channels, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.squeeze(-1), self.bias)


class Transformer(nn.ModuleList):
    """Blocks one behind the other."""

    def __init__(self, layer: str, config: UNetConfig) -> None:
        super().__init__(TransformerBlock(f"{layer}.{i}", config) for i in range(config.num_blocks))

    def forward(self, x: Tensor, past: Past, visible: Tensor | None) -> Tensor:
        for block in self:
            x = block(x, past, visible)
        return x


class TransformerBlock(nn.Module):
    """Attention and a feed-forward, each behind its norm."""

    def __init__(self, layer: str, config: UNetConfig) -> None:
        super().__init__()
        channels = config.channels
        self.norm1 = nn.LayerNorm(channels)
        self.attn1 = Attention(layer, config)
        self.norm3 = nn.LayerNorm(channels)
        self.ff = FeedForward(channels)

    def forward(self, x: Tensor, past: Past, visible: Tensor | None) -> Tensor:
        x = x + self.attn1(self.norm1(x), past, visible)
        out: Tensor = x + self.ff(self.norm3(x))
        return out


class Attention(nn.Module):
    """Multi-head attention without positions: the convolutions alone know the order.

    Shapes: B guidance rows, N frames of the piece, P behind it, C channels, H heads, D head size.
    """

    def __init__(self, layer: str, config: UNetConfig) -> None:
        super().__init__()
        self.layer = layer
        self.num_heads = config.num_heads
        channels, inner = config.channels, config.num_heads * config.head_size
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_k = nn.Linear(channels, inner, bias=False)
        self.to_v = nn.Linear(channels, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, channels))

    def forward(self, x: Tensor, past: Past, visible: Tensor | None) -> Tensor:
        q, k, v = (self._split(project(x)) for project in (self.to_q, self.to_k, self.to_v))  # (B, H, N, D)
        keys, values = past.attend(self.layer, k, v)  # (B, H, P + N, D)
        attended = F.scaled_dot_product_attention(q, keys, values, attn_mask=visible)
        out: Tensor = self.to_out(attended.transpose(1, 2).flatten(2))  # (B, N, C)
        return out

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.size(0), x.size(1), self.num_heads, -1).transpose(1, 2)


class FeedForward(nn.Module):
    """Four times wider, and back."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        # The reference drops out at index 1.
        inner = 4 * channels
        self.net = nn.Sequential(GELUProjection(channels, inner), nn.Identity(), nn.Linear(inner, channels))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class GELUProjection(nn.Module):
    """Linear and GELU, a module of its own by the checkpoint's names."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x))


class TimeMLP(nn.Module):
    """Sinusoids of the time to its embedding."""

    def __init__(self, num_features: int, size: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(num_features, size)
        self.linear_2 = nn.Linear(size, size)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.linear_2(F.silu(self.linear_1(features.to(self.linear_1.weight.dtype))))
        return out
