"""v2's flow encoder against the reference implementation's."""

import pytest
import torch
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import ConformerConfig
from cosystream.models.cosyvoice.conformer import UpsampleConformer
from cosystream.models.cosyvoice.lookahead import EncoderState
from cosystream.models.weights import load_strict
from tests.parity.conftest import Golden


@pytest.fixture(scope="module")
def encoder(v2: Golden) -> UpsampleConformer:
    flow = v2.config.flow
    assert isinstance(flow.encoder, ConformerConfig)
    with torch.device("meta"):
        encoder = UpsampleConformer(flow.encoder, lookahead=flow.lookahead, chunk_size=flow.chunk_size)
    load_strict(encoder, v2.weights("flow"), "flow.pt", prefix="encoder.")
    return encoder


@pytest.mark.parametrize("final", [True, False], ids=["final", "partial"])
@pytest.mark.parametrize("streaming", [True, False], ids=["stream", "full"])
def test_encodes_as_the_reference_does(encoder: UpsampleConformer, v2: Golden, *, streaming: bool, final: bool) -> None:
    weights, golden = v2.weights("flow"), v2.tensors("flow")
    tokens = torch.cat([golden["prompt_token"], golden["token"]], dim=1)
    covered = tokens.size(1) - (0 if final else v2.config.flow.lookahead)
    x = F.embedding(tokens, weights["input_embedding.weight"])

    encoded = encoder(x[:, :covered], x[:, covered:], EncoderState(), streaming=streaming)
    mu = F.linear(encoded, weights["encoder_proj.weight"], weights["encoder_proj.bias"])

    case = f"{'stream' if streaming else 'full'}_{'final' if final else 'partial'}"
    torch.testing.assert_close(encoded, golden[f"encoder_{case}"], rtol=0, atol=1e-4)
    torch.testing.assert_close(mu, golden[f"mu_{case}"], rtol=0, atol=1e-4)
