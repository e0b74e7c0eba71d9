"""v2's flow estimator, fed whole and in pieces."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import UNetConfig
from cosystream.models.cosyvoice.unet import UNet
from cosystream.models.streaming import Past

MELS = 5
CONFIG = UNetConfig(
    in_channels=4 * MELS, out_channels=MELS, channels=16, num_blocks=2, num_mid_blocks=2, num_heads=2, head_size=8
)
BLOCK = 50


@dataclass(frozen=True)
class Inputs:
    """Of the estimator, but for the mask: rows by frames by mel bins."""

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

    def velocity(self, unet: UNet, past: Past, *, block: int | None = BLOCK, mask: Tensor | None = None) -> Tensor:
        v: Tensor = unet(self.x, self.mu, self.spks, self.cond, self.time, past, block=block, mask=mask)
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


def velocity_in_pieces(unet: UNet, inputs: Inputs, pieces: Sequence[int], past: Past) -> list[Tensor]:
    velocities = []
    for piece in pieces:
        start = past.num_frames
        velocities.append(inputs.frames(start, start + piece).velocity(unet, past))
        past.commit(piece)
    return velocities


def assert_same(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pieces", [(50, 50, 50), (100, 50, 26), (50, 150, 1), (200, 2), (50, 100, 49)])
def test_pieces_that_end_with_a_block_have_the_velocity_of_the_whole(unet: UNet, pieces: tuple[int, ...]) -> None:
    inputs = Inputs.random(unet, sum(pieces))
    whole = inputs.velocity(unet, Past())
    assert whole.shape == (2, sum(pieces), MELS)
    assert_same(torch.cat(velocity_in_pieces(unet, inputs, pieces, Past()), dim=1), whole)


def test_a_piece_not_committed_leaves_no_trace(unet: UNet) -> None:
    inputs, other = Inputs.random(unet, 120), Inputs.random(unet, 250)
    expected = velocity_in_pieces(unet, inputs, [50, 50, 20], Past())
    past = Past()
    for start, stop, velocity in zip((0, 50, 100), (50, 100, 120), expected, strict=True):
        other.frames(start, start + 16).velocity(unet, past)
        other.frames(start, start + 150).velocity(unet, past)
        assert_same(inputs.frames(start, stop).velocity(unet, past), velocity)
        past.commit(stop - start)


def test_nothing_is_read_behind_what_is_committed(unet: UNet) -> None:
    inputs, past = Inputs.random(unet, 150), Past()
    velocity_in_pieces(unet, inputs, [50], past)
    expected = inputs.frames(50, 100).velocity(unet, past)
    inputs.frames(50, 150).velocity(unet, past)
    assert past._attended
    for buffers in past._attended.values():
        for buffer in buffers:
            buffer[:, :, 50:] = math.nan
    assert_same(inputs.frames(50, 100).velocity(unet, past), expected)


def test_a_block_does_not_see_the_next(unet: UNet) -> None:
    inputs = Inputs.random(unet, 2 * BLOCK)
    first = inputs.velocity(unet, Past())[:, :BLOCK]
    inputs.x[:, BLOCK] += 1
    assert torch.equal(inputs.velocity(unet, Past())[:, :BLOCK], first)


def test_a_frame_sees_the_last_of_its_block(unet: UNet) -> None:
    inputs = Inputs.random(unet, 2 * BLOCK)
    first = inputs.velocity(unet, Past())[:, 0]
    inputs.x[:, BLOCK - 1] += 10
    assert not torch.allclose(inputs.velocity(unet, Past())[:, 0], first, atol=1e-3)


def test_without_blocks_the_first_frame_sees_the_last(unet: UNet) -> None:
    inputs = Inputs.random(unet, 2 * BLOCK)
    first = inputs.velocity(unet, Past(), block=None)[:, 0]
    inputs.x[:, -1] += 10
    assert not torch.allclose(inputs.velocity(unet, Past(), block=None)[:, 0], first, atol=1e-3)


def test_rows_do_not_know_each_other(unet: UNet) -> None:
    inputs = Inputs.random(unet, 60, rows=3)
    together = inputs.velocity(unet, Past())
    alone = [inputs.row(i).velocity(unet, Past()) for i in range(3)]
    assert_same(together, torch.cat(alone))


@pytest.mark.parametrize("block", [None, BLOCK])
def test_a_row_that_is_padded_has_the_velocity_of_the_row_alone(unet: UNet, block: int | None) -> None:
    inputs = Inputs.random(unet, 130)
    mask = torch.ones(2, 130)
    mask[1, 70:] = 0
    together = inputs.velocity(unet, Past(), block=block, mask=mask)
    assert_same(together[:1], inputs.row(0).velocity(unet, Past(), block=block))
    assert_same(together[1:, :70], inputs.row(1).frames(0, 70).velocity(unet, Past(), block=block))
    assert torch.equal(together[1, 70:], torch.zeros(60, MELS))


def test_a_piece_that_is_padded_sees_all_that_is_behind(unet: UNet) -> None:
    inputs = Inputs.random(unet, 100)
    expected = velocity_in_pieces(unet, inputs, [50, 30], Past())[1]
    past = Past()
    velocity_in_pieces(unet, inputs, [50], past)
    mask = torch.ones(2, 50)
    mask[:, 30:] = 0
    assert_same(inputs.frames(50, 100).velocity(unet, past, mask=mask)[:, :30], expected)


def test_one_time_serves_all_rows(unet: UNet) -> None:
    inputs = Inputs.random(unet, 20)
    time = unet.time_embedding(torch.tensor([0.1, 0.4]))
    one = Inputs(inputs.x, inputs.mu, inputs.spks, inputs.cond, time[1])
    each = Inputs(inputs.x, inputs.mu, inputs.spks, inputs.cond, time[1].expand(2, -1))
    other = Inputs(inputs.x, inputs.mu, inputs.spks, inputs.cond, time[0])
    assert_same(one.velocity(unet, Past()), each.velocity(unet, Past()))
    assert not torch.allclose(one.velocity(unet, Past()), other.velocity(unet, Past()), atol=1e-3)
