"""Checkpoints of random weights in the official format: ``python -m tests.support.checkpoints --version 3 DIR``.

Names, shapes and configuration are the official ones at full size and those of the golden data when tiny; the tokenizer
and the two ONNX graphs are the golden data's stand-ins at either size.
"""

import argparse
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Generator, Tensor

from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.folder import QWEN_FOLDER, TOKENIZERS, WEIGHTS

TESTS = Path(__file__).parents[1]
OFFICIAL = Path(__file__).parent / "official"
SHORT = {Version.V2: "v2", Version.V3: "v3"}
VOICES = ("中文女", "中文男")
QWEN_SIZES = {
    "hidden_size": 896,
    "intermediate_size": 4864,
    "max_position_embeddings": 32768,
    "max_window_layers": 24,
    "num_attention_heads": 14,
    "num_hidden_layers": 24,
    "num_key_value_heads": 2,
    "vocab_size": 151936,
}

Size = Literal["tiny", "full"]
Shapes = dict[str, tuple[int, ...]]


def write_checkpoint(
    folder: Path, version: Version, size: Size = "tiny", *, seed: int = 0, voices: Sequence[str] = VOICES
) -> None:
    """Write a whole checkpoint; one weight file at a time is in memory, at most 2.1 GB of it."""
    write_configuration(folder, version, size)
    golden = _golden(version)
    for name in ("campplus.onnx", TOKENIZERS[version]):
        shutil.copyfile(golden / name, folder / name)
    generator = torch.Generator().manual_seed(seed)
    for part in WEIGHTS:
        shapes = official_shapes(version, part) if size == "full" else _shapes_of(golden / f"{part}.pt")
        torch.save(random_weights(shapes, version, generator), folder / f"{part}.pt")
    if voices:
        saved = {name: {"embedding": torch.randn(1, 192, generator=generator)} for name in voices}
        torch.save(saved, folder / "spk2info.pt")


def write_configuration(folder: Path, version: Version, size: Size) -> None:
    """Write all that is no weight: the YAML file and the folder of the language model with the text tokenizer."""
    golden = _golden(version)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(golden / QWEN_FOLDER, folder / QWEN_FOLDER, ignore=shutil.ignore_patterns("model.safetensors"))
    shutil.copyfile((OFFICIAL if size == "full" else golden) / f"{version}.yaml", folder / f"{version}.yaml")
    if size == "full":
        qwen = folder / QWEN_FOLDER / "config.json"
        qwen.write_text(json.dumps(json.loads(qwen.read_text("utf-8")) | QWEN_SIZES, indent=2), "utf-8")


def official_shapes(version: Version, part: str) -> Shapes:
    """The names and shapes in the weight file of a published checkpoint."""
    table = (TESTS / "parity" / "state_dict" / f"{SHORT[version]}_{part}.txt").read_text("utf-8")
    rows = [line.split("\t") for line in table.splitlines() if not line.startswith("#")]
    return {name: tuple(map(int, shape.strip("()").rstrip(",").split(","))) for name, shape, _ in rows}


def random_weights(shapes: Shapes, version: Version, generator: Generator) -> dict[str, Tensor]:
    """Tensors that keep activations near one, the pitch around 10 Hz now and then, and speech below full scale."""
    weights: dict[str, Tensor] = {}
    for name, shape in shapes.items():
        if name == "llm.model.lm_head.weight":  # tied: the file holds it once
            weights[name] = weights["llm.model.model.embed_tokens.weight"]
        else:
            mean, deviation = _distribution(name, shape, version)
            weights[name] = torch.randn(shape, generator=generator).mul_(deviation).add_(mean)
        if name.endswith("inv_freq"):
            weights[name] = 10000.0 ** (-torch.arange(shape[0]) / shape[0])
        elif name.endswith("alpha"):
            weights[name].clamp_(min=0.2)
        elif name == "conv_post.bias":
            weights[name][: shape[0] // 2] -= QUIET
    return weights


QUIET = 1.0
"""By how much the vocoder's log magnitudes lie below zero."""


def _distribution(name: str, shape: tuple[int, ...], version: Version) -> tuple[float, float]:
    """Mean and standard deviation."""
    unit = 1 / math.sqrt(math.prod(shape[1:]))
    match name.split("."):
        case ["conv_post", *_, "original0"]:
            return 0.1, 0.02
        case ["ups", index, *_, "original0"] if version is Version.V2:  # transposed: each output has few inputs
            return math.sqrt((8, 5, 3)[int(index)] / 2), 0.2
        case [*_, "original0"]:
            return 1, 0.2
        case [*_, "original1"] | [
            *_,
            "embed_tokens" | "speech_embedding" | "llm_embedding" | "input_embedding",
            "weight",
        ]:
            return 0, 1
        case ["f0_predictor", "classifier", kind]:
            return (100, 5) if kind == "bias" else (0, 230 * unit)
        case ["m_source", "l_linear", "weight"]:
            return 0, 2
        case ["llm_decoder", "weight"]:
            return 0, 2.5 * unit
        case [*_, "alpha"]:
            return 1, 0.25
        case [*_, "pos_bias_u" | "pos_bias_v"]:
            return 0, 0.3
        case [*_, "bias"]:
            return 0, 0.1
        case [*_, "weight"] if len(shape) == 1:  # of a norm
            return 1, 0.1
        case _:
            return 0, unit


def _golden(version: Version) -> Path:
    return TESTS / "parity" / "golden" / SHORT[version] / "model"


def _shapes_of(path: Path) -> Shapes:
    return {name: tuple(t.shape) for name, t in torch.load(path, weights_only=True, mmap=True).items()}


def _main() -> None:
    parser = argparse.ArgumentParser(description="Write a checkpoint of random weights in the official format.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--version", choices=("2", "3"), default="3")
    parser.add_argument("--size", choices=("tiny", "full"), default="full")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-voices", action="store_true", help="leave spk2info.pt out")
    given = parser.parse_args()
    voices = () if given.no_voices else VOICES
    write_checkpoint(given.folder, Version(f"cosyvoice{given.version}"), given.size, seed=given.seed, voices=voices)


if __name__ == "__main__":
    _main()
