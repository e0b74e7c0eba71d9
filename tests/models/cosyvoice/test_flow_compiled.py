"""The flow with its estimator in another runtime, onnxruntime here, beside the flow as it is."""

from collections.abc import Mapping

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import FlowConfig
from cosystream.models.cosyvoice.flow import Flow, FlowOptions
from cosystream.models.cosyvoice.flow_compiled import Bucket, CompiledEstimator, Sizes
from cosystream.models.cosyvoice.flow_export import OUTPUTS
from cosystream.models.linear import Precision
from tests.models.cosyvoice.exports import exported
from tests.models.cosyvoice.flows import LOOKAHEAD, V2, V3, Lender, create_flow, prompt_of, tokens_of

pytest.importorskip("onnxscript", reason="torch exports with onnxscript")
pytestmark = pytest.mark.timeout(300)  # to export takes most of a minute where a machine is busy
SOME = Bucket(rows=Sizes(2, 2, 4), frames=Sizes(30, 50, 50), behind=Sizes(50, 100, 150))
MORE = Bucket(rows=Sizes(2, 4, 8), frames=Sizes(16, 50, 100), behind=Sizes(50, 100, 150))
OPTIONS = FlowOptions(num_steps=3, padded=True)


class OnnxRunner:
    """Notes which buckets it was asked for."""

    def __init__(self, graph: bytes) -> None:
        self._session = onnxruntime.InferenceSession(graph)
        self.buckets: list[int] = []

    def run(self, bucket: int, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        self.buckets.append(bucket)
        known = {found.name for found in self._session.get_inputs()}
        arrays = self._session.run(None, {name: t.numpy() for name, t in inputs.items() if name in known})
        return {name: torch.from_numpy(np.asarray(array)) for name, array in zip(OUTPUTS, arrays, strict=True)}


def spoken(flow: Flow) -> list[Tensor]:
    """Two sequences, the one ahead of the other, for a while in one batch; a short piece, and one beyond any bucket."""
    lender, pieces = Lender(flow, num_pages=20), []
    ahead, late = lender.begin(prompt_of(25)), lender.begin(prompt_of(0, seed=5))
    pieces.append(lender.finish(lender.start(ahead, tokens_of(25 + LOOKAHEAD), final=False)))
    solves = [
        lender.start(ahead, tokens_of(25 + LOOKAHEAD, seed=6), final=False),
        lender.start(late, tokens_of(25 + LOOKAHEAD, seed=7), final=False),
    ]
    flow.euler_step(solves[:1])
    while not solves[0].done:
        flow.euler_step(solves)
    pieces += [lender.finish(solve) for solve in solves]
    pieces.append(lender.finish(lender.start(late, tokens_of(8 + LOOKAHEAD, seed=8), final=False), commit=False))
    pieces.append(lender.finish(lender.start(ahead, tokens_of(75, seed=9), final=True)))
    return pieces


@pytest.mark.parametrize("config", [V2, V3], ids=["v2", "v3"])
def test_another_runtime_solves_what_torch_solves(config: FlowConfig) -> None:
    expected = spoken(create_flow(config, OPTIONS))
    flow = create_flow(config, OPTIONS)
    flow.quicken(Precision.FLOAT32)
    runner = OnnxRunner(exported(config, torch.float32))
    flow.decoder.estimator = CompiledEstimator(runner, [SOME, MORE], flow.decoder.estimator)  # type: ignore[assignment]
    for piece, same in zip(spoken(flow), expected, strict=True):
        torch.testing.assert_close(piece, same, rtol=0, atol=1e-4 * same.abs().max().item())
    assert runner.buckets == [
        *(1, 1, 1),  # a prompt and a hop: 100 frames
        *(0, 0, 0, 0),  # the one ahead, both twice, and the one that came late
        *(1, 1, 1),  # 16 frames; those of the last piece are too many for either
    ]


def test_a_bucket_says_between_which_shapes_an_input_varies() -> None:
    assert SOME.shapes("x", (-1, -1, 80)) == [(2, 30, 80), (2, 50, 80), (4, 50, 80)]
    assert SOME.shapes("visible", (-1, -1, -1)) == [(2, 30, 80), (2, 50, 150), (4, 50, 200)]
    assert SOME.shapes("keys", (22, -1, 16, -1, 64)) == [
        (22, 2, 16, 50, 64),
        (22, 2, 16, 100, 64),
        (22, 4, 16, 150, 64),
    ]
