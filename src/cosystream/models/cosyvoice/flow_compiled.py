"""The flow's estimator where another runtime computes it, in batches of the sizes that it was compiled for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor, nn

from cosystream.models.cosyvoice.flow_batch import Padded
from cosystream.models.cosyvoice.flow_export import INPUTS, OUTPUTS, VARYING
from cosystream.models.cosyvoice.flow_stacked import Added, behind, keep
from cosystream.models.streaming import Context


class Sizes(NamedTuple):
    """The least and the most that a bucket holds, and what it is to be fastest at."""

    least: int
    usual: int
    most: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """Batches that are computed in one way."""

    rows: Sizes
    """Two for each sequence."""
    frames: Sizes
    """Of a piece."""
    behind: Sizes
    """Frames in the blocks that the longest sequence sees."""

    def holds(self, rows: int, frames: int, behind: int) -> bool:
        given = zip((self.rows, self.frames, self.behind), (rows, frames, behind), strict=True)
        return all(sizes.least <= number <= sizes.most for sizes, number in given)

    def shapes(self, name: str, shape: Sequence[int]) -> list[tuple[int, ...]]:
        """Of the input ``name``: least, usual and most; ``shape`` says what does not vary."""
        found = []
        for rows, frames, past in zip(self.rows, self.frames, self.behind, strict=True):
            sizes = {"rows": rows, "frames": frames, "behind": past, "seen": past + frames}
            varying = {index: sizes[what] for index, what in VARYING[name].items()}
            found.append(tuple(varying.get(index, size) for index, size in enumerate(shape)))
        return found


class Runner(Protocol):
    """A runtime that holds the graph of ``flow_export``."""

    def run(self, bucket: int, inputs: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The graph's outputs by name, in the order of the work on the device; ``bucket`` is an index."""
        ...


class CompiledEstimator(nn.Module):
    """Stands in for a flow's estimator. What fits no bucket goes to the one it stands in for."""

    def __init__(self, runner: Runner, buckets: Sequence[Bucket], estimator: nn.Module) -> None:
        super().__init__()
        self._runner, self._buckets = runner, tuple(buckets)
        self.estimator = estimator

    def forward(self, x: Tensor, mu: Tensor, spks: Tensor, cond: Tensor, time: Tensor, context: Context) -> Tensor:
        """As the estimator's, which has the shapes."""
        bucket = self._bucket_for(x, context) if isinstance(context, Padded) else None
        if bucket is None:
            velocity: Tensor = self.estimator(x, mu, spks, cond, time, context)
            return velocity
        assert isinstance(context, Padded)
        past = behind(context.memory, context.places, x.size(1))
        tensors = (x, mu, spks, cond, time, past.positions, past.visible, past.keys, past.values, past.tails)
        outputs = self._runner.run(bucket, dict(zip(INPUTS, tensors, strict=True)))
        velocity, *added = (outputs[name] for name in OUTPUTS)
        keep(context.memory, context.places, Added(*added))
        return velocity

    def _bucket_for(self, x: Tensor, context: Padded) -> int | None:
        num_behind = context.places.pages.size(1) * context.memory.block
        held = (index for index, bucket in enumerate(self._buckets) if bucket.holds(x.size(0), x.size(1), num_behind))
        return next(held, None)
