"""``python -m bench.stopwatch DIR``: a checkpoint's models, timed stage by stage; prints ``Stages`` as JSON."""

import argparse
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import torch
from torch import Tensor

from bench.machine import Neighbours
from bench.stages import FlowTimes, Hop, LMTimes, Solve, Stages, Timing
from cosystream.models.cosyvoice.config import FlowConfig, SamplingConfig
from cosystream.models.cosyvoice.flow import Flow, FlowPrompt, FlowState
from cosystream.models.cosyvoice.model import load_model
from cosystream.models.cosyvoice.qwen2 import KVCache
from cosystream.models.cosyvoice.sampling import NOTHING, sample
from cosystream.models.cosyvoice.solver import NUM_STEPS
from cosystream.models.cosyvoice.speech_lm import Kind, Piece, SpeechLM, no_end
from cosystream.models.cosyvoice.vocoder import Vocoder

PREFILLS = (64, 256)
CONTEXT = 270
PROMPT_TOKENS = 75
HOPS = (25, 50, 100)
"""Tokens. Like the prompt's they are multiples of a block of the streaming mask."""
FAR_TOKENS = 500
"""20 s."""
REPETITIONS = 30
LIMIT_SECONDS = 4.0
"""When a stage is not begun again."""

Timer = Callable[[Callable[[], object]], float]
"""What something takes, in milliseconds."""


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.stopwatch")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    sys.stdout.buffer.write(orjson.dumps(measure(folder)))


def measure(folder: Path, *, far_tokens: int = FAR_TOKENS, limit_seconds: float = LIMIT_SECONDS) -> Stages:
    """Raises CheckpointError."""
    neighbours = Neighbours()
    began = time.perf_counter()
    model = load_model(folder)
    load_seconds, loaded_bytes = time.perf_counter() - began, most_resident()
    timer = partial(median_ms, limit_seconds=limit_seconds)
    with torch.inference_mode():
        lm = _time_lm(model.lm, model.config.lm.sampling, timer)
        vocoder = _time_vocoder(model.vocoder, model.config.flow, timer)
        flow = _time_flow(model.flow, far_tokens, timer)
    return Stages(
        version=model.config.version,
        token_rate=model.config.token_rate,
        lm=lm,
        flow=flow,
        vocoder=vocoder,
        load_seconds=load_seconds,
        loaded_bytes=loaded_bytes,
        peak_bytes=most_resident(),
        neighbour_cores=neighbours.cores(),
    )


def median_ms(work: Callable[[], object], *, limit_seconds: float) -> float:
    """Done again and again; the first time warms up, and counts only where there is no time for a second."""
    taken: list[float] = []
    while len(taken) <= REPETITIONS and sum(taken) <= limit_seconds:
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return 1000 * median(taken[1:] or taken)


def most_resident() -> int:
    """Bytes of memory, files that are mapped included. Format: proc_pid_status(5)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _time_lm(lm: SpeechLM, config: SamplingConfig, timer: Timer) -> LMTimes:
    ids = tuple(torch.randint(lm.ids.num_speech, (CONTEXT,)).tolist())
    embedded = lm.embed([Piece(Kind.SPEECH, ids)])
    cache = KVCache(lm.body.config, 1, CONTEXT + 1, device=embedded.device, dtype=embedded.dtype)
    prefills = tuple(Timing(size, timer(partial(lm.prefill, embedded[:size], cache, 0, 0))) for size in PREFILLS)
    hidden = lm.prefill(embedded, cache, 0, 0)
    recent = torch.full((1, config.window_size), NOTHING)
    forbidden, draws = no_end(lm.ids), torch.rand(1, 2)

    def draw() -> Tensor:
        return sample(lm.logits(hidden), recent, forbidden, draws, config)

    drawn, slots, positions = draw(), torch.zeros(1, dtype=torch.long), torch.tensor([CONTEXT])
    decode_ms = timer(lambda: lm.decode(drawn, cache, slots, positions, CONTEXT + 1))
    return LMTimes(prefills, CONTEXT, decode_ms, draw_ms=timer(draw))


def _time_vocoder(vocoder: Vocoder[Any], config: FlowConfig, timer: Timer) -> tuple[Timing, ...]:
    """Each in the midst of an utterance."""
    pieces = []
    for tokens in HOPS:
        mel = torch.randn(config.token_mel_ratio * tokens, config.output_size)
        vocode = partial(vocoder.vocode, vocoder.begin(seed=0), mel, last=False)
        vocode()
        pieces.append(Timing(len(mel), timer(vocode)))
    return tuple(pieces)


def _time_flow(flow: Flow, far_tokens: int, timer: Timer) -> FlowTimes:
    config = flow.config
    tokens = torch.randint(config.vocab_size, (PROMPT_TOKENS + far_tokens + HOPS[-1] + config.lookahead,))
    prompt = FlowPrompt(
        tokens[:PROMPT_TOKENS],
        mel=torch.randn(config.token_mel_ratio * PROMPT_TOKENS, config.output_size),
        embedding=torch.randn(config.spk_embed_dim),
    )
    spoken = tokens[PROMPT_TOKENS:]
    state = flow.begin(prompt)
    _advance(flow, state, spoken[: config.lookahead])
    near = [_time_solve(flow, state, spoken[: hop + config.lookahead], timer) for hop in HOPS]
    for begin in range(0, far_tokens, HOPS[-1]):
        _advance(flow, state, spoken[begin : begin + HOPS[-1] + config.lookahead])
    far = [_time_solve(flow, state, spoken[far_tokens:][: hop + config.lookahead], timer) for hop in HOPS]
    return FlowTimes(
        num_steps=NUM_STEPS,
        prompt_tokens=PROMPT_TOKENS,
        far_tokens=far_tokens,
        hops=tuple(map(Hop, HOPS, near, far)),
        uncached=_time_solve(flow, flow.begin(prompt), spoken, timer),
    )


def _advance(flow: Flow, state: FlowState, tokens: Tensor) -> None:
    """Make ``tokens`` past, for the first Euler step alone: each step has a past of its own, all of them alike."""
    solve = flow.start(state, tokens, final=False)
    flow.euler_step(solve)
    flow.finish(solve)


def _time_solve(flow: Flow, state: FlowState, tokens: Tensor, timer: Timer) -> Solve:
    """The first Euler step stands for all: they differ in what they compute with, not in what they compute."""
    start = partial(flow.start, state, tokens, final=False)
    solve = start()

    def step() -> None:
        solve.step = 0
        flow.euler_step(solve)

    return Solve(solve.x.size(1), start_ms=timer(start), step_ms=timer(step))


if __name__ == "__main__":
    main()
