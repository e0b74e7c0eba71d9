"""Euler steps padded and replayed, beside the flow's own."""

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import FlowConfig
from cosystream.models.cosyvoice.flow import Flow, FlowOptions, Solve
from cosystream.models.cosyvoice.flow_memory import FlowMemory
from cosystream.models.cosyvoice.flow_recorded import RecordedFlow, StepSize, step_sizes
from cosystream.models.graphs import CudaRecorder, Recorder
from tests.models.cosyvoice.flows import LOOKAHEAD, V2, V3, Lender, assert_same, create_flow, prompt_of, tokens_of
from tests.models.recorders import Rerun
from tests.support.gpu import needs_gpu, no_waiting

OPTIONS = FlowOptions(num_steps=4, padded=True)
SIZES = [StepSize(1, 4, 50), StepSize(4, 4, 50), StepSize(2, 2, 50), StepSize(2, 8, 100)]


@pytest.fixture(params=[V2, V3], ids=["v2", "v3"])
def config(request: pytest.FixtureRequest) -> FlowConfig:
    config: FlowConfig = request.param
    return config


def spoken(flow: Flow, recorder: Recorder | None) -> list[Tensor]:
    """Three sequences, at first alone and then in steps together, and pieces of sizes that are not recorded."""
    lender = Lender(flow, num_pages=20)
    stepper = RecordedFlow(flow, lender.memory, recorder)
    for size in SIZES:
        stepper.record(size)
    states = [lender.begin(prompt_of(n, seed=n + 1).to(flow.device)) for n in (0, 25, 50)]
    pieces: list[Tensor] = []

    def start(index: int, num_tokens: int, *, final: bool = False) -> Solve:
        return lender.start(states[index], tokens_of(num_tokens, seed=index).to(flow.device), final=final)

    def finish(solves: list[Solve], *, commit: bool = True) -> None:
        while running := [solve for solve in solves if not solve.done]:
            stepper.euler_step(running)
        pieces.extend(lender.finish(solve, commit=commit).cpu() for solve in solves)

    finish([start(1, 25 + LOOKAHEAD), start(0, 50 + LOOKAHEAD)])  # 100 frames each
    finish([start(2, 25 + LOOKAHEAD)])
    together = [start(index, 25 + LOOKAHEAD) for index in (1, 0, 2)]
    stepper.euler_step(together[:1])
    stepper.euler_step(together[:2])  # now each is at another step
    finish(together)
    finish([start(1, 8 + LOOKAHEAD)], commit=False)
    finish([start(1, 70, final=True)])
    return pieces


def test_replayed_the_flow_says_what_it_says_anyhow(config: FlowConfig) -> None:
    recorder = Rerun()
    own, replayed = spoken(create_flow(config, OPTIONS), None), spoken(create_flow(config, OPTIONS), recorder)
    assert_same(replayed, torch.cat(own))
    assert recorder.num_recorded == len(SIZES)
    # Four for the two with 100 frames; of the three, two for some of them, and four until the last is through.
    assert recorder.num_replayed == 4 + 2 + 4


def test_a_window_is_padded_to_what_it_shows(config: FlowConfig) -> None:
    recorder, flow = Rerun(), create_flow(config, FlowOptions(num_steps=2, padded=True, window=1))
    lender = Lender(flow)
    stepper = RecordedFlow(flow, lender.memory, recorder)
    stepper.record(StepSize(1, 3, 50))  # the prompt's block, the one in front, and its own
    state = lender.begin(prompt_of(25))
    for start in range(0, 100, 25):
        solve = lender.start(state, tokens_of(103)[start : start + 25 + LOOKAHEAD], final=False)
        while not solve.done:
            stepper.euler_step([solve])
        lender.finish(solve)
    assert recorder.num_replayed == 3 * 2  # all but the first piece, which is of two blocks


def test_a_padded_step_asks_the_device_for_nothing(config: FlowConfig) -> None:
    recorder, meta = Rerun(), torch.device("meta")  # where there is nothing to be had
    with meta:
        flow = Flow(config, OPTIONS)
    memory = FlowMemory(config, 8, 4, dtype=torch.float32, device=meta)
    RecordedFlow(flow, memory, recorder).record(StepSize(2, 4, 50))
    assert recorder.num_recorded == 1


def test_sizes_cover_what_they_are_asked_to() -> None:
    sizes = step_sizes([6, 50, 100], most_frames=200, most_rows=5, most_columns=10)
    assert {size.columns for size in sizes} == {4, 8, 16}
    assert [size.rows for size in sizes if size.frames == 50 and size.columns == 8] == [1, 2, 4]
    assert [size.rows for size in sizes if size.frames == 100 and size.columns == 8] == [1, 2]
    assert [size.rows for size in sizes if size.frames == 6 and size.columns == 8] == [1, 2, 4, 8]


@pytest.mark.gpu
@needs_gpu
def test_a_graph_of_the_flow_says_what_the_flow_says(config: FlowConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    device = torch.device("cuda")
    own, replayed = (
        spoken(create_flow(config, OPTIONS).to(device), recorder) for recorder in (None, CudaRecorder(device))
    )
    whole = torch.cat(own)
    torch.testing.assert_close(torch.cat(replayed), whole, rtol=0, atol=1e-3 * whole.abs().max().item())


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("is_recorded", [False, True])
def test_an_euler_step_never_waits_for_the_device(config: FlowConfig, *, is_recorded: bool) -> None:
    device = torch.device("cuda")
    flow = create_flow(config, OPTIONS).to(device)
    lender = Lender(flow)
    stepper = RecordedFlow(flow, lender.memory, CudaRecorder(device))
    if is_recorded:
        stepper.record(StepSize(1, 4, 50))
    solve = lender.start(lender.begin(prompt_of(0).to(device)), tokens_of(25 + LOOKAHEAD).to(device), final=False)
    stepper.euler_step([solve])  # what is made at first use may wait
    with no_waiting():
        while not solve.done:
            stepper.euler_step([solve])
    assert lender.finish(solve).isfinite().all()
