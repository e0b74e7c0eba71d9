"""A norm that computes its statistics against one that is given them."""

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from cosystream.engines.kokoro.rewriting.editor import GraphEditor
from cosystream.engines.kokoro.rewriting.norms import STATISTICS, find_norms, freeze_norms

CHANNELS = 3
Floats = NDArray[np.float32]


def info(name: str, *shape: int | str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


DATA, RESULT = info("data", 1, CHANNELS, "frames"), info("result", 1, CHANNELS, "frames")


def norm(data: str) -> list[NodeProto]:
    """``{data}_normal``, as the exporter writes it."""
    return [
        helper.make_node("ReduceMean", [data, "axes"], [f"{data}_mean"]),
        helper.make_node("Sub", [data, f"{data}_mean"], [f"{data}_centred"]),
        helper.make_node("Mul", [f"{data}_centred", f"{data}_centred"], [f"{data}_square"]),
        helper.make_node("ReduceMean", [f"{data}_square", "axes"], [f"{data}_variance"]),
        helper.make_node("Add", [f"{data}_variance", "epsilon"], [f"{data}_stable"]),
        helper.make_node("Sqrt", [f"{data}_stable"], [f"{data}_deviation"]),
        helper.make_node("Div", [f"{data}_centred", f"{data}_deviation"], [f"{data}_normal"]),
    ]


def layer(normal: str, result: str) -> list[NodeProto]:
    """A gain, an offset, and the activation that multiplies with a constant."""
    return [
        helper.make_node("Mul", [f"{result}_gain", normal], [f"{result}_gained"]),
        helper.make_node("Add", [f"{result}_gained", f"{result}_offset"], [f"{result}_moved"]),
        helper.make_node("Mul", [f"{result}_alpha", f"{result}_moved"], [result]),
    ]


@pytest.fixture
def model() -> ModelProto:
    """Two layers that share the norm of their data, and one that normalises what they add up to."""
    random = np.random.default_rng(0)
    constants = {"axes": np.array([2]), "epsilon": np.array([1e-5], np.float32)} | {
        f"{name}_{part}": random.normal(size=(1, CHANNELS, 1)).astype(np.float32)
        for name in ("left", "right", "result")
        for part in ("gain", "offset", "alpha")
    }
    nodes = [
        *norm("data"),
        *layer("data_normal", "left"),
        *layer("data_normal", "right"),
        helper.make_node("Add", ["left", "right"], ["sum"]),
        *norm("sum"),
        *layer("sum_normal", "result"),
    ]
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "norms", [DATA], [RESULT], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def run(model: ModelProto, inputs: dict[str, Floats]) -> list[Floats]:
    results: list[Floats] = ort.InferenceSession(model.SerializeToString()).run(None, inputs)
    return results


def measured(model: ModelProto, data: Floats) -> Floats:
    """The statistics that the norms compute of ``data``, (1, S, 1)."""
    graph = GraphEditor(model)
    tensors = [info(name, 1, CHANNELS, 1) for norm in find_norms(graph) for name in (norm.mean, norm.variance)]
    measuring = graph.cut({"data": DATA}, {tensor.name: tensor for tensor in tensors})
    return np.concatenate(run(measuring, {"data": data}), axis=1)


def frozen(model: ModelProto) -> ModelProto:
    graph = GraphEditor(model)
    num_statistics = freeze_norms(graph)
    assert num_statistics == 2 * 2 * CHANNELS
    return graph.cut({"data": DATA, STATISTICS: info(STATISTICS, 1, num_statistics, 1)}, {"result": RESULT})


@pytest.fixture
def data() -> Floats:
    return np.random.default_rng(1).normal(2.0, 3.0, size=(1, CHANNELS, 50)).astype(np.float32)


def test_given_its_own_statistics_a_frozen_norm_is_the_norm(model: ModelProto, data: Floats) -> None:
    (whole,) = run(model, {"data": data})
    (given,) = run(frozen(model), {"data": data, STATISTICS: measured(model, data)})
    np.testing.assert_allclose(given, whole, atol=1e-5)


def test_with_frozen_norms_frames_do_not_depend_on_each_other(model: ModelProto, data: Floats) -> None:
    statistics = measured(model, data)
    (whole,) = run(frozen(model), {"data": data, STATISTICS: statistics})
    (part,) = run(frozen(model), {"data": data[..., 10:20], STATISTICS: statistics})
    np.testing.assert_allclose(part, whole[..., 10:20], atol=1e-6)
