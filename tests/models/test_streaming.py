"""What networks know of the frames behind them."""

import math

import pytest
import torch

from cosystream.models.streaming import Past, SideBySide, Whole, block_mask

CPU = torch.device("cpu")


def test_a_block_ends_what_its_frames_see() -> None:
    visible = block_mask(2, 3, 2, CPU)
    assert visible.int().tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]


def test_side_by_side_each_sequence_has_its_own_context() -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 4, 2, 30, 8)
    contexts = [Whole(CPU), Whole(CPU, 10)]
    together = SideBySide(contexts, rows=2)
    expected = [
        c.attend("layer", q[i : i + 2], k[i : i + 2], v[i : i + 2]) for i, c in zip((0, 2), contexts, strict=True)
    ]
    assert torch.equal(together.attend("layer", q, k, v), torch.cat(expected))
    assert together.positions(3).tolist() == [[0, 1, 2]] * 4
    x = torch.randn(4, 5, 30)
    assert torch.equal(together.extend("layer", x, 2), torch.nn.functional.pad(x, (2, 0)))


@pytest.mark.parametrize("num_frames", [1, 3, 8])
def test_a_fork_goes_on_from_the_same_past_and_leaves_it_alone(num_frames: int) -> None:
    torch.manual_seed(0)
    past, x, other = Past(), torch.randn(1, 2, 12, 4), torch.randn(1, 2, 12, 4)
    past.attend("layer", x[:, :, :num_frames], x[:, :, :num_frames])
    past.extend("layer", x[0, :, :num_frames].mT, 2)
    past.commit(num_frames)
    fork = past.fork()
    for branch, frames in ((fork, other), (past, x)):
        piece = frames[:, :, num_frames:]
        keys, values = branch.attend("layer", piece, piece)
        assert torch.equal(keys, torch.cat([x[:, :, :num_frames], piece], dim=2))
        assert torch.equal(values, keys)
        branch.extend("layer", piece[0].mT, 2)
        branch.commit(12 - num_frames)
    assert fork.num_frames == past.num_frames == 12
    nothing = torch.zeros(2, 4, 0)
    assert torch.equal(past.extend("layer", nothing, 2), x[0, :, -2:].mT)
    assert torch.equal(fork.extend("layer", nothing, 2), other[0, :, -2:].mT)


def test_a_fork_does_not_see_what_is_only_provisional() -> None:
    past, x = Past(), torch.ones(1, 1, 4, 1)
    past.attend("layer", x, x)
    past.commit(4)
    past.attend("layer", math.nan * x, math.nan * x)
    keys, _ = past.fork().attend("layer", 2 * x, 2 * x)
    assert keys.flatten().tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
