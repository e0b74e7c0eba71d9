"""Models made ready to run: laid out for the device, and given as much memory as there is for them."""

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from cosystream.engines.cosyvoice.hops import HopSchedule
from cosystream.engines.cosyvoice.options import CosyVoiceOptions
from cosystream.engines.cosyvoice.runner import Runner
from cosystream.engines.cosyvoice.tensorrt import use_tensorrt
from cosystream.engines.cosyvoice.ticks import Limits
from cosystream.errors import ConfigError
from cosystream.models.cosyvoice.config import CosyVoiceConfig
from cosystream.models.cosyvoice.decoder import Decoder
from cosystream.models.cosyvoice.flow_memory import FlowMemory, page_bytes, slot_bytes
from cosystream.models.cosyvoice.flow_recorded import RecordedFlow, StepSize, step_sizes
from cosystream.models.cosyvoice.model import CosyVoice, load_flow
from cosystream.models.devices import free_bytes, keep_freed_memory, multiplies_bfloat16
from cosystream.models.graphs import recorder_for
from cosystream.models.linear import Precision

logger = logging.getLogger(__name__)

SLOT_POSITIONS = 4096
"""Of the language model: some 100 s of speech behind a prompt of 30 s."""


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """What does a kind of device good."""

    memory_share: float
    """Of what is free once the weights are there, what sequences may fill."""
    num_jobs: int
    """More at once would but slow each other down."""
    flow_frames: int
    """In one Euler step. A CPU is as busy as can be with one block, a GPU is not with thirty."""
    prefill_positions: int
    safe_lead_seconds: float
    """Of audio that a listener still has to hear, while others get their first: it covers what a step takes."""


DEVICES = {
    "cpu": DeviceLimits(0.5, 16, flow_frames=50, prefill_positions=256, safe_lead_seconds=0.8),
    "cuda": DeviceLimits(0.8, 256, flow_frames=1600, prefill_positions=4096, safe_lead_seconds=0.3),
}
LM_SHARE = 0.125
"""Of what is free, what the language model's cache may take: it is small beside the flow's pages."""
PAGES_PER_JOB = 64
"""More than a minute of speech: nobody needs so much."""
FEWEST_PAGES = 8
MOST_COLUMNS = 32
"""Blocks in sight of a recorded Euler step: half a minute. What sees more is computed without a recording."""
TELL_EVERY = 20


@dataclass(frozen=True, slots=True)
class Precisions:
    """What the models take their products in."""

    flow: Precision
    lm: Precision


@torch.inference_mode()
def build_runner(model: CosyVoice, folder: Path, options: CosyVoiceOptions) -> Runner:
    """Raises ConfigError if there is not enough memory for a single stream."""
    device, config = model.device, model.config
    precisions = lay_out(model, options)
    limits = plan_limits(config, options, precisions, DEVICES[device.type], free_bytes(device))
    logger.info(
        "products in %s, in the language model in %s; %d streams at most, %d pages of a second each",
        precisions.flow,
        precisions.lm,
        limits.num_jobs,
        limits.num_pages,
    )
    recorder = recorder_for(device)
    decoder = Decoder(
        model.lm,
        config.lm,
        limits.num_jobs,
        limits.slot_positions,
        dtype=kept_in(precisions.lm),
        recorder=recorder,
    )
    memory = FlowMemory(
        config.flow,
        limits.num_pages,
        limits.num_jobs + limits.num_prompts,
        dtype=kept_in(precisions.flow),
        device=device,
        num_steps=options.num_steps,
    )
    stepper = RecordedFlow(model.flow, memory, recorder)
    if recorder is not None:
        # TensorRT's kernels read what their context holds, which the next batch of another shape changes.
        _record(decoder, None if options.flow_backend == "tensorrt" else stepper, limits)
    return Runner(model, decoder, memory, stepper, limits, partial(load_flow, folder, device, options.flow))


@torch.inference_mode()
def lay_out(model: CosyVoice, options: CosyVoiceOptions) -> Precisions:
    """Bring the weights, once and for all, into the form that their device computes with fastest."""
    good = Precision.BFLOAT16 if multiplies_bfloat16(model.device) else Precision.FLOAT32
    precision = options.precision or good
    precisions = Precisions(flow=precision, lm=options.lm_precision or precision)
    torch.backends.cudnn.allow_tf32 = precision is not Precision.FLOAT32  # in convolutions; it has ten bits
    model.lm.quicken(precisions.lm)
    if options.flow_backend == "tensorrt":
        use_tensorrt(model.flow, precisions.flow, options.cache_dir)
    else:
        model.flow.quicken(precisions.flow)
    model.vocoder.quicken()
    if model.device.type == "cpu":
        keep_freed_memory()
    return precisions


def kept_in(precision: Precision) -> torch.dtype:
    """The dtype of keys and values, where products are taken in ``precision``."""
    return torch.float32 if precision is Precision.FLOAT32 else torch.bfloat16


def _record(decoder: Decoder, stepper: RecordedFlow | None, limits: Limits) -> None:
    """Every step that is to be replayed, so that none is met for the first time by a listener."""
    work = [partial(decoder.record, *size) for size in decoder.sizes()]
    if stepper is not None:
        work += [partial(stepper.record, size) for size in flow_sizes(limits)]
    for number, record in enumerate(work, 1):
        record()
        if number % TELL_EVERY == 0 or number == len(work):
            logger.info("warming up: %d of %d steps recorded", number, len(work))


def flow_sizes(limits: Limits) -> list[StepSize]:
    """Of the Euler steps to be recorded, those that take most memory first: the others find room in what they took."""
    hops = {limits.hops.block * count for count in (1, 2, 4)}
    if limits.hops.provisional:
        hops.add(limits.hops.lookahead + limits.hops.provisional)
    frames = [limits.frames_per_token * hop for hop in hops]
    sizes = step_sizes(frames, limits.flow_frames, limits.num_jobs, MOST_COLUMNS)
    return sorted(sizes, key=lambda size: size.rows * size.columns * size.frames, reverse=True)


def plan_limits(
    config: CosyVoiceConfig, options: CosyVoiceOptions, precisions: Precisions, good: DeviceLimits, num_free: int
) -> Limits:
    """How many streams and pages there is memory for, where ``num_free`` bytes of it are free.

    Raises ConfigError if that is not enough for a single stream.
    """
    lm_slot = Decoder.bytes_per_slot(config.lm, SLOT_POSITIONS, kept_in(precisions.lm))
    num_jobs = max(1, min(options.max_streams, good.num_jobs, int(LM_SHARE * num_free) // lm_slot))
    budget = options.memory_bytes or int(good.memory_share * (num_free - num_jobs * lm_slot))
    page = page_bytes(config.flow, kept_in(precisions.flow), options.num_steps)
    slots = 2 * num_jobs * slot_bytes(config.flow, options.num_steps)  # of jobs and of prompts
    num_pages = min((budget - slots) // page, num_jobs * PAGES_PER_JOB)
    if num_pages < FEWEST_PAGES:
        raise ConfigError(
            f"{budget / 1e6:.0f} MB for what the flow keeps of its streams is too little: it needs "
            f"{(slots + FEWEST_PAGES * page) / 1e6:.0f} MB at least (flow_memory_mb, max_streams)"
        )
    rungs = HopSchedule(
        provisional=options.first_hop,
        block=config.flow.chunk_size,
        lookahead=config.flow.lookahead,
        slack=0 if options.prompt_align == "official" else config.flow.lookahead,
    )
    return Limits(
        num_pages=num_pages,
        num_jobs=num_jobs,
        num_prompts=num_jobs,
        slot_positions=SLOT_POSITIONS,
        decode_batch=num_jobs,
        flow_frames=good.flow_frames,
        prefill_positions=good.prefill_positions,
        safe_lead_seconds=good.safe_lead_seconds,
        num_steps=options.num_steps,
        hops=rungs,
        token_rate=config.token_rate,
        frames_per_token=config.flow.token_mel_ratio,
        final_whole=options.final_hop == "official",
    )
