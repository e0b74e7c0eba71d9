"""The spectrum of the harmonic source, as a convolution: onnxruntime's STFT of 20 samples takes a quarter of the front.

The phase of a real number below zero is +pi or -pi, as the sign of its imaginary part, zero, happens to be. The model
was trained with a transform whose zeros are positive, so the two bins that are always real get the smallest positive
imaginary part here.
"""

import numpy as np
from numpy.typing import NDArray

from cosystream.engines.kokoro.rewriting.editor import GraphEditor

_SIZE, _HOP = 20, 5
_NUM_BINS = _SIZE // 2 + 1
_ALWAYS_REAL = (0, _NUM_BINS - 1)


def replace_stft(graph: GraphEditor) -> None:
    """Make the one STFT's output, (1, frames, bins, real and imaginary part), by a convolution."""
    (stft,) = (node for node in graph.nodes if node.op_type == "STFT")
    samples, result = stft.input[0], stft.output[0]  # (1, samples)
    graph.add_constant("stft_basis", _basis()[:, np.newaxis, :])
    graph.add_constant("stft_offset", _offset())
    graph.add_constant("stft_channel_axis", np.array([1], np.int64))
    graph.add_constant("stft_shape", np.array([1, 2, _NUM_BINS, -1], np.int64))
    graph.make("Unsqueeze", [samples, "stft_channel_axis"], "stft_input")  # (1, 1, samples)
    graph.make("Conv", ["stft_input", "stft_basis", "stft_offset"], "stft_output", strides=[_HOP])
    graph.make("Reshape", ["stft_output", "stft_shape"], "stft_parts")  # (1, 2, bins, frames)
    graph.make("Transpose", ["stft_parts"], result, perm=[0, 3, 2, 1])


def _basis() -> NDArray[np.float32]:
    """The real rows, then the imaginary ones, each under a periodic Hann window."""
    angles = 2 * np.pi * np.outer(np.arange(_NUM_BINS), np.arange(_SIZE)) / _SIZE
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_SIZE) / _SIZE)
    basis = np.concatenate([np.cos(angles), -np.sin(angles)]) * window
    basis[[_NUM_BINS + each for each in _ALWAYS_REAL]] = 0
    return basis.astype(np.float32)


def _offset() -> NDArray[np.float32]:
    offset = np.zeros(2 * _NUM_BINS, np.float32)
    offset[[_NUM_BINS + each for each in _ALWAYS_REAL]] = np.finfo(np.float32).tiny
    return offset
