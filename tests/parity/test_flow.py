"""Both flows, from tokens to mel, against the reference implementation's."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.flow import Flow, FlowPrompt, FlowState, Solve
from cosystream.models.cosyvoice.flow_memory import FlowMemory
from cosystream.models.cosyvoice.solver import NUM_STEPS, cosine_schedule, noise
from cosystream.models.streaming import Whole
from cosystream.models.weights import load_strict
from tests.parity.conftest import Golden


@pytest.fixture(scope="module")
def flow(either: Golden) -> Flow:
    with torch.device("meta"):
        flow = Flow(either.config.flow)
    load_strict(flow, either.weights("flow"), "flow.pt")
    return flow


@pytest.fixture
def tensors(either: Golden) -> dict[str, Tensor]:
    return either.tensors("flow")


@pytest.fixture
def prompt(tensors: dict[str, Tensor]) -> FlowPrompt:
    return FlowPrompt(tensors["prompt_token"][0].long(), tensors["prompt_feat"][0], tensors["embedding"][0])


@pytest.fixture
def tokens(tensors: dict[str, Tensor]) -> Tensor:
    return tensors["token"][0].long()


def begin(flow: Flow, prompt: FlowPrompt) -> FlowState:
    """With pages enough."""
    memory = FlowMemory(flow.config, 20, 1, dtype=torch.float32, device=flow.device)
    state = flow.begin(prompt, memory, 0)
    state.pages += range(20)
    return state


def assert_recorded(mel: Tensor, recorded: Tensor, atol: float = 1e-3) -> None:
    """``mel`` (N, M); recorded channels first."""
    torch.testing.assert_close(mel.T[None], recorded, rtol=0, atol=atol)


def test_times_are_the_reference_s(cases: Callable[[str], Any], tensors: dict[str, Tensor]) -> None:
    recorded, schedule = cases("cosine_schedule_10"), cosine_schedule()
    assert schedule.times == tuple(recorded["t_at_step"])
    assert schedule.widths == tuple(recorded["dt_at_step"])
    assert torch.equal(torch.tensor(schedule.times), tensors["cfm_t_steps"])


def test_noise_is_the_reference_s(tensors: dict[str, Tensor]) -> None:
    recorded = tensors["rand_noise_head"]
    assert torch.equal(noise(0, recorded.size(2), recorded.device).mT, recorded)


def test_the_speaker_is_projected_as_the_reference_s(
    flow: Flow, tensors: dict[str, Tensor], prompt: FlowPrompt
) -> None:
    torch.testing.assert_close(begin(flow, prompt).spks, tensors["spks"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("final", [True, False])
def test_what_frames_are_about_is_the_reference_s(
    flow: Flow, tensors: dict[str, Tensor], prompt: FlowPrompt, tokens: Tensor, *, final: bool
) -> None:
    version = "stream_" if flow.config.version is Version.V2 else ""  # v3 has no attention here to differ by
    solve = flow.start(begin(flow, prompt), tokens, final=final)
    recorded = tensors[f"mu_{version}{'final' if final else 'partial'}"]
    torch.testing.assert_close(solve.mu[:1], recorded, rtol=0, atol=1e-4)
    assert solve.mu[1].count_nonzero() == 0


def test_every_step_of_a_solve_is_the_reference_s(flow: Flow, tensors: dict[str, Tensor], prompt: FlowPrompt) -> None:
    mu, spks, cond = (torch.cat([t, 0 * t]) for t in (tensors["cfm_mu"].mT, tensors["spks"], tensors["cfm_cond"].mT))
    x = noise(0, mu.size(1), mu.device)
    solve = Solve(None, x, mu, spks, cond, num_steps=NUM_STEPS, num_tokens=0, num_prompt_frames=0)
    times = flow.decoder.estimator.time_embedding(tensors["cfm_t_steps"])
    (name,) = (name for name in tensors if name.startswith("cfm_est_out_steps"))
    recorded = dict(zip(map(int, re.findall(r"\d+", name)), tensors[name], strict=True))
    for step in range(NUM_STEPS):
        assert_recorded(solve.x[0], tensors["cfm_x_steps"][step : step + 1], 1e-4)
        if step + 1 in recorded:
            x = solve.x.expand(2, -1, -1)
            velocity = flow.decoder.estimator(x, mu, spks, cond, times[step].expand(2, -1), Whole(x.device))
            torch.testing.assert_close(velocity.mT, recorded[step + 1], rtol=0, atol=1e-4)
        flow.euler_step([solve])
    assert solve.done
    assert_recorded(solve.x[0], tensors["cfm_out"])


@pytest.mark.parametrize("streaming", [False, True], ids=["full", "stream"])
def test_a_whole_is_the_reference_s(
    flow: Flow, tensors: dict[str, Tensor], prompt: FlowPrompt, tokens: Tensor, *, streaming: bool
) -> None:
    mel = flow.whole(prompt, tokens, final=True, streaming=streaming)
    assert_recorded(mel, tensors[f"mel_{'stream' if streaming else 'full'}_final"])


def test_a_voice_without_a_recording_is_the_reference_s(
    flow: Flow, tensors: dict[str, Tensor], prompt: FlowPrompt, tokens: Tensor
) -> None:
    recorded = tensors["mel_noprompt_full_final"]
    alone = FlowPrompt(prompt.tokens[:0], prompt.mel[:0], prompt.embedding)
    num_tokens = recorded.size(2) // flow.config.token_mel_ratio
    assert_recorded(flow.whole(alone, tokens[:num_tokens], final=True, streaming=False), recorded)


def test_each_whole_up_to_a_chunk_is_the_reference_s(
    flow: Flow, either: Golden, tensors: dict[str, Tensor], prompt: FlowPrompt, tokens: Tensor
) -> None:
    for chunk in either.json("meta")["flow_chunks"]:
        seen = tokens[: chunk["tokens_passed"]]
        mel = flow.whole(prompt, seen, final=chunk["finalize"], streaming=chunk["streaming"])
        new = mel[flow.config.token_mel_ratio * chunk["token_offset"] :]
        assert_recorded(new, tensors[f"chunk{chunk['chunk']}_mel"])


def test_pieces_are_the_reference_s_chunks(
    flow: Flow, either: Golden, tensors: dict[str, Tensor], prompt: FlowPrompt, tokens: Tensor
) -> None:
    state = begin(flow, prompt)
    for chunk in either.json("meta")["flow_chunks"]:
        solve = flow.start(state, tokens[chunk["token_offset"] : chunk["tokens_passed"]], final=chunk["finalize"])
        while not solve.done:
            flow.euler_step([solve])
        name = f"chunk{chunk['chunk']}_mel" + ("" if chunk["streaming"] else "_if_streaming_true")
        assert_recorded(flow.finish(solve), tensors[name])
