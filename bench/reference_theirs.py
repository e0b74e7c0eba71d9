"""``PYTHON -m bench.reference_theirs DIR MODEL``: the reference implementation, asked over stdin (reference_protocol).

Runs with the Python that has the reference's packages, and with nothing of cosystream. From token ids to samples the
reference is left as it is but for three things: the ends of the speech are masked and the number of its tokens is set;
packages that it imports but does not use on that way are stood in for; and the language model's own checkpoint, all of
which ``llm.pt`` replaces, is not read.
"""

import argparse
import copy
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from bench.reference_protocol import PUBLISHED, About, Arrival, Speech, serve

STAND_INS = ("conformer", "diffusers", "matcha.utils", "onnxruntime", "torchaudio")
"""v2's estimator, Matcha's logging, the speech tokenizer, and reading recordings."""
PARTS = ("llm", "flow", "hift")
FIRST_HOP = 25
"""Tokens; the ladder's foot."""
FRAMES_PER_TOKEN = 2
MEL_BINS = 80
EMBEDDING_SIZE = 192
SAMPLE_RATE = 24_000
PACKAGES = ("torch", "transformers", "x-transformers")

Reference = Any
"""An object of the reference; its types are not here."""


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.reference_theirs")
    parser.add_argument("reference", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    threading.excepthook = _end_with  # the reference waits for ever for a thread that has failed
    about = About({name: version(name) for name in PACKAGES}, given.threads, "float32")
    serve(lambda: Theirs(load(given.reference, given.model), about))


class Theirs:
    """The reference as published, whose requests share one hop, and mended, where each has its own.

    As published it is met as it is from the second request on: the hop has grown to its limit for good.
    """

    def __init__(self, model: Reference, about: About) -> None:
        self.about = about
        self._model = model
        self._num_tokens = 0
        model.token_hop_len = model.token_max_hop_len
        _force_tokens(model.llm, lambda: self._num_tokens)

    def speak(self, way: str, speech: Speech, num_streams: int) -> Sequence[Sequence[Arrival]]:
        self._num_tokens = speech.num_tokens
        models = [self._model if way == PUBLISHED else self._mended() for _ in range(num_streams)]
        began = time.perf_counter()
        with ThreadPoolExecutor(num_streams) as listeners:
            return list(listeners.map(partial(_listen, began, _request(speech)), models))

    def chunk_seconds(self, _way: str, speech: Speech, behind: Sequence[int]) -> Sequence[float]:
        return [self._chunk_seconds(speech, num_tokens) for num_tokens in behind]

    def _mended(self) -> Reference:
        """The same weights, the same tables of requests, and a hop of its own."""
        mended = copy.copy(self._model)
        mended.token_hop_len = FIRST_HOP
        return mended

    def _chunk_seconds(self, speech: Speech, behind: int) -> float:
        model, request, name = self._model, _request(speech), f"behind {behind}"
        tokens = torch.randint(model.llm.speech_token_size, (1, behind + FIRST_HOP + model.flow.pre_lookahead_len))
        mel = torch.randn(1, MEL_BINS, FRAMES_PER_TOKEN * behind)
        model.hift_cache_dict[name] = {"mel": mel, "speech_offset": 0} if behind else None
        began = time.perf_counter()
        model.token2wav(
            token=tokens,
            prompt_token=request["flow_prompt_speech_token"],
            prompt_feat=request["prompt_speech_feat"],
            embedding=request["flow_embedding"],
            token_offset=behind,
            uuid=name,
            stream=True,
            finalize=False,
        )
        return time.perf_counter() - began


def load(reference: Path, folder: Path) -> Reference:
    """A ``CosyVoice3Model`` of the code in ``reference`` with the weights in ``folder``."""
    sys.path[:0] = [str(reference), str(reference / "third_party" / "Matcha-TTS")]
    qwen = import_module(
        "transformers"
    ).Qwen2ForCausalLM  # before the stand-ins: it asks for packages that it might use
    qwen.from_pretrained = lambda path: qwen(qwen.config_class.from_pretrained(path))
    sys.meta_path.insert(0, StandIns())
    written = (folder / "cosyvoice3.yaml").read_text("utf-8")
    sections = re.findall(r"^(\w+):\s*[!\[]", written, re.MULTILINE)
    unused = {name: None for name in sections if name not in PARTS}
    qwen_folder = {"qwen_pretrain_path": str(folder / "CosyVoice-BlankEN")}
    parts = import_module("hyperpyyaml").load_hyperpyyaml(written, overrides=unused | qwen_folder)
    model = import_module("cosyvoice.cli.model").CosyVoice3Model(*(parts[part] for part in PARTS))
    model.load(*(str(folder / f"{part}.pt") for part in PARTS))
    return model


class Unused:
    """Takes the place of any class or function of a package that is not there."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        """Whatever it is called with."""


class StandIn(ModuleType):
    """A module of which anything can be imported."""

    def __getattr__(self, name: str) -> type[Unused]:
        if name.startswith("__"):
            raise AttributeError(name)
        return Unused


class StandIns(MetaPathFinder, Loader):
    """Finds ``STAND_INS`` and whatever is below them, installed or not."""

    def find_spec(self, fullname: str, _path: object, _target: object = None) -> ModuleSpec | None:
        if any(fullname == name or fullname.startswith(f"{name}.") for name in STAND_INS):
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to be carried out."""


def _force_tokens(llm: Reference, num_tokens: Callable[[], int]) -> None:
    """Make ``llm`` draw as many tokens as it is told, all of them speech."""
    decode, draw = llm.inference_wrapper, llm.sampling

    def draw_speech(scores: torch.Tensor, decoded: list[int], sampling: int) -> int:
        scores[llm.speech_token_size :] = -torch.inf
        token: int = draw(scores, decoded, sampling)
        return token

    def decode_so_many(lm_input: torch.Tensor, sampling: int, _least: int, _most: int, name: str) -> Reference:
        return decode(lm_input, sampling, num_tokens(), num_tokens(), name)

    llm.sampling, llm.inference_wrapper = draw_speech, decode_so_many


def _request(speech: Speech) -> dict[str, torch.Tensor]:
    prompt = torch.tensor([speech.prompt_speech], dtype=torch.int32)
    embedding = torch.randn(1, EMBEDDING_SIZE)
    return {
        "text": torch.tensor([speech.text], dtype=torch.int32),
        "prompt_text": torch.tensor([speech.prompt_text], dtype=torch.int32),
        "llm_prompt_speech_token": prompt,
        "flow_prompt_speech_token": prompt,
        "prompt_speech_feat": torch.randn(1, FRAMES_PER_TOKEN * prompt.size(1), MEL_BINS),
        "llm_embedding": embedding,
        "flow_embedding": embedding,
    }


def _listen(began: float, request: dict[str, torch.Tensor], model: Reference) -> list[Arrival]:
    arrivals = []
    for output in model.tts(**request, stream=True):
        num_samples = output["tts_speech"].shape[1]
        arrivals.append(Arrival(time.perf_counter() - began, num_samples / SAMPLE_RATE))
    return arrivals


def _end_with(failure: threading.ExceptHookArgs) -> None:
    traceback.print_exception(failure.exc_type, failure.exc_value, failure.exc_traceback)
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main()
