"""At full size our models have exactly the tensors that the published weight files have, once weight norm is folded."""

import pytest
import torch
from torch import nn

from cosystream.models.cosyvoice.checkpoint import read_config
from cosystream.models.cosyvoice.config import CosyVoiceConfig, Version
from cosystream.models.cosyvoice.flow import Flow
from cosystream.models.cosyvoice.folder import WEIGHTS
from cosystream.models.cosyvoice.speech_lm import UNUSED, SpeechLM
from cosystream.models.cosyvoice.vocoder import create_vocoder
from tests.support.checkpoints import Shapes, official_shapes, write_configuration

MAGNITUDE, DIRECTION = ".parametrizations.weight.original0", ".parametrizations.weight.original1"


def folded(shapes: Shapes) -> Shapes:
    """As ``read_weights`` gives them."""
    return {name.replace(DIRECTION, ".weight"): shape for name, shape in shapes.items() if not name.endswith(MAGNITUDE)}


@pytest.fixture(scope="module", params=list(Version))
def config(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CosyVoiceConfig:
    folder = tmp_path_factory.mktemp("official")
    write_configuration(folder, Version(request.param), "full")
    return read_config(folder)


@pytest.mark.parametrize("part", WEIGHTS)
def test_every_tensor_has_its_official_name_and_shape(config: CosyVoiceConfig, part: str) -> None:
    with torch.device("meta"):
        models: dict[str, nn.Module] = {
            "llm": SpeechLM(config.lm),
            "flow": Flow(config.flow),
            "hift": create_vocoder(config),
        }
    ours = {name: tuple(tensor.shape) for name, tensor in models[part].state_dict().items()}
    official = {
        name: shape for name, shape in folded(official_shapes(config.version, part)).items() if name not in UNUSED
    }
    assert ours == official
