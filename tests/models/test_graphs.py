"""Steps recorded and replayed, and results read late."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from cosystream.models.graphs import CudaRecorder, Download, Recorded, recorder_for, upload
from tests.models.recorders import Rerun
from tests.support.gpu import needs_gpu, no_waiting

CPU = torch.device("cpu")


class Accumulator:
    """A step that keeps something in place: every row adds to its slot; the last slot is nobody's."""

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(5, device=device)
        self.num_calls = 0

    def step(self, slots: Tensor, values: Tensor, factor: int) -> Tensor:
        self.num_calls += 1
        self.sums.index_add_(0, slots, values * factor)
        return self.sums[slots]


def spoken_by(device: torch.device, step: Callable[[Tensor, Tensor, int], Tensor]) -> list[list[float]]:
    """What steps of several sizes and factors return, on the host."""
    results = []
    for slots, factor in [([0, 1], 1), ([1, 2, 3], 1), ([0, 1], 2), ([3, 2], 1), ([2, 1], 3), ([0, 3], 2)]:
        values = [float(slot + 1) for slot in slots]
        result = step(upload(slots, torch.int64, device), upload(values, torch.float32, device), factor)
        results.append(Download(result))
    return [result.wait().tolist() for result in results]


def record_sizes(recorded: "Recorded[[Tensor, Tensor, int]]", device: torch.device) -> None:
    """For two and three rows, on the slot that is nobody's."""
    for num_rows in (3, 2):
        for factor in (1, 2):
            nobody = torch.full([num_rows], 4, device=device)
            recorded.record(nobody, torch.zeros(num_rows, device=device), factor)


def test_replayed_or_called_the_results_are_the_same() -> None:
    called, replayed = Accumulator(CPU), Accumulator(CPU)
    recorded = Recorded(replayed.step, Rerun())
    record_sizes(recorded, CPU)
    assert recorded.num_recordings == 4
    assert spoken_by(CPU, recorded) == spoken_by(CPU, called.step)
    assert torch.equal(replayed.sums, called.sums)


def test_an_earlier_result_is_not_overwritten_by_a_later_step() -> None:
    recorded = Recorded(Accumulator(CPU).step, Rerun())
    record_sizes(recorded, CPU)
    slots, ones = torch.tensor([0, 1]), torch.ones(2)
    first = recorded(slots, ones, 1)
    recorded(slots, ones, 1)
    assert first.tolist() == [1, 1]


def test_what_the_caller_does_to_its_tensors_after_a_recording_does_not_reach_it() -> None:
    accumulator = Accumulator(CPU)
    recorded = Recorded(accumulator.step, Rerun())
    slots, zeros = torch.tensor([4, 4]), torch.zeros(2)
    recorded.record(slots, zeros, 1)
    slots.fill_(0)
    recorded(torch.tensor([1, 2]), torch.ones(2), 1)
    assert accumulator.sums.tolist() == [0, 1, 1, 0, 0]


def test_the_same_is_recorded_once() -> None:
    recorder = Rerun()
    recorded = Recorded(Accumulator(CPU).step, recorder)
    record_sizes(recorded, CPU)
    record_sizes(recorded, CPU)
    assert recorder.num_recorded == recorded.num_recordings == 4


def test_a_cpu_records_nothing_and_speaks_all_the_same() -> None:
    accumulator = Accumulator(CPU)
    recorded = Recorded(accumulator.step, recorder_for(CPU))
    record_sizes(recorded, CPU)
    assert accumulator.num_calls == recorded.num_recordings == 0
    assert spoken_by(CPU, recorded) == spoken_by(CPU, Accumulator(CPU).step)


def test_a_download_holds_what_was_there_when_it_set_out() -> None:
    result = torch.tensor([1.0, 2.0])
    download = Download(result)
    result.zero_()
    assert download.has_arrived
    assert download.wait().tolist() == [1, 2]


@pytest.mark.gpu
@needs_gpu
def test_graphs_of_several_sizes_share_memory_and_say_what_the_cpu_says() -> None:
    device = torch.device("cuda")
    accumulator = Accumulator(device)
    recorded = Recorded(accumulator.step, CudaRecorder(device))
    record_sizes(recorded, device)
    num_calls = accumulator.num_calls
    assert spoken_by(device, recorded) == spoken_by(CPU, Accumulator(CPU).step)
    assert accumulator.num_calls == num_calls + 1  # the one size that was not recorded


@pytest.mark.gpu
@needs_gpu
def test_a_loop_that_reads_one_step_late_never_stops_the_device() -> None:
    device = torch.device("cuda")
    accumulator = Accumulator(device)
    recorded = Recorded(accumulator.step, CudaRecorder(device))
    record_sizes(recorded, device)
    seen: list[float] = []
    late: Download | None = None
    with no_waiting():
        for _ in range(20):
            slots = upload([0, 1], torch.int64, device)
            drawn = Download(recorded(slots, upload([1.0, 0.0], torch.float32, device), 1))
            if late is not None:
                seen.append(late.wait()[0].item())
            late = drawn
    assert seen == [float(n) for n in range(1, 20)]
