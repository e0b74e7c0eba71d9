"""v3's flow front and estimator against the reference implementation's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import DiTConfig, LookaheadConfig
from cosystream.models.cosyvoice.dit import DiT
from cosystream.models.cosyvoice.lookahead import PreLookahead
from cosystream.models.streaming import Past, Whole, block_mask
from cosystream.models.weights import load_strict
from tests.parity.conftest import Golden


@pytest.fixture(scope="module")
def dit(v3: Golden) -> DiT:
    config = v3.config.flow.estimator
    assert isinstance(config, DiTConfig)
    with torch.device("meta"):
        dit = DiT(config)
    load_strict(dit, v3.weights("flow"), "flow.pt", prefix="decoder.estimator.")
    return dit


def velocity(dit: DiT, inputs: dict[str, Tensor], *, block: int | None = None) -> Tensor:
    """Of the recorded inputs; channels first, as they are recorded."""
    x, mu, cond = (inputs[f"est_{name}"].mT for name in ("x", "mu", "cond"))
    time = dit.time_embedding(inputs["est_t"])
    estimate: Tensor = dit(x, mu, inputs["est_spks"], cond, time, Whole(x.device, block)).mT
    return estimate


def test_full_attention_estimates_as_the_reference_does(dit: DiT, v3: Golden) -> None:
    golden = v3.tensors("flow")
    torch.testing.assert_close(velocity(dit, golden), golden["est_out_full"], rtol=0, atol=1e-4)


def test_blockwise_attention_estimates_as_the_reference_does(dit: DiT, v3: Golden) -> None:
    golden, flow = v3.tensors("flow"), v3.config.flow
    block = flow.token_mel_ratio * flow.chunk_size
    torch.testing.assert_close(velocity(dit, golden, block=block), golden["est_out_stream"], rtol=0, atol=1e-4)


def test_a_row_alone_is_what_it_is_padded_in_the_reference_s_batch(dit: DiT, v3: Golden) -> None:
    golden = v3.tensors("flow")
    lengths = golden["est_mask_padded"].sum(dim=(1, 2)).int().tolist()
    assert min(lengths) < max(lengths)
    for row, length in enumerate(lengths):
        names = ("est_x", "est_mu", "est_cond", "est_spks", "est_t")
        alone = {name: golden[name][row : row + 1] for name in names}
        alone |= {name: alone[name][..., :length] for name in names[:3]}
        expected = golden["est_out_full_padded"][row : row + 1, :, :length]
        torch.testing.assert_close(velocity(dit, alone), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("which", ["final", "partial"])
def test_lookahead_gives_what_the_reference_s_does(v3: Golden, which: str) -> None:
    golden, flow = v3.tensors("flow"), v3.config.flow
    assert isinstance(flow.encoder, LookaheadConfig)
    with torch.device("meta"):
        layer = PreLookahead(flow.encoder.in_channels, flow.encoder.channels, flow.lookahead)
    load_strict(layer, v3.weights("flow"), "flow.pt", prefix="pre_lookahead_layer.")
    ids = torch.cat([golden["prompt_token"], golden["token"]], dim=1)
    embedded = v3.weights("flow")["input_embedding.weight"][ids]
    num_spoken = ids.size(1) if which == "final" else ids.size(1) - flow.lookahead
    spoken = layer(embedded[:, :num_spoken], embedded[:, num_spoken:], Past())
    torch.testing.assert_close(spoken, golden[f"lookahead_{which}"], rtol=0, atol=1e-4)


def test_masks_are_the_reference_s(cases: Callable[[str], Any]) -> None:
    masks = cases("chunk_masks")
    assert masks
    for case in masks:
        size, chunk, mask = case["size"], case["chunk"], torch.tensor(case["mask"]).bool()
        assert torch.equal(block_mask(0, size, chunk, mask.device), mask)
        for num_past in range(0, size, chunk):
            assert torch.equal(block_mask(num_past, size - num_past, chunk, mask.device), mask[num_past:])
