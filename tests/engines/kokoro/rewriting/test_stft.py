"""The convolution against onnxruntime's STFT and numpy's FFT."""

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from cosystream.engines.kokoro.rewriting.editor import GraphEditor
from cosystream.engines.kokoro.rewriting.stft import replace_stft

SIZE, HOP = 20, 5
SAMPLES = helper.make_tensor_value_info("samples", TensorProto.FLOAT, [1, "samples"])
SPECTRUM = helper.make_tensor_value_info("spectrum", TensorProto.FLOAT, [1, "frames", 11, 2])
WINDOW = np.hanning(SIZE + 1)[:-1].astype(np.float32)

Floats = NDArray[np.float32]


@pytest.fixture
def original() -> ModelProto:
    constants = {"hop": np.array(HOP), "window": WINDOW, "size": np.array(SIZE)}
    return helper.make_model(
        helper.make_graph(
            [helper.make_node("STFT", ["samples", *constants], ["spectrum"], "stft", onesided=1)],
            "original",
            [SAMPLES],
            [SPECTRUM],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )


@pytest.fixture
def rewritten(original: ModelProto) -> ModelProto:
    graph = GraphEditor(original)
    replace_stft(graph)
    return graph.cut({"samples": SAMPLES}, {"spectrum": SPECTRUM})


def spectrum(model: ModelProto, samples: Floats) -> Floats:
    result: Floats = ort.InferenceSession(model.SerializeToString()).run(None, {"samples": samples[np.newaxis]})[0][0]
    return result


def test_it_is_the_same_transform(original: ModelProto, rewritten: ModelProto) -> None:
    samples = np.random.default_rng(1).normal(size=400).astype(np.float32)
    np.testing.assert_allclose(spectrum(rewritten, samples), spectrum(original, samples), atol=1e-4)


def test_bins_that_are_always_real_have_the_phase_that_the_model_was_trained_with(rewritten: ModelProto) -> None:
    samples = np.random.default_rng(2).normal(size=400).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, SIZE)[::HOP] * WINDOW
    expected = np.angle(np.fft.rfft(frames))[:, [0, 10]]
    real, imaginary = spectrum(rewritten, samples)[:, [0, 10]].transpose(2, 0, 1)
    assert (imaginary > 0).all()
    np.testing.assert_allclose(np.arctan2(imaginary, real), expected, atol=1e-6)
    assert {0.0, np.float32(np.pi)} == set(np.abs(expected.astype(np.float32)).ravel())
