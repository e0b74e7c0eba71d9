"""The memory of the flow's estimator: pages of keys and values, slots of convolution inputs, handed out elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

from cosystream.models.attention import attend
from cosystream.models.cosyvoice.config import DiTConfig, FlowConfig, UNetConfig
from cosystream.models.cosyvoice.dit import DiT
from cosystream.models.cosyvoice.solver import NUM_STEPS
from cosystream.models.cosyvoice.unet import UNet

GUIDANCE = 2
"""Rows of a sequence: conditional, unconditional."""


@dataclass(slots=True, eq=False)
class Layout:
    """Which layers of an estimator keep something of the frames behind, and how much."""

    attentions: dict[str, int] = field(default_factory=dict)
    """Index of each layer that attends."""
    tails: dict[str, int] = field(default_factory=dict)
    """Where the inputs of each convolution begin among all of a row's."""
    tail_size: int = 0
    """Numbers of all convolutions of a row together."""
    num_heads: int = 0
    head_size: int = 0


@cache
def layout_of(config: UNetConfig | DiTConfig) -> Layout:
    """Found by one pass over nothing, on no device."""
    layout = Layout()
    with torch.device("meta"):
        estimator = UNet(config) if isinstance(config, UNetConfig) else DiT(config)
        num_mels = config.out_channels
        frames, speakers = torch.empty(1, 1, num_mels), torch.empty(1, num_mels)
        time = estimator.time_embedding(torch.empty(1))
        estimator(frames, frames, speakers, frames, time, _Surveyor(layout))
    return layout


@dataclass(frozen=True, slots=True)
class _Surveyor:
    """A context that takes down who asks for what."""

    layout: Layout

    def positions(self, num_new: int) -> Tensor:
        return torch.empty(1, num_new)

    def attend(self, layer: str, q: Tensor, _k: Tensor, _v: Tensor) -> Tensor:
        self.layout.attentions[layer] = len(self.layout.attentions)
        self.layout.num_heads, self.layout.head_size = q.size(1), q.size(3)
        return q

    def extend(self, layer: str, x: Tensor, num_past: int) -> Tensor:
        self.layout.tails[layer] = self.layout.tail_size
        self.layout.tail_size += x.size(1) * num_past
        return torch.cat([x.new_empty(1, x.size(1), num_past), x], dim=-1)


def page_bytes(config: FlowConfig, dtype: torch.dtype, num_steps: int = NUM_STEPS) -> int:
    """Size of a page: keys and values in ``dtype`` of one block of frames, for all Euler steps, layers and rows."""
    layout = layout_of(config.estimator)
    num_vectors = 2 * GUIDANCE * num_steps * len(layout.attentions) * config.token_mel_ratio * config.chunk_size
    return num_vectors * layout.num_heads * layout.head_size * dtype.itemsize


def slot_bytes(config: FlowConfig, num_steps: int = NUM_STEPS) -> int:
    """Size of a slot: convolution inputs in float32, committed and provisional."""
    return 2 * GUIDANCE * num_steps * layout_of(config.estimator).tail_size * torch.float32.itemsize


class FlowMemory:
    """Pages and slots of the sequences that one flow solves. Which of them are whose is decided elsewhere.

    A page holds the keys and values of one block of frames. It is written when its block is solved and never again
    while it is somebody's, so that several sequences may read it. A slot is one sequence's: the inputs of its
    convolutions, twice, so that a pass reads one half and writes the other, and what is committed is never overwritten.
    Nothing is wiped when it changes hands.

    Shapes: S Euler steps, L layers, G guidance rows, H heads, K frames of a block, D head size.
    """

    def __init__(
        self,
        config: FlowConfig,
        num_pages: int,
        num_slots: int,
        *,
        dtype: torch.dtype,
        device: torch.device,
        num_steps: int = NUM_STEPS,
    ) -> None:
        """``dtype`` is that of keys and values. One page and one slot more than asked for serve as padding."""
        self.layout = layout_of(config.estimator)
        self.num_pages, self.num_slots, self.num_steps = num_pages, num_slots, num_steps
        self.chunk_size, self.block = config.chunk_size, config.token_mel_ratio * config.chunk_size
        layers, heads, size = len(self.layout.attentions), self.layout.num_heads, self.layout.head_size
        per_page = (num_steps, layers, 2, GUIDANCE, heads, self.block, size)
        self.pages = torch.empty(num_pages + 1, *per_page, dtype=dtype, device=device)
        self.pages[-1] = 0  # finite, because it is read, if only to be ignored
        per_slot = (2, num_steps, GUIDANCE, self.layout.tail_size)
        self.tails = torch.empty(num_slots + 1, *per_slot, device=device)
        self.tails[-1] = 0

    def begin(self, slot: int) -> None:
        """Silence lies before the first frame of the sequence that takes ``slot``."""
        self.tails[slot, 0] = 0

    def copy_tails(self, slot: int, half: int, to: int) -> None:
        """What is committed in one half of ``slot`` becomes the first half of the slot ``to``."""
        self.tails[to, 0] = self.tails[slot, half]


@dataclass(frozen=True, slots=True)
class Sight:
    """Which blocks of frames a block sees: those up to its own.

    With a ``window``, of those only the ``num_kept`` first of the sequence, its prompt's, and the ``window`` in front
    of its own.
    """

    num_kept: int = 0
    window: int | None = None

    def behind(self, block: int) -> list[int]:
        """The blocks in front of ``block`` that it sees."""
        if self.window is None:
            return list(range(block))
        first = max(block - self.window, 0)
        return [*range(min(self.num_kept, first)), *range(first, block)]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a sequence lies in the memory, in numbers of the host."""

    pages: Sequence[int]
    """Of all blocks, the piece's too; -1 where none is needed any more."""
    slot: int
    half: int
    """Of the slot: the committed one."""
    num_past_blocks: int
    sight: Sight
    step: int


class Paged:
    """The context of a single sequence, both guidance rows of it, at one Euler step.

    Shapes: G guidance rows, H heads, N frames of the piece, D head size, L frames seen.
    """

    def __init__(self, memory: FlowMemory, place: Place) -> None:
        self._memory, self._first, self._sight = memory, place.num_past_blocks, place.sight
        step, tails = place.step, memory.tails[place.slot, :, place.step]
        self._committed, self._provisional = tails[place.half], tails[1 - place.half]
        # Keys and values of every layer in turn, of each block, taken apart in one call.
        self._blocks = [memory.pages[p, step].flatten(0, 1).unbind(0) if p >= 0 else () for p in place.pages]

    def positions(self, num_new: int) -> Tensor:
        start = self._first * self._memory.block
        return torch.arange(start, start + num_new, device=self._memory.pages.device)[None]

    def attend(self, layer: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        index, size = 2 * self._memory.layout.attentions[layer], self._memory.block
        new_keys, new_values = torch.split(k, size, dim=2), torch.split(v, size, dim=2)
        assert self._first + len(new_keys) <= len(self._blocks), "a block has no page"
        attended = []
        for i, queries in enumerate(torch.split(q, size, dim=2)):
            own = self._blocks[self._first + i]
            own[index][:, :, : queries.size(2)] = new_keys[i]
            own[index + 1][:, :, : queries.size(2)] = new_values[i]
            # Put together for each block anew: the head of something longer would be copied by the product anyway.
            behind = [self._blocks[block] for block in self._sight.behind(self._first + i)]
            keys = torch.cat([*(block[index] for block in behind), new_keys[i]], dim=2)
            values = torch.cat([*(block[index + 1] for block in behind), new_values[i]], dim=2)
            attended.append(attend(queries, keys, values))
        return attended[0] if len(attended) == 1 else torch.cat(attended, dim=2)

    def extend(self, layer: str, x: Tensor, num_past: int) -> Tensor:
        start = self._memory.layout.tails[layer]
        part, shape = slice(start, start + x.size(1) * num_past), (GUIDANCE, x.size(1), num_past)
        x = torch.cat([self._committed[:, part].view(shape), x], dim=-1)
        self._provisional[:, part].view(shape).copy_(x[..., x.size(-1) - num_past :])
        return x
