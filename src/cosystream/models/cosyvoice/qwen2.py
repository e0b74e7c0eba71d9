"""The Qwen2 decoder, with the keys and values of many sequences in one cache."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import Qwen2Config
from cosystream.models.linear import Precision, fused, quicken


class KVCache:
    """Keys and values of all layers, a slot for each sequence.

    How much of a slot is written is not kept here: it is the position that the sequence has reached, which the caller
    knows. What lies beyond may be anything, NaN included, so a slot is taken over without being wiped.
    """

    def __init__(
        self, config: Qwen2Config, num_slots: int, capacity: int, *, device: torch.device | str, dtype: torch.dtype
    ) -> None:
        shape = (config.num_layers, num_slots, config.num_kv_heads, capacity, config.head_size)
        self.keys = torch.empty(shape, device=device, dtype=dtype)
        self.values = torch.empty(shape, device=device, dtype=dtype)

    @property
    def capacity(self) -> int:
        """Positions that a slot has room for."""
        return self.keys.size(3)


@dataclass(frozen=True, slots=True)
class _Pieces:
    """Where the fed pieces lie in their sequences: the same for all layers."""

    slots: Tensor  # (B,)
    positions: Tensor  # (B, N)
    cos: Tensor  # (B, N, 1, S/2)
    sin: Tensor
    visible: Tensor  # (B, 1, G·N, L), which keys each query sees
    rows: Tensor  # (B, K, L), where the keys lie among all the vectors that a layer's cache holds


class Qwen2(nn.Module):
    """The decoder of Qwen2 up to its last norm, fed with embeddings piece by piece: a prompt, or one token a sequence.

    Shapes: B sequences, N new positions of each, D hidden size, H query heads, K key and value heads, G = H / K query
    heads that share one, S head size, L longest of the sequences with the new positions.
    """

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: Tensor, cache: KVCache, slots: Tensor, positions: Tensor, longest: int) -> Tensor:
        """The hidden states, (B, N, D), of ``x`` (B, N, D), whose keys and values enter the cache.

        ``slots`` and ``positions``, (B,) each, say whose pieces these are and where they start; all before is in the
        cache. ``longest`` is known on the host, so that nothing waits for the device, and may be an upper bound.
        A piece may be padded at its end: what that writes is written over before it is seen, and past the capacity
        it goes to the last position.
        """
        pieces = self._locate(x.size(1), slots, positions, longest, cache.capacity)
        for i, layer in enumerate(self.layers):
            x = layer(x, cache.keys[i], cache.values[i], pieces)
        normed: Tensor = self.norm(x)
        return normed

    def quicken(self, precision: Precision) -> None:
        """Take products in ``precision``, with fewer and larger layers; the parameters are no more by their names."""
        for layer in self.layers:
            assert isinstance(layer, Layer)
            layer.fuse()
        quicken(self, precision)

    def _locate(self, num_new: int, slots: Tensor, starts: Tensor, longest: int, capacity: int) -> _Pieces:
        device, size, num_kv_heads = starts.device, self.config.head_size, self.config.num_kv_heads
        positions = (starts[:, None] + torch.arange(num_new, device=device)).clamp(max=capacity - 1)  # (B, N)
        exponents = torch.arange(0, size, 2, device=device, dtype=torch.float32) / size
        angles = positions[:, :, None, None] * self.config.rope_theta**-exponents  # (B, N, 1, S/2)
        keys = torch.arange(longest, device=device)
        visible = keys <= positions[:, None, :, None]  # (B, 1, N, L)
        group = self.config.num_heads // num_kv_heads
        heads = slots[:, None] * num_kv_heads + torch.arange(num_kv_heads, device=device)  # (B, K), among all slots'
        # In place of what is not written yet, the last that is: masked as well, but no NaN. Nothing times NaN is NaN.
        written = torch.minimum(keys, positions[:, -1:])  # (B, L)
        return _Pieces(
            slots=slots,
            positions=positions,
            cos=angles.cos(),
            sin=angles.sin(),
            visible=visible.repeat(1, 1, group, 1),
            rows=heads[:, :, None] * capacity + written[:, None],
        )


class Layer(nn.Module):
    """Attention, then a gated MLP, each added to what came in."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config.hidden_size, config.intermediate_size)

    def fuse(self) -> None:
        """Make one layer each of those that see the same."""
        self.self_attn.fuse()
        self.mlp.fuse()

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, pieces: _Pieces) -> Tensor:
        x = x + self.self_attn(self.input_layernorm(x), keys, values, pieces)
        out: Tensor = x + self.mlp(self.post_attention_layernorm(x))
        return out


class Attention(nn.Module):
    """Causal attention with grouped queries and rotary positions. Shapes: see ``Qwen2``; C capacity of a slot."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__()
        self.num_kv_heads, self.head_size = config.num_kv_heads, config.head_size
        width, kv_width = config.num_heads * config.head_size, config.num_kv_heads * config.head_size
        self.widths = [width, kv_width, kv_width]
        self.q_proj = nn.Linear(config.hidden_size, width)
        self.k_proj = nn.Linear(config.hidden_size, kv_width)
        self.v_proj = nn.Linear(config.hidden_size, kv_width)
        self.o_proj = nn.Linear(width, config.hidden_size, bias=False)
        self.qkv_proj: nn.Module | None = None

    def fuse(self) -> None:
        """One layer for queries, keys and values."""
        self.qkv_proj = fused([self.q_proj, self.k_proj, self.v_proj])
        del self.q_proj, self.k_proj, self.v_proj

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, pieces: _Pieces) -> Tensor:
        batch, num_new, _ = x.shape
        heads = (batch, num_new, -1, self.head_size)
        q, k, v = (projected.reshape(heads) for projected in self._project(x))
        queries = _rotate(q, pieces).to(keys.dtype)  # (B, N, H, S)
        keys = self._extended(keys, _rotate(k, pieces), pieces)  # (B, K, L, S)
        values = self._extended(values, v, pieces)
        # Queries of one group are laid side by side as if they were positions: so no key is copied for each of them.
        grouped = queries.view(batch, num_new, self.num_kv_heads, -1, self.head_size).permute(0, 2, 3, 1, 4)
        stacked = grouped.reshape(batch, self.num_kv_heads, -1, self.head_size)  # (B, K, G·N, S)
        mixed = F.scaled_dot_product_attention(stacked, keys, values, attn_mask=pieces.visible)
        mixed = mixed.view(grouped.shape).permute(0, 3, 1, 2, 4).reshape(batch, num_new, -1)  # (B, N, H·S)
        out: Tensor = self.o_proj(mixed)
        return out

    def _project(self, x: Tensor) -> Sequence[Tensor]:
        if self.qkv_proj is None:
            return self.q_proj(x), self.k_proj(x), self.v_proj(x)
        side_by_side: Tensor = self.qkv_proj(x)
        return torch.split(side_by_side, self.widths, dim=-1)

    @staticmethod
    def _extended(cached: Tensor, new: Tensor, pieces: _Pieces) -> Tensor:
        """What the sequences have after ``new`` (B, N, K, S) entered ``cached`` (slots, K, C, S): (B, K, L, S)."""
        cached[pieces.slots[:, None], :, pieces.positions] = new.to(cached.dtype)
        return F.embedding(pieces.rows, cached.flatten(0, 2))  # gathers whole vectors, so much faster than an index


class MLP(nn.Module):
    """A feed-forward network whose one half gates the other."""

    def __init__(self, size: int, inner_size: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(size, inner_size, bias=False)
        self.up_proj = nn.Linear(size, inner_size, bias=False)
        self.down_proj = nn.Linear(inner_size, size, bias=False)
        self.gate_up_proj: nn.Module | None = None

    def fuse(self) -> None:
        """One layer for both halves."""
        self.gate_up_proj = fused([self.gate_proj, self.up_proj])
        del self.gate_proj, self.up_proj

    def forward(self, x: Tensor) -> Tensor:
        if self.gate_up_proj is None:
            gate, up = self.gate_proj(x), self.up_proj(x)
        else:
            gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        out: Tensor = self.down_proj(F.silu(gate) * up)
        return out


class RMSNorm(nn.Module):
    """A norm by the root of the mean square, taken in float32."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def _rotate(x: Tensor, pieces: _Pieces) -> Tensor:
    """Rotary positions: of each head, the first half paired with the second. (B, N, heads, S) as given."""
    first, second = x.float().chunk(2, dim=-1)
    rotated = [first * pieces.cos - second * pieces.sin, second * pieces.cos + first * pieces.sin]
    return torch.cat(rotated, dim=-1).to(x.dtype)
