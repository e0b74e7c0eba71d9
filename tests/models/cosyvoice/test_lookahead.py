"""The convolutions in front of both flows, fed whole and in pieces."""

import pytest
import torch

from cosystream.models.cosyvoice.lookahead import PreLookahead
from cosystream.models.streaming import Past

LOOKAHEAD = 3


@pytest.fixture
def layer() -> PreLookahead:
    torch.manual_seed(0)
    return PreLookahead(6, 10, LOOKAHEAD).requires_grad_(requires_grad=False)


def nothing(x: torch.Tensor) -> torch.Tensor:
    return x[:, :0]


@pytest.mark.parametrize("cuts", [(1,), (2, 3, 9), (5, 6, 7, 8)])
def test_fed_in_pieces_gives_the_same_vectors(layer: PreLookahead, cuts: tuple[int, ...]) -> None:
    x, past = torch.randn(2, 12, 6), Past()
    whole = layer(x, nothing(x), Past())
    pieces = []
    for start, end in zip((0, *cuts), cuts, strict=False):
        pieces.append(layer(x[:, start:end], x[:, end : end + LOOKAHEAD], past))
        past.commit(end - start)
    pieces.append(layer(x[:, cuts[-1] :], nothing(x), past))
    torch.testing.assert_close(torch.cat(pieces, dim=1), whole)


def test_silence_follows_the_end(layer: PreLookahead) -> None:
    x = torch.randn(1, 7, 6)
    ended = layer(x, nothing(x), Past())
    torch.testing.assert_close(layer(x, torch.zeros(1, LOOKAHEAD, 6), Past()), ended)


def test_a_token_sees_three_ahead_and_no_more(layer: PreLookahead) -> None:
    x = torch.randn(1, 12, 6)
    changed = x.clone()
    changed[:, 8] += 1
    difference = (layer(x, nothing(x), Past()) - layer(changed, nothing(x), Past())).abs().amax(dim=(0, 2))
    assert difference[:5].max() == 0
    assert difference[5:11].min() > 0  # two behind, for the second convolution
    assert difference[11] == 0


def test_a_piece_not_committed_leaves_no_trace(layer: PreLookahead) -> None:
    x, past = torch.randn(1, 9, 6), Past()
    layer(x[:, :4], x[:, 4:7], past)
    past.commit(4)
    layer(torch.randn(1, 2, 6), nothing(x), past)
    torch.testing.assert_close(layer(x[:, 4:], nothing(x), past), layer(x, nothing(x), Past())[:, 4:])
