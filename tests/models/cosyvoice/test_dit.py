"""v3's flow estimator, fed whole and in pieces."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import DiTConfig
from cosystream.models.cosyvoice.dit import DiT, RotaryEmbedding, rotate_first_head
from cosystream.models.streaming import Past

BLOCK = 10
CONFIG = DiTConfig(dim=32, depth=2, num_heads=4, head_size=8, ff_mult=2, mel_dim=5, mu_dim=5, spk_dim=5, out_channels=5)


@pytest.fixture
def dit() -> DiT:
    torch.manual_seed(0)
    return DiT(CONFIG).requires_grad_(requires_grad=False)


@pytest.fixture
def frames() -> list[Tensor]:
    """x, mu, spks, cond of two rows and 45 frames."""
    torch.manual_seed(1)
    return [torch.randn(2, 45, 5), torch.randn(2, 45, 5), torch.randn(2, 5), torch.randn(2, 45, 5)]


def part(frames: list[Tensor], start: int, end: int) -> list[Tensor]:
    return [t[:, start:end] if t.dim() == 3 else t for t in frames]


@pytest.mark.parametrize("cuts", [(10,), (10, 20, 40), (40,), (30, 40)])
def test_fed_in_pieces_gives_the_same_velocity(dit: DiT, frames: list[Tensor], cuts: tuple[int, ...]) -> None:
    time, past = dit.time_embedding(torch.tensor([0.3]))[0], Past()
    pieces = []
    for start, end in pairwise((0, *cuts, 45)):
        pieces.append(dit(*part(frames, start, end), time, past, block=BLOCK))
        past.commit(end - start)
    whole = dit(*frames, time, Past(), block=BLOCK)
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=0, atol=2e-6)


def test_a_frame_sees_to_the_end_of_its_block_and_without_blocks_everything(dit: DiT, frames: list[Tensor]) -> None:
    time = dit.time_embedding(torch.tensor([0.3]))[0]
    changed = [t.clone() for t in frames]
    changed[1][:, 19] += 1
    seen = {}
    for block in (BLOCK, None):
        difference = dit(*frames, time, Past(), block=block) - dit(*changed, time, Past(), block=block)
        seen[block] = difference.abs().amax(dim=(0, 2)) > 0
    assert seen[BLOCK].tolist() == [False] * 10 + [True] * 35
    assert seen[None].all()


def test_each_row_has_a_time_of_its_own_or_all_have_one(dit: DiT, frames: list[Tensor]) -> None:
    times = dit.time_embedding(torch.tensor([0.2, 0.9]))
    own = dit(*frames, times, Past(), block=BLOCK)
    for row in range(2):
        shared = dit(*frames, times[row], Past(), block=BLOCK)
        torch.testing.assert_close(shared[row], own[row], rtol=0, atol=2e-6)
    assert (own[0] - dit(*frames, times[1], Past(), block=BLOCK)[0]).abs().max() > 1e-3


def test_only_the_first_head_knows_positions_and_by_their_distance() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(1, 1, 24), torch.randn(1, 1, 24)
    rotation = RotaryEmbedding(8)(40, 30, q.device)
    turned_q, turned_k = (rotate_first_head(x.expand(1, 30, 24), rotation) for x in (q, k))
    assert torch.equal(turned_q[..., 8:], q[..., 8:].expand(1, 30, 16))
    products = turned_q[0, :, :8] @ turned_k[0, :, :8].T
    torch.testing.assert_close(products[3:, 3:], products[:-3, :-3], rtol=0, atol=1e-4)
    assert (products[0, 1:] - products[0, 0]).abs().min() > 1e-3


def test_angles_are_exact_where_weights_are_not() -> None:
    exact = RotaryEmbedding(8)(2000, 5, torch.device("cpu"))
    rounded = RotaryEmbedding(8).bfloat16()(2000, 5, torch.device("cpu"))
    assert torch.equal(torch.stack(exact), torch.stack(rounded))


def test_in_half_precision_it_says_nearly_the_same(dit: DiT, frames: list[Tensor]) -> None:
    exact = dit(*frames, dit.time_embedding(torch.tensor([0.3]))[0], Past(), block=BLOCK)
    half = dit.bfloat16()
    time = half.time_embedding(torch.tensor([0.3]))[0]
    rough = half(*(t.bfloat16() for t in frames), time, Past(), block=BLOCK)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).norm() < 0.03 * exact.norm()
