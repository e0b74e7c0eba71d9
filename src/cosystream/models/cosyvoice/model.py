"""A checkpoint's three models, loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cosystream.models.cosyvoice.checkpoint import read_config
from cosystream.models.cosyvoice.config import CosyVoiceConfig
from cosystream.models.cosyvoice.flow import Flow, FlowOptions
from cosystream.models.cosyvoice.folder import weight_file
from cosystream.models.cosyvoice.speech_lm import UNUSED, SpeechLM
from cosystream.models.cosyvoice.vocoder import Vocoder, create_vocoder
from cosystream.models.weights import check_fit, load_strict, read_weights

EXACT = FlowOptions()


@dataclass(frozen=True, slots=True)
class CosyVoice:
    """Text tokens to speech tokens to mel frames to samples."""

    config: CosyVoiceConfig
    lm: SpeechLM
    flow: Flow
    vocoder: Vocoder[Any]
    device: torch.device


def load_model(folder: Path, device: torch.device | str = "cpu", flow_options: FlowOptions = EXACT) -> CosyVoice:
    """The models of the checkpoint in ``folder`` on ``device``, in float32. Raises CheckpointError."""
    config = read_config(folder)
    with torch.device("meta"):
        lm, flow, vocoder = SpeechLM(config.lm), Flow(config.flow, flow_options), create_vocoder(config)
    modules = {"llm": lm, "flow": flow, "hift": vocoder}
    files = {part: weight_file(folder, part) for part in modules}
    weights = {part: read_weights(path) for part, path in files.items()}
    for name in UNUSED:
        weights["llm"].pop(name, None)
    for part, module in modules.items():  # all of them, before the seconds that it takes to copy any
        check_fit(module, weights[part], str(files[part]))
    for part, module in modules.items():
        load_strict(module, weights.pop(part), str(files[part]))
        module.to(device)
    return CosyVoice(config, lm, flow, vocoder, torch.device(device))


def load_flow(folder: Path, device: torch.device | str = "cpu", flow_options: FlowOptions = EXACT) -> Flow:
    """The flow alone, in float32. Raises CheckpointError."""
    config = read_config(folder)
    with torch.device("meta"):
        flow = Flow(config.flow, flow_options)
    path = weight_file(folder, "flow")
    load_strict(flow, read_weights(path), str(path))
    return flow.to(device)
