"""Qwen2 against itself written plainly, and its cache: in pieces, in batches and among NaN the same comes out."""

from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import Qwen2Config
from cosystream.models.cosyvoice.qwen2 import KVCache, Qwen2
from cosystream.models.linear import Precision

CONFIG = Qwen2Config(
    hidden_size=24,
    intermediate_size=40,
    num_layers=2,
    num_heads=6,
    num_kv_heads=2,
    vocab_size=11,
    rope_theta=100.0,
    rms_norm_eps=1e-6,
)


@cache
def model() -> Qwen2:
    torch.manual_seed(0)
    model = Qwen2(CONFIG)
    for name, parameter in model.named_parameters():
        torch.nn.init.normal_(parameter, mean=1.0 if "norm" in name else 0.0, std=0.3)
    return model.requires_grad_(requires_grad=False)


def embedded(num: int, seed: int = 1) -> Tensor:
    return torch.randn(num, CONFIG.hidden_size, generator=torch.Generator().manual_seed(seed))


def full_of_nan(num_slots: int, capacity: int = 32) -> KVCache:
    cache = KVCache(CONFIG, num_slots, capacity, device="cpu", dtype=torch.float32)
    cache.keys.fill_(torch.nan)
    cache.values.fill_(torch.nan)
    return cache


def feed(cache: KVCache, x: Tensor, slot: int, position: int, longest: int | None = None) -> Tensor:
    where = torch.tensor([slot]), torch.tensor([position])
    hidden: Tensor = model()(x[None], cache, *where, longest or position + len(x))
    return hidden[0]


def plain(x: Tensor, config: Qwen2Config = CONFIG) -> Tensor:
    """The whole sequence (N, D) at once, head by head and position by position, without a cache."""
    weights, size = model().state_dict(), config.head_size

    def norm(x: Tensor, name: str) -> Tensor:
        weight: Tensor = weights[f"{name}.weight"]
        return x / (x.square().mean(-1, keepdim=True) + config.rms_norm_eps).sqrt() * weight

    def linear(x: Tensor, name: str) -> Tensor:
        out: Tensor = x @ weights[f"{name}.weight"].T
        return out + weights[f"{name}.bias"] if f"{name}.bias" in weights else out

    def rotate(x: Tensor) -> Tensor:
        turns = torch.tensor(
            [[p * config.rope_theta ** (-2 * i / size) for i in range(size // 2)] for p in range(len(x))]
        )
        turned = torch.complex(x[:, : size // 2], x[:, size // 2 :]) * torch.polar(torch.ones_like(turns), turns)
        return torch.cat([turned.real, turned.imag], dim=-1)

    future = torch.ones(len(x), len(x), dtype=torch.bool).triu(1)
    for i in range(config.num_layers):
        layer = f"layers.{i}"
        normed, heads = norm(x, f"{layer}.input_layernorm"), []
        q, k, v = (linear(normed, f"{layer}.self_attn.{n}_proj").view(len(x), -1, size).unbind(1) for n in "qkv")
        for head in range(config.num_heads):
            shared = head * config.num_kv_heads // config.num_heads
            scores = rotate(q[head]) @ rotate(k[shared]).T / size**0.5
            heads.append(scores.masked_fill(future, -torch.inf).softmax(-1) @ v[shared])
        x = x + linear(torch.cat(heads, dim=-1), f"{layer}.self_attn.o_proj")
        normed = norm(x, f"{layer}.post_attention_layernorm")
        gate = linear(normed, f"{layer}.mlp.gate_proj")
        x = x + linear(gate * gate.sigmoid() * linear(normed, f"{layer}.mlp.up_proj"), f"{layer}.mlp.down_proj")
    return norm(x, "norm")


def test_a_whole_sequence_comes_out_as_written_plainly() -> None:
    torch.testing.assert_close(feed(full_of_nan(1), embedded(9), 0, 0), plain(embedded(9)))


def test_the_parameters_are_named_as_in_the_checkpoints() -> None:
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in Qwen2(CONFIG).state_dict().items()}
    layer = {
        "self_attn.q_proj.weight": (24, 24),
        "self_attn.q_proj.bias": (24,),
        "self_attn.k_proj.weight": (8, 24),
        "self_attn.k_proj.bias": (8,),
        "self_attn.v_proj.weight": (8, 24),
        "self_attn.v_proj.bias": (8,),
        "self_attn.o_proj.weight": (24, 24),
        "mlp.gate_proj.weight": (40, 24),
        "mlp.up_proj.weight": (40, 24),
        "mlp.down_proj.weight": (24, 40),
        "input_layernorm.weight": (24,),
        "post_attention_layernorm.weight": (24,),
    }
    assert shapes == {
        "embed_tokens.weight": (11, 24),
        "norm.weight": (24,),
        **{f"layers.{i}.{name}": shape for i in range(2) for name, shape in layer.items()},
    }


@pytest.mark.parametrize("cuts", [[1], [4], [1, 2, 8], list(range(1, 9))])
def test_fed_in_pieces_the_same_comes_out(cuts: list[int]) -> None:
    x, cache = embedded(9), full_of_nan(3)
    bounds = [0, *cuts, 9]
    pieces = [feed(cache, x[start:end], 1, start) for start, end in pairwise(bounds)]
    torch.testing.assert_close(torch.cat(pieces), feed(full_of_nan(1), x, 0, 0))


def test_decoded_together_each_sequence_gets_what_it_gets_alone() -> None:
    lengths, slots, cache = [7, 1, 12], [2, 0, 3], full_of_nan(4)
    sequences = [embedded(n + 3, seed=n) for n in lengths]
    alone = [feed(full_of_nan(1), x, 0, 0)[n:] for n, x in zip(lengths, sequences, strict=True)]
    for n, slot, sequence in zip(lengths, slots, sequences, strict=True):
        feed(cache, sequence[:n], slot, 0)
    for step in range(3):
        x = torch.stack([sequence[n + step] for n, sequence in zip(lengths, sequences, strict=True)])
        positions = torch.tensor(lengths) + step
        found = model()(x[:, None], cache, torch.tensor(slots), positions, max(lengths) + step + 1)
        torch.testing.assert_close(found[:, 0], torch.stack([tail[step] for tail in alone]))


def test_pieces_of_several_sequences_may_be_fed_together() -> None:
    cache, x = full_of_nan(2), torch.stack([embedded(9, seed=1)[4:7], embedded(9, seed=2)[2:5]])
    feed(cache, embedded(9, seed=1)[:4], 1, 0)
    feed(cache, embedded(9, seed=2)[:2], 0, 0)
    found = model()(x, cache, torch.tensor([1, 0]), torch.tensor([4, 2]), 7)
    torch.testing.assert_close(found[0], plain(embedded(9, seed=1))[4:7])
    torch.testing.assert_close(found[1], plain(embedded(9, seed=2))[2:5])


def test_the_longest_length_may_be_too_long() -> None:
    torch.testing.assert_close(feed(full_of_nan(1), embedded(9), 0, 0, longest=30), plain(embedded(9)))


def test_a_slot_is_taken_over_as_it_was_left() -> None:
    cache = full_of_nan(1)
    feed(cache, embedded(20, seed=5), 0, 0)
    torch.testing.assert_close(feed(cache, embedded(9), 0, 0, longest=20), plain(embedded(9)))


def test_nothing_is_written_but_the_pieces_own_positions() -> None:
    cache = full_of_nan(3)
    feed(cache, embedded(4), 1, 3, longest=7)  # what lies before is NaN here, and so is what comes out
    for tensor in (cache.keys, cache.values):
        written = torch.zeros_like(tensor[0], dtype=torch.bool)
        written[1, :, 3:7] = True
        assert tensor[0].isnan().equal(~written)


def test_positions_turn_at_the_configured_rate() -> None:
    assert not torch.allclose(plain(embedded(9)), plain(embedded(9), replace(CONFIG, rope_theta=1e6)), atol=1e-3)


def test_in_half_precision_it_comes_close() -> None:
    half = Qwen2(CONFIG).to(torch.bfloat16)
    half.load_state_dict(model().state_dict())
    cache = KVCache(CONFIG, 1, 16, device="cpu", dtype=torch.bfloat16)
    with torch.no_grad():
        found = half(embedded(9).bfloat16()[None], cache, torch.tensor([0]), torch.tensor([0]), 9)[0]
    assert found.dtype == torch.bfloat16
    assert (found.float() - plain(embedded(9))).abs().mean() < 0.05


@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-5), ("bfloat16", 0.02), ("int8", 0.05)])
def test_quickened_it_gives_what_it_gave(precision: str, error: float) -> None:
    quick, cache, where = deepcopy(model()), full_of_nan(2), (torch.tensor([1]), torch.tensor([0]))
    quick.quicken(Precision(precision))
    found = quick(embedded(9)[None], cache, *where, 9)[0]
    assert found.dtype == torch.float32
    assert float((found - plain(embedded(9))).norm()) < error * float(plain(embedded(9)).norm())


def test_what_is_padded_past_the_capacity_does_no_harm() -> None:
    cache, x = full_of_nan(1, capacity=12), torch.cat([embedded(9), torch.zeros(5, CONFIG.hidden_size)])
    torch.testing.assert_close(feed(cache, x, 0, 0, longest=9)[:9], plain(embedded(9)))
    torch.testing.assert_close(
        feed(cache, embedded(12)[9:], 0, 9), plain(torch.cat([embedded(9), embedded(12)[9:]]))[9:]
    )
