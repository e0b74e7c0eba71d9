"""How a checkpoint's weights compare with the models that its configuration describes, and what those take."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.config import CosyVoiceConfig
from cosystream.models.cosyvoice.flow import Flow
from cosystream.models.cosyvoice.flow_memory import page_bytes
from cosystream.models.cosyvoice.folder import weight_file
from cosystream.models.cosyvoice.speech_lm import UNUSED, SpeechLM
from cosystream.models.cosyvoice.vocoder import create_vocoder
from cosystream.models.devices import multiplies_bfloat16
from cosystream.models.weights import mismatches, read_weights


@dataclass(frozen=True, slots=True)
class WeightReport:
    """A weight file against its model."""

    path: Path
    num_parameters: int
    """Of the model."""
    num_bytes: int
    """Of its parameters, in memory."""
    problems: tuple[str, ...]
    """Why the file does not fit, tensor by tensor; none if it does."""


def inspect_weights(folder: Path, config: CosyVoiceConfig) -> Iterator[WeightReport]:
    """Compare each weight file with its model, by the names and shapes of all tensors."""
    with torch.device("meta"):
        models = {"llm": SpeechLM(config.lm), "flow": Flow(config.flow), "hift": create_vocoder(config)}
    for part, model in models.items():
        path = weight_file(folder, part)
        try:
            weights = {name: tensor for name, tensor in read_weights(path).items() if name not in UNUSED}
            problems = mismatches(model, weights)
        except CheckpointError as error:
            problems = [str(error).removeprefix(f"{path}: ")]
        parameters = list(model.parameters())
        num_bytes = sum(parameter.nbytes for parameter in parameters)
        yield WeightReport(path, sum(map(torch.numel, parameters)), num_bytes, tuple(problems))


def flow_state_bytes_per_second(config: CosyVoiceConfig) -> int:
    """What the flow keeps for each second of prompt and of speech while it streams: the K and V of all it has seen.

    In the precision that this machine is good at, which is taken unless the settings name another.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    return page_bytes(config.flow, dtype) * config.token_rate // config.flow.chunk_size
