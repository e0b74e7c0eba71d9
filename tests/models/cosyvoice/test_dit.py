"""v3's flow estimator, fed whole and in pieces."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import DiTConfig
from cosystream.models.cosyvoice.dit import DiT, RotaryEmbedding, rotate_first_head
from cosystream.models.linear import Precision
from cosystream.models.streaming import Whole
from tests.models.cosyvoice.flows import V3, paged_contexts

BLOCK = 10
CONFIG = DiTConfig(dim=32, depth=2, num_heads=4, head_size=8, ff_mult=2, mel_dim=5, mu_dim=5, spk_dim=5, out_channels=5)
CPU = torch.device("cpu")
BLOCKWISE, EVERYTHING = Whole(CPU, BLOCK), Whole(CPU)


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


def time_at(dit: DiT, *times: float) -> Tensor:
    """Of two rows."""
    return dit.time_embedding(torch.tensor(times)).expand(2, -1)


@pytest.mark.parametrize("cuts", [(10,), (10, 20, 40), (40,), (30, 40)])
def test_fed_in_pieces_gives_the_same_velocity(dit: DiT, frames: list[Tensor], cuts: tuple[int, ...]) -> None:
    time = time_at(dit, 0.3)
    bounds = list(pairwise((0, *cuts, 45)))
    contexts = paged_contexts(replace(V3, estimator=CONFIG, chunk_size=BLOCK // 2), [start for start, _ in bounds])
    pieces = [dit(*part(frames, *each), time, context) for each, context in zip(bounds, contexts, strict=True)]
    torch.testing.assert_close(torch.cat(pieces, dim=1), dit(*frames, time, BLOCKWISE), rtol=0, atol=2e-6)


def test_a_frame_sees_to_the_end_of_its_block_and_without_blocks_everything(dit: DiT, frames: list[Tensor]) -> None:
    time = time_at(dit, 0.3)
    changed = [t.clone() for t in frames]
    changed[1][:, 19] += 1
    seen = []
    for context in (BLOCKWISE, EVERYTHING):
        difference = dit(*frames, time, context) - dit(*changed, time, context)
        seen.append(difference.abs().amax(dim=(0, 2)) > 0)
    assert seen[0].tolist() == [False] * 10 + [True] * 35
    assert seen[1].all()


def test_each_row_has_a_time_of_its_own(dit: DiT, frames: list[Tensor]) -> None:
    own = dit(*frames, time_at(dit, 0.2, 0.9), BLOCKWISE)
    for row, time in enumerate((0.2, 0.9)):
        shared = dit(*frames, time_at(dit, time), BLOCKWISE)
        torch.testing.assert_close(shared[row], own[row], rtol=0, atol=2e-6)
    assert (own[0] - shared[0]).abs().max() > 1e-3


@pytest.mark.parametrize("block", [None, BLOCK])
def test_a_row_that_is_padded_has_the_velocity_of_the_row_alone(
    dit: DiT, frames: list[Tensor], block: int | None
) -> None:
    time = time_at(dit, 0.3)
    together = dit(*frames, time, Whole(CPU, block, torch.tensor([45, 32])))
    alone = dit(*part(frames, 0, 32), time, Whole(CPU, block))
    torch.testing.assert_close(together[1, :32], alone[1], rtol=0, atol=2e-6)
    torch.testing.assert_close(together[0], dit(*frames, time, Whole(CPU, block))[0], rtol=0, atol=2e-6)


def test_only_the_first_head_knows_positions_and_by_their_distance() -> None:
    torch.manual_seed(0)
    q, k = torch.randn(1, 3, 1, 8), torch.randn(1, 3, 1, 8)
    rotation = RotaryEmbedding(8)(torch.arange(40, 70)[None])
    turned_q, turned_k = (rotate_first_head(x.expand(1, 3, 30, 8), rotation) for x in (q, k))
    assert torch.equal(turned_q[:, 1:], q[:, 1:].expand(1, 2, 30, 8))
    products = turned_q[0, 0] @ turned_k[0, 0].T
    torch.testing.assert_close(products[3:, 3:], products[:-3, :-3], rtol=0, atol=1e-4)
    assert (products[0, 1:] - products[0, 0]).abs().min() > 1e-3


def test_angles_are_exact_where_weights_are_not() -> None:
    positions = torch.arange(2000, 2005)[None]
    exact, rounded = RotaryEmbedding(8)(positions), RotaryEmbedding(8).bfloat16()(positions)
    assert torch.equal(torch.stack(exact), torch.stack(rounded))


def test_quickened_it_says_the_same_and_in_bfloat16_nearly(frames: list[Tensor]) -> None:
    velocities = []
    for precision in (None, Precision.FLOAT32, Precision.BFLOAT16):
        torch.manual_seed(0)
        dit = DiT(CONFIG).requires_grad_(requires_grad=False)
        time = time_at(dit, 0.3)
        if precision is not None:
            dit.quicken(precision)
        velocities.append(dit(*frames, time, BLOCKWISE))
    exact, quick, rough = velocities
    torch.testing.assert_close(quick, exact, rtol=0, atol=2e-6)
    assert rough.dtype == torch.float32
    assert (rough - exact).norm() < 0.03 * exact.norm()
