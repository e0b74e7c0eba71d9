"""Euler steps of the flow in few sizes, each of which is recorded once and replayed."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cosystream.models.cosyvoice.flow import Flow, Solve
from cosystream.models.cosyvoice.flow_batch import place
from cosystream.models.cosyvoice.flow_memory import GUIDANCE, FlowMemory, Place
from cosystream.models.graphs import Recorded, Recorder


@dataclass(frozen=True, slots=True)
class StepSize:
    """What a recorded step is padded to, but for ``frames``, which a batch must have exactly."""

    rows: int
    """Sequences."""
    columns: int
    """Blocks that a sequence sees."""
    frames: int
    """Of a piece."""


def step_sizes(frames: Sequence[int], most_frames: int, most_rows: int, most_columns: int) -> list[StepSize]:
    """Powers of two of rows and columns, for each number of ``frames`` until all rows together have ``most_frames``."""
    return [
        StepSize(rows, columns, number)
        for number in frames
        for rows in _powers_of_two(1, max(min(most_frames // number, most_rows), 1))
        for columns in _powers_of_two(4, most_columns)
    ]


def _powers_of_two(least: int, most: int) -> list[int]:
    """From ``least``, itself one, until ``most`` is covered."""
    powers = [least]
    while powers[-1] < most:
        powers.append(2 * powers[-1])
    return powers


class RecordedFlow:
    """Steps a flow's solves, replayed where a batch fits a size that was recorded, and as the flow does where not."""

    def __init__(self, flow: Flow, memory: FlowMemory, recorder: Recorder | None) -> None:
        self._flow, self._memory = flow, memory
        self._has_recorder = recorder is not None
        self._recorded = Recorded(flow.padded_step, recorder)
        self._sizes: list[StepSize] = []

    def record(self, size: StepSize) -> None:
        """Replay batches of this size from now on, if there is a recorder. Waits for the device."""
        if self._has_recorder and size not in self._sizes:
            self._recorded.record(self._memory, *self._nobodys(size))
            self._sizes.append(size)
            self._sizes.sort(key=lambda s: (s.rows * s.columns, s.rows))

    def euler_step(self, solves: Sequence[Solve]) -> None:
        """As ``Flow.euler_step``."""
        size = self._size_for(solves)
        if size is None:
            self._flow.euler_step(solves)
            return
        memory, inputs = self._flow.padded_inputs(solves, size.rows, size.columns)
        x = self._recorded(memory, *inputs)  # (rows, N, M)
        for index, solve in enumerate(solves):
            solve.x = x[index : index + 1]
            solve.step += 1

    def _size_for(self, solves: Sequence[Solve]) -> StepSize | None:
        """The smallest that the batch fits."""
        if not self._sizes:
            return None
        columns = 0
        for solve in solves:
            if solve.state is None or solve.state.memory is not self._memory:
                return None
            columns = max(columns, _num_seen(solve.state.place(solve.step), solve.num_frames, self._memory.block))
        frames = {solve.num_frames for solve in solves}
        fitting = (s for s in self._sizes if {s.frames} == frames and s.rows >= len(solves) and s.columns >= columns)
        return next(fitting, None)

    def _nobodys(self, size: StepSize) -> list[Tensor]:
        """Inputs of a step that is all padding."""
        num_mels, device = self._flow.config.output_size, self._flow.device

        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device)

        rows, frames = size.rows, size.frames
        return [
            zeros(rows, frames, num_mels),
            zeros(GUIDANCE * rows, frames, num_mels),
            zeros(GUIDANCE * rows, num_mels),
            zeros(GUIDANCE * rows, frames, num_mels),
            *place(self._memory, [], frames, rows, size.columns),
        ]


def _num_seen(where: Place, num_frames: int, block: int) -> int:
    """At most so many blocks are seen by a piece, its own among them."""
    num_new = -(-num_frames // block)
    if where.sight.window is None:
        return where.num_past_blocks + num_new
    return min(where.num_past_blocks, where.sight.num_kept + where.sight.window) + num_new
