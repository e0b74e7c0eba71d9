"""The two graphs at work: a clause goes through the front once, and through the generator window by window."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from cosystream.engines.kokoro.cache import Part, cached_graph
from cosystream.engines.kokoro.windows import Frames
from cosystream.engines.onnx_options import session_options

Floats = NDArray[np.float32]

SAMPLE_RATE = 24_000
SAMPLES_PER_FRAME = 300

_CONTEXT = 9
"""Frames on either side of a window that its samples depend on."""
_INNER_CONTEXT = 2
"""The same for the generator's layers at the higher rate."""
_SOURCE_PER_FRAME = 60


@dataclass(frozen=True, slots=True, eq=False)
class Acoustics:
    """How a clause is to sound. T frames."""

    features: Floats
    """(1, 512, T)"""
    source: Floats
    """The spectrum of the harmonic source, (1, 22, 60 T + 1)."""
    energy: Floats
    """(T,)"""


class KokoroModel:
    """Kokoro-82M on the CPU. Any thread may call it; the one that does computes, with ``num_threads - 1`` helpers."""

    def __init__(self, cache_dir: Path, num_threads: int) -> None:
        """Raises ConfigError when the graphs are not in ``cache_dir`` and cannot be built there."""
        self._front = _session("front", cache_dir, num_threads)
        self._generator = _session("generator", cache_dir, num_threads)

    def analyse(self, tokens: list[int], style: Floats, speed: float) -> Acoustics:
        """Decide how ``tokens`` are to sound. ``style`` is (1, 256)."""
        padded = [0, *tokens, 0]
        features, source, energy = self._front.run(
            ["features", "source", "energy"],
            {"tokens": np.array([padded], np.int64), "style": style, "speed": np.array([speed], np.float32)},
        )
        return Acoustics(features, source, energy.reshape(-1))

    def speak(self, acoustics: Acoustics, window: Frames, style: Floats, statistics: Floats) -> Floats:
        """The samples of ``window``, (300 frames,), the same as if the clause were computed at once.

        ``style`` is (1, 256), ``statistics`` (1, S, 1).
        """
        num_frames = acoustics.features.shape[-1]
        outer = _widened(window, _CONTEXT, num_frames)
        inner = _widened(window, _INNER_CONTEXT, num_frames)
        features = acoustics.features[..., outer.start : outer.end]
        source = acoustics.source[..., _SOURCE_PER_FRAME * outer.start : _SOURCE_PER_FRAME * outer.end + 1]
        (audio,) = self._generator.run(
            ["audio"],
            {
                "features": np.ascontiguousarray(features),
                "source": np.ascontiguousarray(source),
                "style": style,
                "statistics": statistics,
                "inner_start": np.array([inner.start - outer.start]),
                "inner_end": np.array([inner.end - outer.start]),
            },
        )
        start = SAMPLES_PER_FRAME * (window.start - inner.start)
        samples: Floats = audio[start : start + SAMPLES_PER_FRAME * len(window)]
        return samples


def _widened(window: Frames, by: int, num_frames: int) -> Frames:
    return Frames(max(0, window.start - by), min(num_frames, window.end + by))


def _session(part: Part, cache_dir: Path, num_threads: int) -> ort.InferenceSession:
    graph = cached_graph(part, cache_dir)
    return ort.InferenceSession(graph, session_options(num_threads), providers=["CPUExecutionProvider"])
