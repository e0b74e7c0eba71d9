"""A step of a model recorded once as a CUDA graph and replayed, and its results read without stopping for them.

A small step is thousands of kernels, and to launch them one by one takes longer than to run them. A graph launches all
of them at once, on condition that the step is the same kernels at the same addresses each time: its inputs come in
tensors of fixed sizes, it waits for nothing, and what it keeps between steps it keeps in place.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, ParamSpec, Protocol

import torch
from torch import Tensor

P = ParamSpec("P")

NUM_WARMUPS = 2
"""Runs before a recording: libraries choose kernels and allocate workspaces in the first."""


class Recorder(Protocol):
    """What can record."""

    def record(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """What does again what ``run`` does, with the same tensors, and returns the same result tensor each time.

        It may carry out ``run`` any number of times meanwhile.
        """
        ...


class CudaRecorder:
    """Records CUDA graphs that share one pool of memory, because no two of them ever run at the same time.

    The memory of a result may serve another graph as scratch: it holds until the next replay of any of them.
    """

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def record(self, run: Callable[[], Tensor]) -> Callable[[], Tensor]:
        """As the protocol says; waits for the device."""
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            for _ in range(NUM_WARMUPS):
                run()
        torch.cuda.current_stream(self._stream.device).wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        # "thread_local": other threads may go on using the device, to prepare a voice for instance.
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
            result = run()

        def replay() -> Tensor:
            graph.replay()
            return result

        return replay


def recorder_for(device: torch.device) -> Recorder | None:
    """Who records on ``device``: nobody on a CPU, where to launch an operation costs next to nothing."""
    return CudaRecorder(device) if device.type == "cuda" else None


class Recorded(Generic[P]):
    """A function that is replayed where it was recorded for arguments like these, and called where it was not.

    Tensors among the positional arguments are inputs: a recording holds for their shapes and dtypes, and for the values
    of all other arguments. Whatever else the function reads or writes must stay where it is for as long as this lives.
    """

    def __init__(self, function: Callable[P, Tensor], recorder: Recorder | None) -> None:
        self._function = function
        self._recorder = recorder
        self._recordings: dict[Hashable, _Recording] = {}

    @property
    def num_recordings(self) -> int:
        return len(self._recordings)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Tensor:
        """What the function returns; recorded or not, the result is the caller's to keep."""
        recording = self._recordings.get(_kind(args, kwargs))
        if recording is None:
            return self._function(*args, **kwargs)
        for static, given in zip(recording.inputs, _tensors(args), strict=True):
            static.copy_(given, non_blocking=True)
        return recording.replay().clone()

    def record(self, *args: P.args, **kwargs: P.kwargs) -> None:
        """From now on replay for arguments like these. Does nothing without a recorder, or where it was done before.

        The function is called several times meanwhile, so the inputs must be such that it does no harm.
        """
        kind = _kind(args, kwargs)
        if self._recorder is None or kind in self._recordings:
            return
        own = [arg.clone() if isinstance(arg, Tensor) else arg for arg in args]
        function: Callable[..., Tensor] = self._function
        replay = self._recorder.record(lambda: function(*own, **kwargs))
        self._recordings[kind] = _Recording(_tensors(own), replay)


@dataclass(frozen=True, slots=True)
class _Recording:
    inputs: list[Tensor]
    replay: Callable[[], Tensor]


def _kind(args: Sequence[object], kwargs: Mapping[str, object]) -> Hashable:
    """Arguments alike in this have one recording."""
    kinds = [(tuple(arg.shape), arg.dtype) if isinstance(arg, Tensor) else arg for arg in args]
    return (*kinds, *sorted(kwargs.items()))


def _tensors(args: Sequence[object]) -> list[Tensor]:
    return [arg for arg in args if isinstance(arg, Tensor)]


def upload(values: Sequence[object], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers, or nested lists of them, on the device, without waiting until it has got so far."""
    return send(torch.tensor(values, dtype=dtype), device)


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """``tensor``, which is on the host, on the device, without waiting until that has got so far."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


class Download:
    """A result on its way to the host. What is made of it there can wait until the device works on the next step."""

    def __init__(self, result: Tensor) -> None:
        """Set out with what ``result`` is once all work queued so far is done; it may be overwritten by later work."""
        self._arrived: torch.cuda.Event | None = None
        if result.is_cuda:
            self._on_host = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
            self._on_host.copy_(result, non_blocking=True)
            self._arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            self._arrived.record(torch.cuda.current_stream(result.device))
        else:
            self._on_host = result.clone()

    @property
    def has_arrived(self) -> bool:
        return self._arrived is None or bool(self._arrived.query())  # type: ignore[no-untyped-call]

    def wait(self) -> Tensor:
        """The result, on the host. Waits for the work up to it, not for what was queued since."""
        if self._arrived is not None:
            self._arrived.synchronize()
        return self._on_host
