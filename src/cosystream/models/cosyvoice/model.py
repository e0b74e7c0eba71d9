"""A checkpoint's three models, loaded."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from cosystream.models.cosyvoice.checkpoint import read_config
from cosystream.models.cosyvoice.config import CosyVoiceConfig
from cosystream.models.cosyvoice.flow import Flow
from cosystream.models.cosyvoice.folder import weight_file
from cosystream.models.cosyvoice.speech_lm import UNUSED, SpeechLM
from cosystream.models.cosyvoice.vocoder import Vocoder, create_vocoder
from cosystream.models.weights import load_strict, read_weights

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class CosyVoice:
    """Text tokens to speech tokens to mel frames to samples."""

    config: CosyVoiceConfig
    lm: SpeechLM
    flow: Flow
    vocoder: Vocoder[Any]
    device: torch.device


def load_model(folder: Path, device: torch.device | str = "cpu") -> CosyVoice:
    """The models of the checkpoint in ``folder`` on ``device``, in float32. Raises CheckpointError."""
    config = read_config(folder)
    with torch.device("meta"):
        lm, flow, vocoder = SpeechLM(config.lm), Flow(config.flow), create_vocoder(config)
    return CosyVoice(
        config,
        lm=_loaded(lm, folder, "llm", UNUSED).to(device),
        flow=_loaded(flow, folder, "flow").to(device),
        vocoder=_loaded(vocoder, folder, "hift").to(device),
        device=torch.device(device),
    )


def _loaded(module: M, folder: Path, part: str, unused: Iterable[str] = ()) -> M:
    path = weight_file(folder, part)
    weights = read_weights(path)
    for name in unused:
        weights.pop(name, None)
    load_strict(module, weights, str(path))
    return module
