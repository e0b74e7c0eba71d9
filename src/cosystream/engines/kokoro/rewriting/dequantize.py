"""From int8 to float32, with 1-D convolutions written as 2-D ones of height 1: what onnxruntime is fast at.

A quantised product takes integers from a DynamicQuantizeLinear; a quantised bias may be added to it; then
``Mul(Cast(product), scale of the input * scale of the weights)`` brings it back to floats. Each such group becomes one
float32 node. The weights stay what they were rounded to. What goes is the rounding of what flows through, and with it
the dependence of every sample on the loudest one around.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, helper

from cosystream.engines.kokoro.rewriting.editor import GraphEditor, Readers, other_input


def dequantize(graph: GraphEditor) -> None:
    """Rewrite every product and convolution in the graph's scope."""
    readers = graph.readers()
    graph.add_constant("height_axis", np.array([2], np.int64))
    for node in graph.nodes:
        match node.op_type:
            case "ConvInteger" | "MatMulInteger":
                _dequantize_product(graph, node, readers)
            case "Conv" if graph.is_constant(node.input[1]) and graph.constant(node.input[1]).ndim == 3:
                data, weights, *bias = node.input
                _make_convolution(graph, node, data, graph.constant(weights), bias, node.output[0])


def _dequantize_product(graph: GraphEditor, product: NodeProto, readers: Readers) -> None:
    quantizer = graph.maker(product.input[0])
    (reader,) = readers[product.output[0]]
    bias = []
    if reader.op_type == "Add":
        bias = [_constant_behind(graph, other_input(reader, product.output[0]))]
        (reader,) = readers[reader.output[0]]
    assert reader.op_type == "Cast"
    (rescaling,) = readers[reader.output[0]]
    scales = graph.maker(other_input(rescaling, reader.output[0]))

    integers, zero_point = (graph.constant(product.input[each]).astype(np.float32) for each in (1, 3))
    weights = (integers - zero_point) * graph.constant(other_input(scales, quantizer.output[1]))

    data, result = quantizer.input[0], rescaling.output[0]
    if product.op_type == "ConvInteger":
        _make_convolution(graph, product, data, weights, bias, result)
    else:
        assert not bias
        graph.make("MatMul", [data, graph.add_constant(f"{result}_weights", weights)], result)


def _make_convolution(
    graph: GraphEditor, like: NodeProto, data: str, weights: NDArray[np.float32], bias: Sequence[str], result: str
) -> None:
    """Make ``result`` by a 2-D convolution of height 1. ``weights`` are (output channels, channels, K)."""
    old = {attribute.name: helper.get_attribute_value(attribute) for attribute in like.attribute}
    before, after = old.get("pads", [0, 0])
    (dilation,), (stride,) = old.get("dilations", [1]), old.get("strides", [1])
    graph.add_constant(f"{result}_weights", weights[:, :, np.newaxis, :])
    graph.make("Unsqueeze", [data, "height_axis"], f"{result}_input")
    graph.make(
        "Conv",
        [f"{result}_input", f"{result}_weights", *bias],
        f"{result}_output",
        kernel_shape=[1, weights.shape[2]],
        pads=[0, before, 0, after],
        dilations=[1, dilation],
        strides=[1, stride],
        group=old.get("group", 1),
    )
    graph.make("Squeeze", [f"{result}_output", "height_axis"], result)


def _constant_behind(graph: GraphEditor, tensor: str) -> str:
    """The float32 bias: what is added is ``Reshape(Cast(Floor(Div(bias, scale))))``."""
    while not graph.is_constant(tensor):
        tensor = graph.maker(tensor).input[0]
    return tensor
