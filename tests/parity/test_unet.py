"""v2's flow estimator against the reference implementation's."""

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import UNetConfig
from cosystream.models.cosyvoice.unet import UNet
from cosystream.models.streaming import Whole
from cosystream.models.weights import load_strict
from tests.parity.conftest import Golden


@pytest.fixture(scope="module")
def unet(v2: Golden) -> UNet:
    config = v2.config.flow.estimator
    assert isinstance(config, UNetConfig)
    with torch.device("meta"):
        unet = UNet(config)
    load_strict(unet, v2.weights("flow"), "flow.pt", prefix="decoder.estimator.")
    return unet


def velocity(unet: UNet, golden: dict[str, Tensor], *, block: int | None = None, mask: Tensor | None = None) -> Tensor:
    """Of the recorded inputs; channels first, as they are recorded."""
    x, mu, cond = (golden[f"est_{name}"].mT for name in ("x", "mu", "cond"))
    time = unet.time_embedding(golden["est_t"])
    lengths = None if mask is None else mask.sum(dim=1)
    estimate: Tensor = unet(x, mu, golden["est_spks"], cond, time, Whole(x.device, block, lengths)).mT
    return estimate if mask is None else estimate * mask[:, None]


def test_full_attention_estimates_as_the_reference_does(unet: UNet, v2: Golden) -> None:
    golden = v2.tensors("flow")
    torch.testing.assert_close(velocity(unet, golden), golden["est_out_full"], rtol=0, atol=1e-4)


def test_blockwise_attention_estimates_as_the_reference_does(unet: UNet, v2: Golden) -> None:
    golden, flow = v2.tensors("flow"), v2.config.flow
    block = flow.token_mel_ratio * flow.chunk_size
    torch.testing.assert_close(velocity(unet, golden, block=block), golden["est_out_stream"], rtol=0, atol=1e-4)


def test_padded_rows_are_estimated_as_the_reference_does(unet: UNet, v2: Golden) -> None:
    golden = v2.tensors("flow")
    mask = golden["est_mask_padded"].squeeze(1)
    assert not mask.all()
    torch.testing.assert_close(velocity(unet, golden, mask=mask), golden["est_out_full_padded"], rtol=0, atol=1e-4)
