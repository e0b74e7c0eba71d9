"""Products in dynamic int8, as onnxruntime's quantiser writes them, against what they become."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from cosystream.engines.kokoro.rewriting.dequantize import dequantize
from cosystream.engines.kokoro.rewriting.editor import GraphEditor

Constants = Mapping[str, NDArray[Any]]

RANDOM = np.random.default_rng(0)
WEIGHTS = RANDOM.integers(0, 256, size=(6, 4, 5)).astype(np.uint8)
PRODUCT: Constants = {"weights_zero_point": np.array(128, np.uint8), "weights_scale": np.array(0.01, np.float32)}
BIAS: Constants = {"bias": RANDOM.normal(size=6).astype(np.float32), "bias_shape": np.array([1, -1, 1])}


def quantized(operator: str, bias: bool, **attributes: Sequence[int]) -> list[NodeProto]:
    """``result`` of ``data`` and ``weights``, in int8."""
    product = helper.make_node(operator, ["integers", "weights", "data_zero_point", "weights_zero_point"], ["product"])
    product.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    integers = "with_bias" if bias else "product"
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["data"], ["integers", "data_scale", "data_zero_point"]),
        helper.make_node("Mul", ["data_scale", "weights_scale"], ["scale"]),
        product,
        helper.make_node("Cast", [integers], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["floats", "scale"], ["result"]),
    ]
    if bias:
        nodes[3:3] = [
            helper.make_node("Div", ["bias", "scale"], ["scaled_bias"]),
            helper.make_node("Floor", ["scaled_bias"], ["whole_bias"]),
            helper.make_node("Cast", ["whole_bias"], ["integer_bias"], to=TensorProto.INT32),
            helper.make_node("Reshape", ["integer_bias", "bias_shape"], ["shaped_bias"]),
            helper.make_node("Add", ["product", "shaped_bias"], ["with_bias"]),
        ]
    return nodes


def both_results(nodes: Sequence[NodeProto], constants: Constants) -> tuple[list[str], NDArray[Any], NDArray[Any]]:
    """The operators that ``nodes`` become, and ``result`` before and after."""
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 4, 40])
    result = helper.make_tensor_value_info("result", TensorProto.FLOAT, None)
    initializers = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    model = helper.make_model(
        helper.make_graph(nodes, "products", [data], [result], initializers),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=9,
    )
    graph = GraphEditor(model)
    dequantize(graph)
    rewritten = graph.cut({"data": data}, {"result": result})
    return [node.op_type for node in rewritten.graph.node], run(model), run(rewritten)


def run(model: ModelProto) -> NDArray[Any]:
    data = np.random.default_rng(1).normal(size=(1, 4, 40)).astype(np.float32)
    result: NDArray[Any] = ort.InferenceSession(model.SerializeToString()).run(None, {"data": data})[0]
    return result


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    "attributes", [{}, {"pads": [3, 1]}, {"pads": [6, 6], "dilations": [3], "kernel_shape": [5]}, {"strides": [2]}]
)
def test_a_convolution_becomes_a_two_dimensional_one(attributes: dict[str, Sequence[int]], bias: bool) -> None:
    constants = {"weights": WEIGHTS, **PRODUCT, **(BIAS if bias else {})}
    operators, before, after = both_results(quantized("ConvInteger", bias, **attributes), constants)
    assert operators == ["Unsqueeze", "Conv", "Squeeze"]
    np.testing.assert_allclose(after, before, atol=0.1)  # what rounding the data to 256 steps may cost
    assert np.abs(after).max() > 5


def test_a_matrix_product_with_a_scale_for_each_column_becomes_one_of_floats() -> None:
    constants: Constants = {
        "weights": RANDOM.integers(0, 256, size=(40, 7)).astype(np.uint8),
        "weights_zero_point": np.full(7, 128, np.uint8),
        "weights_scale": np.linspace(0.002, 0.02, 7, dtype=np.float32),
    }
    operators, before, after = both_results(quantized("MatMulInteger", bias=False), constants)
    assert operators == ["MatMul"]
    np.testing.assert_allclose(after, before, atol=0.2)


def test_a_float_convolution_becomes_two_dimensional_as_well() -> None:
    weights = RANDOM.normal(size=(6, 4, 3)).astype(np.float32)
    nodes = [helper.make_node("Conv", ["data", "weights", "bias"], ["result"], pads=[1, 1])]
    operators, before, after = both_results(nodes, {"weights": weights, "bias": BIAS["bias"]})
    assert operators == ["Unsqueeze", "Conv", "Squeeze"]
    np.testing.assert_allclose(after, before, atol=1e-5)
