"""v2's flow estimator, fed whole and in pieces."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import UNetConfig
from cosystream.models.cosyvoice.unet import UNet
from cosystream.models.linear import Precision
from cosystream.models.streaming import Context, Whole
from tests.models.cosyvoice.flows import V2, paged_contexts

MELS = 5
CONFIG = UNetConfig(
    in_channels=4 * MELS, out_channels=MELS, channels=16, num_blocks=2, num_mid_blocks=2, num_heads=2, head_size=8
)
BLOCK = 50
CPU = torch.device("cpu")
BLOCKWISE, EVERYTHING = Whole(CPU, BLOCK), Whole(CPU)


@dataclass(frozen=True)
class Inputs:
    """Of the estimator, but for the context: rows by frames by mel bins."""

    x: Tensor
    mu: Tensor
    spks: Tensor
    cond: Tensor
    time: Tensor

    @classmethod
    def random(cls, unet: UNet, num_frames: int, rows: int = 2) -> "Inputs":
        x, mu, cond = torch.randn(3, rows, num_frames, MELS)
        return cls(x, mu, torch.randn(rows, MELS), cond, unet.time_embedding(torch.rand(rows)))

    def frames(self, start: int, stop: int) -> "Inputs":
        piece = slice(start, stop)
        return Inputs(self.x[:, piece], self.mu[:, piece], self.spks, self.cond[:, piece], self.time)

    def row(self, i: int) -> "Inputs":
        row = slice(i, i + 1)
        return Inputs(self.x[row], self.mu[row], self.spks[row], self.cond[row], self.time[row])

    def velocity(self, unet: UNet, context: Context = BLOCKWISE) -> Tensor:
        v: Tensor = unet(self.x, self.mu, self.spks, self.cond, self.time, context)
        return v


@pytest.fixture(autouse=True)
def _seeded_and_without_gradients() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def unet() -> UNet:
    torch.manual_seed(1)
    unet = UNet(CONFIG).eval()
    for parameter in unet.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return unet


def assert_same(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pieces", [(50, 50, 50), (100, 50, 26), (50, 150, 1), (200, 2), (50, 100, 49)])
def test_pieces_that_end_with_a_block_have_the_velocity_of_the_whole(unet: UNet, pieces: tuple[int, ...]) -> None:
    inputs = Inputs.random(unet, sum(pieces))
    whole = inputs.velocity(unet)
    assert whole.shape == (2, sum(pieces), MELS)
    bounds = list(pairwise(accumulate(pieces, initial=0)))
    contexts = paged_contexts(replace(V2, estimator=CONFIG, chunk_size=BLOCK // 2), [start for start, _ in bounds])
    fed = [inputs.frames(*each).velocity(unet, context) for each, context in zip(bounds, contexts, strict=True)]
    assert_same(torch.cat(fed, dim=1), whole)


def test_a_block_does_not_see_the_next(unet: UNet) -> None:
    inputs = Inputs.random(unet, 2 * BLOCK)
    first = inputs.velocity(unet)[:, :BLOCK]
    inputs.x[:, BLOCK] += 1
    assert torch.equal(inputs.velocity(unet)[:, :BLOCK], first)


def test_a_frame_sees_the_last_of_its_block(unet: UNet) -> None:
    inputs = Inputs.random(unet, 2 * BLOCK)
    first = inputs.velocity(unet)[:, 0]
    inputs.x[:, BLOCK - 1] += 10
    assert not torch.allclose(inputs.velocity(unet)[:, 0], first, atol=1e-3)


def test_without_blocks_the_first_frame_sees_the_last(unet: UNet) -> None:
    inputs = Inputs.random(unet, 2 * BLOCK)
    first = inputs.velocity(unet, EVERYTHING)[:, 0]
    inputs.x[:, -1] += 10
    assert not torch.allclose(inputs.velocity(unet, EVERYTHING)[:, 0], first, atol=1e-3)


def test_rows_do_not_know_each_other(unet: UNet) -> None:
    inputs = Inputs.random(unet, 60, rows=3)
    together = inputs.velocity(unet)
    alone = [inputs.row(i).velocity(unet) for i in range(3)]
    assert_same(together, torch.cat(alone))


@pytest.mark.parametrize("block", [None, BLOCK])
def test_a_row_that_is_padded_has_the_velocity_of_the_row_alone(unet: UNet, block: int | None) -> None:
    inputs = Inputs.random(unet, 130)
    together = inputs.velocity(unet, Whole(CPU, block, torch.tensor([130, 70])))
    assert_same(together[:1], inputs.row(0).velocity(unet, Whole(CPU, block)))
    assert_same(together[1:, :70], inputs.row(1).frames(0, 70).velocity(unet, Whole(CPU, block)))


def test_quickened_it_says_the_same_and_in_bfloat16_nearly(unet: UNet) -> None:
    inputs = Inputs.random(unet, 60)
    exact = inputs.velocity(unet)
    velocities = []
    for precision in (Precision.FLOAT32, Precision.BFLOAT16):
        other = copy.deepcopy(unet)
        other.quicken(precision)
        velocities.append(inputs.velocity(other))
    quick, rough = velocities
    assert_same(quick, exact)
    assert rough.dtype == torch.float32
    assert (rough - exact).norm() < 0.03 * exact.norm()
