"""The real model: what is rewritten against what it was."""

from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from cosystream.engines.kokoro.cache import cached_graph
from cosystream.engines.kokoro.model import Acoustics, KokoroModel
from cosystream.engines.kokoro.rewriting.parts import build_calibrator
from cosystream.engines.kokoro.tokens import load_vocabulary
from cosystream.engines.kokoro.voices import VoiceStyle, load_styles
from cosystream.engines.kokoro.weights import read_weights

Floats = NDArray[np.float32]

PHONEMES = "ni↓xau↓, həlˈO."


@pytest.fixture(scope="module")
def style() -> VoiceStyle:
    return load_styles()["中文女"]


@pytest.fixture(scope="module")
def acoustics(model: KokoroModel, style: VoiceStyle) -> Acoustics:
    vocabulary = load_vocabulary()
    return model.analyse([vocabulary[symbol] for symbol in PHONEMES], style.vector(len(PHONEMES)), speed=1.0)


@pytest.fixture(scope="module")
def calibrated(acoustics: Acoustics, style: VoiceStyle) -> list[Floats]:
    """The audio of norms that measure it, and what they measure."""
    calibrator = ort.InferenceSession(build_calibrator(read_weights()).SerializeToString())
    inputs = {"features": acoustics.features, "source": acoustics.source, "style": style.vector(len(PHONEMES))}
    results: list[Floats] = calibrator.run(None, inputs)
    return results


def generated(kokoro_cache: Path, acoustics: Acoustics, style: VoiceStyle, statistics: Floats) -> Floats:
    audio: Floats = ort.InferenceSession(cached_graph("generator", kokoro_cache)).run(
        ["audio"],
        {
            "features": acoustics.features,
            "source": acoustics.source,
            "style": style.vector(len(PHONEMES)),
            "statistics": statistics,
            "inner_start": np.array([0]),
            "inner_end": np.array([len(acoustics.energy)]),
        },
    )[0]
    return audio


def snr_db(reference: Floats, other: Floats) -> float:
    noise = np.square(reference - other, dtype=np.float64).mean()
    return float(10 * np.log10(np.square(reference, dtype=np.float64).mean() / noise))


def test_given_an_utterances_own_statistics_the_generator_is_the_published_vocoder(
    kokoro_cache: Path, acoustics: Acoustics, style: VoiceStyle, calibrated: list[Floats]
) -> None:
    whole, *measured = calibrated
    own = generated(kokoro_cache, acoustics, style, np.concatenate(measured, axis=1))
    assert snr_db(whole, own) > 80


def test_a_voices_statistics_are_those_of_its_utterances(style: VoiceStyle, calibrated: list[Floats]) -> None:
    _, *measured = calibrated
    own = np.concatenate(measured, axis=1)
    assert np.corrcoef(own.ravel(), style.statistics.ravel())[0, 1] > 0.95
