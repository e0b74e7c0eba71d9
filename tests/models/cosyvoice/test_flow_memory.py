"""What a flow's memory takes, and what a block sees of it."""

from dataclasses import replace

import pytest
import torch

from cosystream.models.cosyvoice.config import DiTConfig, FlowConfig, UNetConfig
from cosystream.models.cosyvoice.flow_memory import FlowMemory, Sight, layout_of, page_bytes, slot_bytes
from tests.models.cosyvoice.flows import V2, V3


@pytest.mark.parametrize("config", [V2, V3], ids=["v2", "v3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_takes_what_it_says(config: FlowConfig, dtype: torch.dtype) -> None:
    memory = FlowMemory(config, 3, 2, dtype=dtype, device=torch.device("cpu"), num_steps=4)
    assert memory.pages.nbytes == 4 * page_bytes(config, dtype, num_steps=4)
    assert memory.tails.nbytes == 3 * slot_bytes(config, num_steps=4)


def test_each_layer_that_looks_back_has_a_place_of_its_own() -> None:
    dit, unet = V3.estimator, V2.estimator
    assert isinstance(dit, DiTConfig)
    assert isinstance(unet, UNetConfig)
    layout = layout_of(dit)
    assert (len(layout.attentions), len(layout.tails)) == (dit.depth, 2)
    assert layout.tail_size == 2 * dit.dim * 30
    layout = layout_of(unet)
    assert sorted(layout.attentions.values()) == list(range((2 + unet.num_mid_blocks) * unet.num_blocks))
    num_convolutions = 2 * (2 + unet.num_mid_blocks) + 3
    assert len(set(layout.tails.values())) == num_convolutions
    assert (layout.num_heads, layout.head_size) == (unet.num_heads, unet.head_size)


def test_full_size_pages_are_what_the_design_reckons_with() -> None:
    estimator = DiTConfig(
        dim=1024, depth=22, num_heads=16, head_size=64, ff_mult=2, mel_dim=80, mu_dim=80, spk_dim=80, out_channels=80
    )
    assert (
        page_bytes(replace(V3, estimator=estimator), torch.bfloat16) == 50 * 10 * 22 * 2 * 2 * 1024 * 2
    )  # 1.8 MB a frame


@pytest.mark.parametrize(
    ("sight", "block", "behind"),
    [
        (Sight(), 3, [0, 1, 2]),
        (Sight(num_kept=1), 3, [0, 1, 2]),
        (Sight(num_kept=1, window=1), 0, []),
        (Sight(num_kept=1, window=1), 1, [0]),
        (Sight(num_kept=1, window=1), 2, [0, 1]),
        (Sight(num_kept=1, window=1), 5, [0, 4]),
        (Sight(num_kept=3, window=2), 2, [0, 1]),
        (Sight(num_kept=3, window=2), 6, [0, 1, 2, 4, 5]),
        (Sight(num_kept=0, window=0), 6, []),
    ],
)
def test_a_block_sees_the_prompt_s_and_those_in_its_window(sight: Sight, block: int, behind: list[int]) -> None:
    assert sight.behind(block) == behind
