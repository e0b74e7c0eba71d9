"""Make ``data/voices.npz`` of the embedded voice from the voices that the npm package kokoro-js carries.

    npm pack kokoro-js@1.2.1 && tar xf kokoro-js-1.2.1.tgz
    python tools/make_voices.py package/voices src/cosystream/engines/kokoro/data/voices.npz

A voice comes as (510, 1, 256) floats, a row for each number of tokens. Kept are the timbre (the first half) of one row,
which is to serve for all clauses, and the prosody (the second half) of the rows for up to 300 tokens. Added is what the
model measures of a few sentences with that timbre: norm statistics, and a gain.
"""

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from cosystream.audio.quality import peak, rms_dbfs
from cosystream.engines.kokoro.model import SAMPLE_RATE
from cosystream.engines.kokoro.phonemes import Phonemizer
from cosystream.engines.kokoro.rewriting.parts import build_calibrator, build_front
from cosystream.engines.kokoro.tokens import load_vocabulary
from cosystream.engines.kokoro.voices import PUBLISHED_NAMES, style_vector
from cosystream.engines.kokoro.weights import read_weights

Floats = NDArray[np.float32]

TIMBRE_ROW = 130
PROSODY_ROWS = 300
LEVEL_DBFS = -22.0
LARGEST_PEAK = 0.95

MANDARIN = (
    "今天天气很好，我们一起去公园散步吧。",
    "人工智能正在改变我们的生活方式和工作方式。",
    "请问从北京到上海的高铁需要多长时间？",
    "春天来了，花园里的花都开了，小鸟在树上唱歌。",
)
ENGLISH = (
    "We spent the whole afternoon walking along the beach.",
    "Please call me back tomorrow morning at nine thirty.",
)
SENTENCES = {"zh": (*MANDARIN, *ENGLISH), "en": (*ENGLISH, *ENGLISH, MANDARIN[0])}
"""By a voice's mother tongue; what stands twice weighs twice."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What a voice makes of a sentence. T frames, C channels."""

    waveform: Floats
    """(300 T,)"""
    norms: Sequence[NDArray[np.float64]]
    """Of each norm the means and the variances, (2, C)."""


class Calibrator:
    """Speaks whole sentences with norms that measure them."""

    def __init__(self, phonemizer: Phonemizer) -> None:
        weights = read_weights()
        self._front = ort.InferenceSession(build_front(weights).SerializeToString())
        self._calibrator = ort.InferenceSession(build_calibrator(weights).SerializeToString())
        self._phonemizer = phonemizer
        self._vocabulary = load_vocabulary()

    def measure(self, timbre: Floats, prosody: Floats, sentence: str) -> Measurement:
        tokens = [self._vocabulary[symbol] for symbol in self._phonemizer(sentence)]
        style = style_vector(timbre, prosody, len(tokens))
        features, source = self._front.run(
            ["features", "source"],
            {"tokens": np.array([[0, *tokens, 0]]), "style": style, "speed": np.ones(1, np.float32)},
        )
        waveform, *moments = self._calibrator.run(None, {"features": features, "source": source, "style": style})
        pairs = zip(moments[0::2], moments[1::2], strict=True)
        return Measurement(waveform, [np.stack([each.ravel() for each in pair], dtype=np.float64) for pair in pairs])


def joined_norm(norms: Sequence[NDArray[np.float64]], weights: Sequence[int]) -> NDArray[np.float64]:
    """Means and variances (2, C) of several pieces, as those of all of them together."""
    means, variances = np.stack(norms, axis=1)  # (pieces, C)
    mean = np.average(means, axis=0, weights=weights)  # (C,)
    square = np.average(variances + means**2, axis=0, weights=weights)  # (C,)
    return np.stack([mean, square - mean**2])


def make_voice(calibrator: Calibrator, sentences: Sequence[str], rows: Floats) -> Mapping[str, NDArray[np.floating]]:
    """The arrays of one voice. ``rows`` is (510, 256)."""
    timbre, prosody = rows[TIMBRE_ROW, :128], rows[:PROSODY_ROWS, 128:]
    measured = [calibrator.measure(timbre, prosody, sentence) for sentence in sentences]
    weights = [measurement.waveform.size for measurement in measured]
    norms = zip(*(measurement.norms for measurement in measured), strict=True)
    waveform = np.concatenate([measurement.waveform for measurement in measured])
    return {
        "timbre": timbre,
        "prosody": prosody.astype(np.float16),
        "statistics": np.concatenate([joined_norm(norm, weights).ravel() for norm in norms]).astype(np.float32),
        "gain": np.array(gain(waveform)),
    }


def gain(waveform: Floats) -> float:
    """What brings ``waveform`` to LEVEL_DBFS, or less if it would peak too high then. Shape (T,)."""
    return min(10 ** ((LEVEL_DBFS - rms_dbfs(waveform, SAMPLE_RATE)) / 20), LARGEST_PEAK / peak(waveform))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("published", type=Path, help="the folder of .bin files")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        calibrator = Calibrator(Phonemizer(Path(folder)))
    arrays: dict[str, NDArray[np.floating]] = {}
    for voice, name in PUBLISHED_NAMES.items():
        rows = np.fromfile(arguments.published / f"{name}.bin", np.float32).reshape(-1, 256)
        made = make_voice(calibrator, SENTENCES[voice.languages[0]], rows)
        arrays |= {f"{name}.{part}": array for part, array in made.items()}
    np.savez_compressed(arguments.output, allow_pickle=False, **arrays)


if __name__ == "__main__":
    main()
