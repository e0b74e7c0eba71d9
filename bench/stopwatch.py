"""``python -m bench.stopwatch DIR``: a checkpoint's models, timed stage by stage; prints ``Stages`` as JSON."""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import torch

from bench.neighbours import Neighbours
from bench.stages import FlowTimes, Hop, LMTimes, Solve, Stages, Timing
from cosystream.cores import usable_cores
from cosystream.engines.cosyvoice.building import SLOT_POSITIONS, kept_in, lay_out
from cosystream.engines.cosyvoice.options import CosyVoiceOptions
from cosystream.models.cosyvoice.config import CosyVoiceConfig, FlowConfig
from cosystream.models.cosyvoice.decoder import Arrival, Decoder
from cosystream.models.cosyvoice.flow import Flow, FlowPrompt
from cosystream.models.cosyvoice.flow import Solve as FlowSolve
from cosystream.models.cosyvoice.flow_memory import FlowMemory
from cosystream.models.cosyvoice.model import load_model
from cosystream.models.cosyvoice.speech_lm import Kind, Piece, SpeechLM
from cosystream.models.cosyvoice.vocoder import Vocoder

PREFILLS = (64, 256)
STREAMS = (1, 4, 16)
"""Sequences that draw a token together."""
PROMPT_TOKENS = 50
"""Solved, and as many more as are looked at. Like the hops but the first these are multiples of a block."""
HOPS = (8, 25, 50, 100)
"""Tokens. The first is the provisional one: the prompt's last tokens are solved along with it."""
FAR_TOKENS = 750
"""30 s."""
REPETITIONS = 30
LIMIT_SECONDS = 4.0
"""When a stage is not begun again."""

Timer = Callable[[Callable[[], object]], float]
"""What something takes, in milliseconds."""


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.stopwatch")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    torch.set_num_threads(usable_cores())
    torch.manual_seed(0)
    sys.stdout.buffer.write(orjson.dumps(measure(folder)))


def measure(folder: Path, *, far_tokens: int = FAR_TOKENS, limit_seconds: float = LIMIT_SECONDS) -> Stages:
    """Raises CheckpointError."""
    neighbours = Neighbours()
    options = CosyVoiceOptions(voices_dir=folder, cache_dir=folder)
    began = time.perf_counter()
    model = load_model(folder, flow_options=options.flow)
    precisions = lay_out(model, options)
    load_seconds, loaded_bytes = time.perf_counter() - began, _resident("VmRSS")
    timer = partial(median_ms, limit_seconds=limit_seconds)
    with torch.inference_mode():
        lm = _time_lm(model.lm, model.config, kept_in(precisions.lm), timer)
        vocoder = _time_vocoder(model.vocoder, model.config.flow, timer)
        flow = _time_flow(model.flow, kept_in(precisions.flow), far_tokens, timer)
    return Stages(
        version=model.config.version,
        token_rate=model.config.token_rate,
        precision=precisions.flow,
        lm=lm,
        flow=flow,
        vocoder=vocoder,
        load_seconds=load_seconds,
        loaded_bytes=loaded_bytes,
        peak_bytes=_resident("VmHWM"),
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


def _resident(field: str) -> int:
    """Bytes of memory, files that are mapped included: "VmRSS" now, "VmHWM" at most. Format: proc_pid_status(5)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def _time_lm(lm: SpeechLM, config: CosyVoiceConfig, dtype: torch.dtype, timer: Timer) -> LMTimes:
    """``dtype`` is that of keys and values."""
    decoder = Decoder(lm, config.lm, max(STREAMS), SLOT_POSITIONS, dtype=dtype)
    context = max(PREFILLS)

    def read(num_positions: int, slot: int = 0) -> None:
        ids = torch.randint(lm.ids.num_speech, (num_positions + 1,)).tolist()  # the last one is fed by the first step
        draws = torch.rand(1 + REPETITIONS, 2)
        decoder.arrive(Arrival(slot, (Piece(Kind.SPEECH, tuple(ids)),), minimum=len(draws), draws=draws))
        decoder.prefill({slot: num_positions})

    def time_step(num_streams: int) -> Timing:
        for slot in range(num_streams):
            read(context, slot)
        return Timing(num_streams, timer(lambda: decoder.step(range(num_streams)).ids()))

    prefills = tuple(Timing(size, timer(partial(read, size))) for size in PREFILLS)
    return LMTimes(prefills, context + REPETITIONS // 2, tuple(map(time_step, STREAMS)))


def _time_vocoder(vocoder: Vocoder[Any], config: FlowConfig, timer: Timer) -> tuple[Timing, ...]:
    """Each in the midst of an utterance."""
    pieces = []
    for tokens in HOPS:
        mel = torch.randn(config.token_mel_ratio * tokens, config.output_size)
        vocode = partial(vocoder.vocode, [vocoder.begin(seed=0)], [mel], last=[False])
        vocode()
        pieces.append(Timing(len(mel), timer(vocode)))
    return tuple(pieces)


def _time_flow(flow: Flow, dtype: torch.dtype, far_tokens: int, timer: Timer) -> FlowTimes:
    """``dtype`` is that of keys and values.

    The first Euler step stands for all: they differ in what they compute with, not in what they compute. Each has a
    past of its own, so there is memory for the first alone.
    """
    config, num_prompt = flow.config, PROMPT_TOKENS + flow.config.lookahead
    num_tokens = PROMPT_TOKENS + far_tokens + HOPS[-1]
    tokens = torch.randint(config.vocab_size, (num_tokens + config.lookahead,))
    mel = torch.randn(config.token_mel_ratio * num_prompt, config.output_size)
    prompt = FlowPrompt(tokens[:num_prompt], mel, embedding=torch.randn(config.spk_embed_dim))
    num_pages = num_tokens // config.chunk_size
    state = flow.begin(prompt, FlowMemory(config, num_pages, 1, dtype=dtype, device=flow.device, num_steps=1), slot=0)
    state.pages.extend(range(num_pages))

    def start(size: int) -> FlowSolve:
        end = state.num_tokens + size + config.lookahead
        return flow.start(state, tokens[max(num_prompt, state.num_tokens) : end], final=False)

    def advance(size: int) -> None:
        solve = start(size)
        flow.euler_step([solve])
        flow.finish(solve)

    def time_hops() -> list[Solve]:
        sizes = (HOPS[0] + config.lookahead, *HOPS[1:])
        return [_time_solve(flow, partial(start, size), timer) for size in sizes]

    advance(PROMPT_TOKENS)
    near = time_hops()
    for _ in range(far_tokens // config.chunk_size):
        advance(config.chunk_size)
    far = time_hops()
    whole = partial(flow.start_whole, prompt, tokens[num_prompt:], final=False, streaming=True)
    return FlowTimes(
        num_steps=flow.options.num_steps,
        prompt_tokens=PROMPT_TOKENS,
        far_tokens=far_tokens,
        hops=tuple(map(Hop, HOPS, near, far)),
        uncached=_time_solve(flow, whole, timer),
    )


def _time_solve(flow: Flow, start: Callable[[], FlowSolve], timer: Timer) -> Solve:
    solve = start()

    def step() -> None:
        solve.step = 0
        flow.euler_step([solve])

    return Solve(solve.num_frames, start_ms=timer(start), step_ms=timer(step))


if __name__ == "__main__":
    main()
