"""v2's flow estimator: a U-Net of one level, causal in its convolutions, blockwise causal in its attention."""

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import UNetConfig
from cosystream.models.cosyvoice.time_features import time_features
from cosystream.models.linear import Precision, fused, quicken
from cosystream.models.streaming import Context


class UNet(nn.Module):
    """The velocity of mel frames on their way from noise to speech.

    Nothing is sampled down in time, so the one skip connection needs no alignment. The residual stream, norms and
    convolutions are in float32; what a linear layer gives may be narrower.

    Shapes: R rows (sequences and guidance in any mixture), N frames of the piece, M mel bins, C channels,
    S Euler steps, T size of a time's embedding.
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
        """What ``forward`` takes as ``time``, for all Euler steps at once: (S,) -> (S, T)."""
        embedding: Tensor = self.time_mlp(time_features(t, self.num_time_features))
        return embedding.float()

    def quicken(self, precision: Precision) -> None:
        """Lay out the weights for inference. What makes ``time_embedding`` is dropped: it has been asked by then."""
        del self.time_mlp
        for module in self.modules():
            if isinstance(module, Attention):
                module.fuse()
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
        h = torch.cat([x, mu, spks[:, None].expand(-1, x.size(1), -1), cond], dim=-1)
        down, up = cast("Stage", self.down_blocks[0]), cast("Stage", self.up_blocks[0])
        skip = down(h, time, context)
        h = down[2](skip, context)
        for stage in self.mid_blocks:
            h = stage(h, time, context)
        h = up(torch.cat([h, skip], dim=-1), time, context)
        h = self.final_block(up[2](h, context), context)
        velocity: Tensor = self.final_proj(h)
        return velocity


def time_size(config: UNetConfig) -> int:
    return 4 * config.channels


class Stage(nn.ModuleList):
    """A residual block and the transformer blocks behind it: items 0 and 1; a convolution may follow as item 2."""

    def __init__(self, layer: str, in_channels: int, config: UNetConfig) -> None:
        super().__init__()
        self.append(ResidualBlock(f"{layer}.res", in_channels, config.channels, time_size(config)))
        self.append(Transformer(layer, config))

    def forward(self, x: Tensor, time: Tensor, context: Context) -> Tensor:
        residual, transformer = self[0], self[1]
        out: Tensor = transformer(residual(x, time, context), context)
        return out  # (R, N, C)


class ResidualBlock(nn.Module):
    """Two causal blocks, told the time between them, beside a shortcut."""

    def __init__(self, layer: str, in_channels: int, channels: int, num_time_channels: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Mish(), nn.Linear(num_time_channels, channels))
        self.block1 = CausalBlock(f"{layer}.1", in_channels, channels)
        self.block2 = CausalBlock(f"{layer}.2", channels, channels)
        self.res_conv = Pointwise(in_channels, channels)

    def forward(self, x: Tensor, time: Tensor, context: Context) -> Tensor:
        h = self.block1(x, context) + self.mlp(time)[:, None]  # (R, N, C)
        out: Tensor = self.block2(h, context) + self.res_conv(x)
        return out


class CausalBlock(nn.Module):
    """Convolution, norm, Mish."""

    def __init__(self, layer: str, in_channels: int, channels: int) -> None:
        super().__init__()
        # The reference transposes at index 1; here only the convolution sees channels first.
        self.block = nn.Sequential(CausalConv1d(layer, in_channels, channels), nn.Identity(), nn.LayerNorm(channels))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        conv, _, norm = self.block
        return F.mish(norm(conv(x, context)))


class CausalConv1d(nn.Conv1d):
    """A convolution over three frames that sees no future, (R, N, C) -> (R, N, C')."""

    def __init__(self, layer: str, in_channels: int, channels: int) -> None:
        super().__init__(in_channels, channels, kernel_size=3)
        self.layer = layer

    def forward(self, x: Tensor, context: Context) -> Tensor:  # type: ignore[override]
        x = context.extend(self.layer, x.mT, num_past=2)
        return super().forward(x).mT


class Pointwise(nn.Conv1d):
    """A convolution over a single frame, (R, N, C) -> (R, N, C')."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__(in_channels, channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.squeeze(-1), self.bias)


class Transformer(nn.ModuleList):
    """Blocks one behind the other."""

    def __init__(self, layer: str, config: UNetConfig) -> None:
        super().__init__(TransformerBlock(f"{layer}.{i}", config) for i in range(config.num_blocks))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        for block in self:
            x = block(x, context)
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

    def forward(self, x: Tensor, context: Context) -> Tensor:
        x = x + self.attn1(self.norm1(x), context)
        out: Tensor = x + self.ff(self.norm3(x))
        return out


class Attention(nn.Module):
    """Multi-head attention without positions: the convolutions alone know the order.

    Shapes: R rows, N frames of the piece, C channels, H heads, D head size.
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
        self.to_qkv: nn.Linear | None = None
        """All three in one, once they are fused."""

    def fuse(self) -> None:
        """Make one layer of three: a wider product is a faster one."""
        self.to_qkv = fused([self.to_q, self.to_k, self.to_v])
        del self.to_q, self.to_k, self.to_v

    def forward(self, x: Tensor, context: Context) -> Tensor:
        q, k, v = map(self._split, self._project(x))  # (R, H, N, D) each
        attended = context.attend(self.layer, q, k, v)
        out: Tensor = self.to_out(attended.transpose(1, 2).flatten(2))  # (R, N, C)
        return out

    def _project(self, x: Tensor) -> tuple[Tensor, ...]:
        if self.to_qkv is not None:
            return self.to_qkv(x).chunk(3, dim=-1)  # type: ignore[no-any-return]
        return self.to_q(x), self.to_k(x), self.to_v(x)

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
        out: Tensor = self.linear_2(F.silu(self.linear_1(features)))
        return out
