"""The estimators as ONNX graphs, run by another runtime beside torch."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from cosystream.models.cosyvoice.config import FlowConfig
from cosystream.models.cosyvoice.flow_export import INPUTS, OUTPUTS, fingerprint
from cosystream.models.cosyvoice.flow_memory import layout_of
from cosystream.models.cosyvoice.flow_stacked import Behind, StackedContext
from tests.models.cosyvoice.exports import exported
from tests.models.cosyvoice.flows import MELS, V2, V3, create_flow

pytest.importorskip("onnxscript", reason="torch exports with onnxscript")
pytestmark = pytest.mark.timeout(300)  # to export takes most of a minute where a machine is busy


def random_behind(config: FlowConfig, num_rows: int, num_new: int, num_past: int) -> Behind:
    """As if rows of several lengths had been padded: of what is behind the last row, half is hidden."""
    layout = layout_of(config.estimator)
    stacked = (len(layout.attentions), num_rows, layout.num_heads, num_past, layout.head_size)
    visible = torch.ones(num_rows, num_new, num_past + num_new, dtype=torch.bool)
    visible[-1, :, : num_past // 2] = False
    positions = num_past + torch.arange(num_new).expand(num_rows, -1)
    tails = torch.randn(num_rows, layout.tail_size)
    return Behind(positions, visible, torch.randn(stacked), torch.randn(stacked), tails)


@pytest.mark.parametrize("config", [V2, V3], ids=["v2", "v3"])
@pytest.mark.parametrize(("num_rows", "num_new", "num_past"), [(2, 10, 0), (2, 1, 10), (1, 7, 30), (6, 20, 40)])
def test_another_runtime_says_what_torch_says(config: FlowConfig, num_rows: int, num_new: int, num_past: int) -> None:
    torch.manual_seed(1)
    estimator = create_flow(config).decoder.estimator
    frames, row = (num_rows, num_new, MELS), (num_rows, MELS)
    known = [torch.randn(size) for size in (frames, frames, row, frames)]
    time, behind = estimator.time_embedding(torch.rand(num_rows)), random_behind(config, num_rows, num_new, num_past)
    context = StackedContext(behind)
    velocity = estimator(*known, time, context)
    added = context.added

    session = onnxruntime.InferenceSession(exported(config, torch.float32))
    inputs = [*known, time, behind.positions, behind.visible, behind.keys, behind.values, behind.tails]
    used = {found.name for found in session.get_inputs()}
    feeds = {name: t.numpy() for name, t in zip(INPUTS, inputs, strict=True) if name in used}
    outputs = [torch.from_numpy(np.asarray(array)) for array in session.run(list(OUTPUTS), feeds)]
    for its, ours in zip(outputs, [velocity, added.keys, added.values, added.tails], strict=True):
        torch.testing.assert_close(its, ours, rtol=0, atol=1e-4)


def test_in_bfloat16_products_alone_are_narrow() -> None:
    model = onnx.load_from_string(exported(V3, torch.bfloat16))
    onnx.checker.check_model(model, full_check=True)
    graph = onnx.shape_inference.infer_shapes(model).graph
    edges = [*graph.input, *graph.output]
    kinds = {edge.name: edge.type.tensor_type.elem_type for edge in [*edges, *graph.value_info]}
    narrow = {edge.name for edge in edges if kinds[edge.name] == onnx.TensorProto.BFLOAT16}
    assert narrow == {"keys", "values", "new_keys", "new_values"}
    for node in graph.node:
        if node.op_type == "MatMul":
            assert kinds[node.output[0]] == onnx.TensorProto.BFLOAT16
        if node.op_type in {"LayerNormalization", "Softmax", "Conv"}:
            assert kinds[node.output[0]] == onnx.TensorProto.FLOAT


def test_other_weights_or_another_dtype_make_another_graph() -> None:
    estimator, config = create_flow(V3).decoder.estimator, V3.estimator
    first = fingerprint(estimator, config, torch.float32)
    assert fingerprint(create_flow(V3).decoder.estimator, config, torch.float32) == first
    assert fingerprint(estimator, config, torch.bfloat16) != first
    next(estimator.parameters())[0] += 1
    assert fingerprint(estimator, config, torch.float32) != first
