"""The flow's estimator in another runtime: TensorRT where there is a GPU, its compiler where that is installed."""

from pathlib import Path

import pytest
import torch

from cosystream.engines.cosyvoice.tensorrt import BUCKETS, build_plan, use_tensorrt
from cosystream.errors import ConfigError
from cosystream.models.cosyvoice.config import FlowConfig
from cosystream.models.cosyvoice.flow import FlowOptions
from cosystream.models.linear import Precision
from tests.models.cosyvoice.exports import exported
from tests.models.cosyvoice.flows import LOOKAHEAD, V2, V3, Lender, create_flow, prompt_of, solved, tokens_of
from tests.support.gpu import needs_gpu


def test_buckets_hold_what_they_are_fastest_at() -> None:
    for bucket in BUCKETS:
        assert bucket.holds(bucket.rows.usual, bucket.frames.usual, bucket.behind.usual)


@pytest.mark.parametrize(
    ("rows", "frames", "behind", "index"),
    [
        (2, 50, 3000, 0),
        (2, 16, 300, 0),
        (6, 50, 300, 1),
        (64, 22, 300, 1),
        (6, 50, 1500, 2),
        (16, 100, 300, 3),
        (4, 150, 3000, 4),
        (64, 50, 350, None),
    ],
)
def test_a_batch_goes_to_the_first_bucket_that_holds_it(rows: int, frames: int, behind: int, index: int | None) -> None:
    held = [number for number, bucket in enumerate(BUCKETS) if bucket.holds(rows, frames, behind)]
    assert next(iter(held), None) == index


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_setting_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a GPU"):
        use_tensorrt(create_flow(V3), Precision.FLOAT32, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(300)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("config", [V2, V3], ids=["v2", "v3"])
def test_its_compiler_understands_the_graph_and_has_every_operation(
    config: FlowConfig, dtype: torch.dtype, tmp_path: Path
) -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings", reason="tensorrt-rtx, which compiles without a GPU, is missing")
    pytest.importorskip("onnxscript", reason="torch exports with onnxscript")
    path = tmp_path / "flow.onnx"
    path.write_bytes(exported(config, dtype))
    assert len(build_plan(trt, path, BUCKETS)) > 10_000


def test_what_the_compiler_says_against_a_graph_is_in_the_error(tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx_bindings", reason="tensorrt-rtx, which compiles without a GPU, is missing")
    path = tmp_path / "flow.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(ConfigError, match="does not understand"):
        build_plan(trt, path, BUCKETS)


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize("config", [V2, V3], ids=["v2", "v3"])
def test_tensorrt_solves_what_torch_solves(config: FlowConfig, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt", reason="TensorRT is not installed")
    flows = [create_flow(config, FlowOptions(num_steps=3)).to("cuda") for _ in range(2)]
    use_tensorrt(flows[1], Precision.FLOAT32, tmp_path)
    mels = []
    for flow in flows:
        lender = Lender(flow)
        prompt = prompt_of(25).to(flow.device)
        with torch.inference_mode():
            state = lender.begin(prompt)
            first = lender.start(state, tokens_of(25 + LOOKAHEAD).to(flow.device), final=False)
            mels.append(lender.finish(solved(flow, first)).cpu())
    torch.testing.assert_close(mels[1], mels[0], rtol=0, atol=1e-2)
