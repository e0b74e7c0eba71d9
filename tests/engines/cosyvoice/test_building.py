"""How memory is shared out."""

from dataclasses import replace

import pytest
import torch

from cosystream.engines.cosyvoice.building import DEVICES, Precisions, flow_sizes, plan_limits
from cosystream.engines.cosyvoice.tensorrt import BUCKETS
from cosystream.engines.cosyvoice.ticks import Limits
from cosystream.errors import ConfigError
from cosystream.models.cosyvoice.checkpoint import read_config
from cosystream.models.cosyvoice.config import CosyVoiceConfig, Version
from cosystream.models.cosyvoice.decoder import Decoder
from cosystream.models.cosyvoice.flow_memory import GUIDANCE, page_bytes, slot_bytes
from cosystream.models.linear import Precision
from tests.engines.cosyvoice.conftest import TINY
from tests.support.checkpoints import write_configuration

LOW = Precisions(flow=Precision.BFLOAT16, lm=Precision.BFLOAT16)
GB = 10**9


@pytest.fixture(scope="module", params=list(Version))
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CosyVoiceConfig:
    """Of the published size."""
    folder = tmp_path_factory.mktemp("model")
    write_configuration(folder, request.param, "full")
    return read_config(folder)


@pytest.mark.parametrize(("kind", "num_free"), [("cpu", 12 * GB), ("cuda", 20 * GB), ("cuda", 135 * GB)])
def test_what_is_shared_out_leaves_some_of_the_memory_that_is_free(
    config: CosyVoiceConfig, kind: str, num_free: int
) -> None:
    options = replace(TINY, max_streams=1000, memory_bytes=None)
    limits = plan_limits(config, options, LOW, DEVICES[kind], num_free)
    assert taken(config, limits) < (DEVICES[kind].memory_share + 0.125) * num_free
    assert limits.num_pages > limits.num_jobs >= 16


def test_full_precision_takes_twice_the_memory(config: CosyVoiceConfig) -> None:
    full = Precisions(flow=Precision.FLOAT32, lm=Precision.FLOAT32)
    options = replace(TINY, memory_bytes=8 * GB)
    low, high = (plan_limits(config, options, each, DEVICES["cpu"], 16 * GB) for each in (LOW, full))
    assert low.num_pages in (2 * high.num_pages, 2 * high.num_pages + 1)


def test_memory_for_less_than_a_sentence_is_refused_with_what_would_do(config: CosyVoiceConfig) -> None:
    with pytest.raises(ConfigError, match=r"500 MB .* is too little: it needs \d+ MB at least \(flow_memory_mb"):
        plan_limits(config, replace(TINY, memory_bytes=500 * 10**6), LOW, DEVICES["cpu"], 16 * GB)


@pytest.mark.parametrize("first_hop", [0, 8])
def test_recorded_steps_are_those_there_can_be_and_the_largest_come_first(
    config: CosyVoiceConfig, first_hop: int
) -> None:
    options = replace(TINY, max_streams=20, memory_bytes=None, first_hop=first_hop)
    sizes = flow_sizes(plan_limits(config, options, LOW, DEVICES["cuda"], 80 * GB))
    assert {size.frames for size in sizes} == {50, 100, 200} | ({22} if first_hop else set())
    assert max(size.rows for size in sizes) == 32  # the next power of two
    numbers = [size.rows * size.columns * size.frames for size in sizes]
    assert numbers == sorted(numbers, reverse=True)


def test_what_tensorrt_stacks_of_a_batch_fits_a_common_gpu(config: CosyVoiceConfig) -> None:
    block = page_bytes(config.flow, torch.bfloat16, num_steps=1)  # of a sequence, both guidance rows of it
    frames = config.flow.token_mel_ratio * config.flow.chunk_size
    for bucket in BUCKETS:
        num_blocks = bucket.rows.most // GUIDANCE * bucket.behind.most // frames
        assert 2 * num_blocks * block < 6 * GB


def taken(config: CosyVoiceConfig, limits: Limits) -> int:
    """Bytes."""
    lm = limits.num_jobs * Decoder.bytes_per_slot(config.lm, limits.slot_positions, torch.bfloat16)
    slots = (limits.num_jobs + limits.num_prompts) * slot_bytes(config.flow)
    return lm + slots + limits.num_pages * page_bytes(config.flow, torch.bfloat16)
