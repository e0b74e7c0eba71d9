"""What passes between the layers of both vocoders, fed with the recorded source."""

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from cosystream.models.cosyvoice.tails import Tails
from tests.parity.conftest import Golden
from tests.parity.vocoders import official_hift, recorded_causal_hift

MODULES = {
    r"act_(conv_pre|conv_post)": r"\1",
    r"act_up(\d+)": r"ups.\1",
    r"act_source_down(\d+)": r"source_downs.\1",
    r"act_source_res(\d+)": r"source_resblocks.\1",
}
"""Which module's output a recorded tensor is."""


def v2_decode(v2: Golden) -> tuple[nn.Module, Callable[[], Tensor]]:
    hift, golden = official_hift(v2), v2.tensors("hift")
    return hift, lambda: hift.decode(golden["mel"].mT, golden["source"][0])[0]


def v3_decode(v3: Golden) -> tuple[nn.Module, Callable[[], Tensor]]:
    causal, golden = recorded_causal_hift(v3), v3.tensors("hift")
    source = golden["source_final"][0]
    return causal, lambda: causal.render(Tails(), golden["mel"].mT, source, last=True)[0]


@pytest.mark.parametrize("version", ["v2", "v3"])
def test_every_layer_says_what_the_reference_s_says(version: str, request: pytest.FixtureRequest) -> None:
    golden: Golden = request.getfixturevalue(version)
    vocoder, decode = {"v2": v2_decode, "v3": v3_decode}[version](golden)
    said: dict[str, Tensor] = {}
    recorded = {name: tensor for name, tensor in golden.tensors("hift").items() if name.startswith("act_")}
    for name in recorded:
        path = next(re.sub(pattern, module, name) for pattern, module in MODULES.items() if re.fullmatch(pattern, name))
        vocoder.get_submodule(path).register_forward_hook(
            lambda _module, _fed, output, name=name: said.update({name: output.mT})
        )
    wave = decode()
    assert recorded.keys() == said.keys() != set()
    for name, tensor in recorded.items():
        torch.testing.assert_close(said[name][..., : tensor.size(-1)], tensor, rtol=0, atol=5e-4, msg=name)
    torch.testing.assert_close(wave, golden.tensors("hift")["decode_wav"][0], rtol=0, atol=5e-4)
