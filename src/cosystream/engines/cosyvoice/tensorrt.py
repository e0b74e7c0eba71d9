"""The flow's estimator compiled by TensorRT, where it is installed beside a GPU. An option: nothing but faster.

Versions 10 and 11 are alike in what is used here.
"""

import hashlib
import importlib
import logging
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from cosystream.errors import ConfigError
from cosystream.models.cosyvoice.flow import Flow
from cosystream.models.cosyvoice.flow_compiled import Bucket, CompiledEstimator, Sizes
from cosystream.models.cosyvoice.flow_export import export_estimator, fingerprint
from cosystream.models.linear import Precision

logger = logging.getLogger(__name__)

BUCKETS = (
    Bucket(rows=Sizes(2, 2, 4), frames=Sizes(2, 50, 50), behind=Sizes(50, 300, 3_000)),
    Bucket(rows=Sizes(2, 32, 64), frames=Sizes(2, 50, 50), behind=Sizes(50, 200, 300)),
    Bucket(rows=Sizes(2, 8, 16), frames=Sizes(2, 50, 50), behind=Sizes(50, 600, 1_500)),
    Bucket(rows=Sizes(2, 8, 16), frames=Sizes(51, 100, 100), behind=Sizes(50, 300, 1_500)),
    Bucket(rows=Sizes(2, 4, 8), frames=Sizes(101, 200, 200), behind=Sizes(50, 300, 3_000)),
)
"""First the few who wait for their first audio, then the many; what fits none, torch computes.

What lies behind all rows is stacked in one tensor, and copied once: the largest of these batches take a few GB
meanwhile.
"""


def use_tensorrt(flow: Flow, precision: Precision, cache_dir: Path) -> None:
    """Quicken ``flow`` and let TensorRT compute its estimator; the flow is on the GPU.

    It is compiled once, which takes minutes, and kept in ``cache_dir``. Raises ConfigError without a GPU, without
    TensorRT, and for a graph that it will not have.
    """
    trt = find_tensorrt()
    plan = _cached_plan(trt, flow, precision, cache_dir)
    flow.quicken(precision)
    runner = TensorRTRunner(trt, plan)
    flow.decoder.estimator = CompiledEstimator(runner, BUCKETS, flow.decoder.estimator)  # type: ignore[assignment]


def find_tensorrt() -> Any:  # noqa: ANN401 - a module without types
    """The module. Without a driver it would not raise but crash, so the GPU is looked for first.

    Raises ConfigError without a GPU, without TensorRT, and without what its graphs are made with.
    """
    if not torch.cuda.is_available():
        raise ConfigError("flow_backend is tensorrt, which needs a GPU; torch sees none: try flow_backend torch")
    try:
        importlib.import_module("onnxscript")  # what torch exports with
        return importlib.import_module("tensorrt")
    except ImportError as error:
        raise ConfigError(f"flow_backend is tensorrt, but {error}; try: pip install -e '.[tensorrt]'") from error


def build_plan(trt: Any, graph: Path, buckets: Sequence[Bucket]) -> bytes:  # noqa: ANN401 - a module without types
    """The ONNX ``graph`` compiled, a profile for each bucket. Raises ConfigError with what ``trt`` says against it."""
    trt_logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(trt_logger)
    # Types are as the graph has them. Later versions know nothing else, and may have no word for it.
    strongly_typed = getattr(trt.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if strongly_typed is None else 1 << int(strongly_typed))
    parser = trt.OnnxParser(network, trt_logger)
    if not parser.parse_from_file(str(graph)):
        problems = "; ".join(str(parser.get_error(index)) for index in range(parser.num_errors))
        raise ConfigError(f"TensorRT {trt.__version__} does not understand the flow's graph: {problems}")
    config = builder.create_builder_config()
    inputs = [network.get_input(index) for index in range(network.num_inputs)]
    for bucket in buckets:
        profile = builder.create_optimization_profile()
        for tensor in inputs:
            profile.set_shape(tensor.name, *bucket.shapes(tensor.name, tuple(tensor.shape)))
        if config.add_optimization_profile(profile) < 0:
            raise ConfigError(f"TensorRT {trt.__version__} refuses {bucket} for the flow")
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise ConfigError(f"TensorRT {trt.__version__} could not compile the flow; what it said before this says why")
    return bytes(plan)


class TensorRTRunner:
    """A compiled graph on the current GPU. For one thread."""

    def __init__(self, trt: Any, plan: bytes) -> None:  # noqa: ANN401 - a module without types
        self._runtime = trt.Runtime(trt.Logger(trt.Logger.WARNING))
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise ConfigError(f"TensorRT {trt.__version__} cannot read what it has compiled before; empty the cache")
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise ConfigError("there is too little GPU memory for the flow in TensorRT: try flow_backend torch")
        self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._bucket = 0  # that of a new context
        names = [self._engine.get_tensor_name(index) for index in range(self._engine.num_io_tensors)]
        self._dtypes = {name: _TORCH_DTYPES[self._engine.get_tensor_dtype(name).name] for name in names}
        self._outputs = [name for name in names if self._engine.get_tensor_mode(name) == trt.TensorIOMode.OUTPUT]

    def run(self, bucket: int, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """As the protocol says. Waits for nothing; a CUDA graph of it would not outlive a batch of another shape."""
        known = {name: t.to(self._dtypes[name]).contiguous() for name, t in inputs.items() if name in self._dtypes}
        with self._stream_of_its_own() as stream:
            if bucket != self._bucket:
                _must(self._context.set_optimization_profile_async(bucket, stream), "profile", bucket)
                self._bucket = bucket
            for name, tensor in known.items():
                _must(self._context.set_input_shape(name, tuple(tensor.shape)), name, tuple(tensor.shape))
                _must(self._context.set_tensor_address(name, tensor.data_ptr()), name, "address")
            outputs = {name: self._empty(name) for name in self._outputs}
            for name, tensor in outputs.items():
                _must(self._context.set_tensor_address(name, tensor.data_ptr()), name, "address")
            _must(self._context.execute_async_v3(stream), "execution", bucket)
        return outputs

    def _empty(self, name: str) -> Tensor:
        return torch.empty(tuple(self._context.get_tensor_shape(name)), dtype=self._dtypes[name], device="cuda")

    @contextmanager
    def _stream_of_its_own(self) -> Iterator[int]:
        """A stream to run in, after all that is queued in the current one and before all that follows there.

        The default stream would not do: TensorRT waits for the device there.
        """
        current = torch.cuda.current_stream()
        if current != torch.cuda.default_stream():
            yield current.cuda_stream
            return
        self._stream.wait_stream(current)
        yield self._stream.cuda_stream
        current.wait_stream(self._stream)


_TORCH_DTYPES = {
    "FLOAT": torch.float32,
    "HALF": torch.float16,
    "BF16": torch.bfloat16,
    "INT64": torch.int64,
    "BOOL": torch.bool,
}


def _must(succeeded: bool, *what: object) -> None:
    if not succeeded:
        raise RuntimeError(f"TensorRT refuses {' '.join(map(str, what))}")


def _cached_plan(trt: Any, flow: Flow, precision: Precision, cache_dir: Path) -> bytes:  # noqa: ANN401
    """Compiled now, or before for the same weights, code, GPU and TensorRT."""
    dtype = torch.float32 if precision is Precision.FLOAT32 else torch.bfloat16
    estimator, config = flow.decoder.estimator, flow.config.estimator
    device = torch.cuda.get_device_properties(flow.device)
    made_for = f"{device.name} {device.major}.{device.minor} {trt.__version__} {BUCKETS}"
    key = hashlib.sha256(f"{fingerprint(estimator, config, dtype)} {made_for}".encode()).hexdigest()
    path = cache_dir / f"flow-{key[:16]}.plan"
    if path.exists():
        return path.read_bytes()
    logger.info("compiling the flow with TensorRT %s for %s: minutes, once", trt.__version__, device.name)
    with TemporaryDirectory() as folder:
        graph = Path(folder) / "flow.onnx"
        export_estimator(estimator, config, dtype, graph)
        plan = build_plan(trt, graph, BUCKETS)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
        unfinished.write_bytes(plan)
        unfinished.replace(path)
    except OSError as error:
        raise ConfigError(
            f"the compiled flow is kept in {cache_dir}, which cannot be written: {error.strerror}"
        ) from error
    return plan
