"""The flow with an estimator that is given stacked tensors, as another runtime is."""

import pytest
import torch
from torch import Tensor, nn

from cosystream.models.cosyvoice.config import FlowConfig
from cosystream.models.cosyvoice.dit import DiT
from cosystream.models.cosyvoice.flow import Flow, FlowOptions
from cosystream.models.cosyvoice.flow_batch import Padded, Places, place
from cosystream.models.cosyvoice.flow_export import StackedEstimator
from cosystream.models.cosyvoice.flow_memory import FlowMemory
from cosystream.models.cosyvoice.flow_stacked import Added, behind, keep
from cosystream.models.cosyvoice.unet import UNet
from cosystream.models.streaming import Context
from tests.models.cosyvoice.flows import LOOKAHEAD, V2, V3, Lender, assert_same, create_flow, prompt_of, tokens_of


class Elsewhere(nn.Module):
    """Gathers what lies behind, has the velocity computed from tensors alone, and keeps what that adds."""

    def __init__(self, estimator: DiT | UNet) -> None:
        super().__init__()
        self.inner = StackedEstimator(estimator)

    def time_embedding(self, t: Tensor) -> Tensor:
        return self.inner.estimator.time_embedding(t)

    def forward(self, x: Tensor, mu: Tensor, spks: Tensor, cond: Tensor, time: Tensor, context: Context) -> Tensor:
        assert isinstance(context, Padded)
        past = behind(context.memory, context.places, x.size(1))
        assert past.keys.isfinite().all()
        inputs = (past.positions, past.visible, past.keys, past.values, past.tails)
        velocity, *added = self.inner(x, mu, spks, cond, time, *inputs)
        keep(context.memory, context.places, Added(*added))
        assert isinstance(velocity, Tensor)
        return velocity


def flow_elsewhere(config: FlowConfig, options: FlowOptions) -> Flow:
    flow = create_flow(config, options)
    flow.decoder.estimator = Elsewhere(flow.decoder.estimator)  # type: ignore[assignment]
    return flow


@pytest.fixture(params=[V2, V3], ids=["v2", "v3"])
def config(request: pytest.FixtureRequest) -> FlowConfig:
    config: FlowConfig = request.param
    return config


@pytest.mark.parametrize("window", [None, 1])
def test_computed_elsewhere_pieces_are_what_they_are_here(config: FlowConfig, window: int | None) -> None:
    options = FlowOptions(num_steps=3, window=window, padded=True)
    flows = [create_flow(config, options), flow_elsewhere(config, options)]
    here: list[Tensor] = []
    elsewhere: list[Tensor] = []
    for flow, pieces in zip(flows, (here, elsewhere), strict=True):
        lender = Lender(flow, num_pages=20)
        longest, other = lender.begin(prompt_of(25)), lender.begin(prompt_of(0, seed=5))
        first = lender.start(longest, tokens_of(50 + LOOKAHEAD), final=False)  # alone, so that lengths differ later
        pieces.append(lender.finish(first))
        for start in (0, 25):
            end = 25 + start + LOOKAHEAD
            late = lender.start(longest, tokens_of(103)[50 + start : 50 + end], final=False)
            early = lender.start(other, tokens_of(53, seed=6)[start:end], final=False)
            flow.euler_step([late])
            while not late.done:
                flow.euler_step([late, early])
            pieces += [lender.finish(late), lender.finish(early)]
        preview = lender.start(other, tokens_of(8 + LOOKAHEAD, seed=7), final=False)
        pieces.append(lender.finish(preview, commit=False))
        pieces.append(lender.finish(lender.start(other, tokens_of(30, seed=7), final=True)))
    assert_same(elsewhere, torch.cat(here))


def test_of_rows_behind_which_nothing_lies_only_the_new_frames_are_visible(config: FlowConfig) -> None:
    flow = create_flow(config, FlowOptions(padded=True))
    lender = Lender(flow)
    solve = lender.start(lender.begin(prompt_of(10)), tokens_of(15 + LOOKAHEAD), final=False)
    memory, inputs = flow.padded_inputs([solve], num_rows=2, num_columns=5)
    past = behind(memory, Places(*inputs[4:]), solve.num_frames)
    assert past.keys.shape[1::2] == (4, 5 * 50)
    assert past.positions.tolist() == [list(range(50))] * 4
    assert not past.visible[:, :, : 5 * 50].any()
    assert past.visible[:, :, 5 * 50 :].all()


def test_to_gather_and_to_keep_asks_the_device_for_nothing(config: FlowConfig) -> None:
    meta = torch.device("meta")  # where there is nothing to be had
    memory = FlowMemory(config, 8, 4, dtype=torch.bfloat16, device=meta)
    places = place(memory, [], 60, rows=3, columns=4)
    past = behind(memory, places, 60)
    assert past.visible.shape == (6, 60, 4 * 50 + 60)
    keep(memory, places, Added(past.keys[..., :60, :], past.values[..., :60, :], past.tails))
