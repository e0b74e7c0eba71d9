"""What a causal network knows of the frames behind it, so that a chunk costs its own frames only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.attention import attend, attend_by_block


class Context(Protocol):
    """What one pass of a network over R rows of N frames knows of the frames behind each row.

    Shapes: R rows, N frames of the piece, H heads, D head size, C channels.
    """

    def positions(self, num_new: int) -> Tensor:
        """Of ``num_new`` frames in their sequence, from 0: (R, N), or (1, N) where all rows have the same."""
        ...

    def attend(self, layer: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """softmax(q kT / sqrt(D)) v over all that each frame may see: (R, H, N, D) each -> (R, H, N, D)."""
        ...

    def extend(self, layer: str, x: Tensor, num_past: int) -> Tensor:
        """``x`` (R, C, N) with the ``num_past`` frames before it in front, (R, C, num_past + N); silence before all."""
        ...


@dataclass(frozen=True, slots=True)
class Whole:
    """The context of rows behind which nothing lies.

    With ``block``, frames see the blocks of so many frames up to their own; without, all frames. ``lengths`` (R,) says
    how many frames of each row are there, where rows are padded at their end: to hide padding from attention is
    enough, because convolutions are causal.
    """

    device: torch.device
    block: int | None = None
    lengths: Tensor | None = None

    def positions(self, num_new: int) -> Tensor:
        return torch.arange(num_new, device=self.device)[None]

    def attend(self, _layer: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.lengths is None:
            return attend(q, k, v) if self.block is None else attend_by_block(q, k, v, self.block)
        num_new = q.size(2)
        visible = torch.arange(num_new, device=self.device) < self.lengths[:, None, None, None]  # (R, 1, 1, N)
        if self.block is not None:
            visible = visible & block_mask(0, num_new, self.block, self.device)
        return attend(q, k, v, visible)

    def extend(self, _layer: str, x: Tensor, num_past: int) -> Tensor:
        return F.pad(x, (num_past, 0))


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The context of sequences in one batch, ``rows`` of it for each, every sequence in a context of its own."""

    contexts: Sequence[Context]
    rows: int

    def positions(self, num_new: int) -> Tensor:
        return torch.cat([c.positions(num_new).expand(self.rows, -1) for c in self.contexts])

    def attend(self, layer: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        parts = zip(self.contexts, *(torch.split(x, self.rows) for x in (q, k, v)), strict=True)
        return torch.cat([c.attend(layer, *part) for c, *part in parts])

    def extend(self, layer: str, x: Tensor, num_past: int) -> Tensor:
        parts = zip(self.contexts, torch.split(x, self.rows), strict=True)
        return torch.cat([c.extend(layer, part, num_past) for c, part in parts])


class Past:
    """Keys, values and convolution inputs of the frames behind, layer by layer, for one pass over one sequence.

    A pass feeds a piece of the sequence through every layer; each layer asks for what lies behind it, under a name of
    its own. ``commit`` makes the piece part of the past. A piece not committed leaves no trace: the next pass starts
    where it started, which is how frames are computed provisionally.

    Shapes: B batch, H heads, D head size, C channels, N frames of the piece, P frames behind it.
    """

    def __init__(self) -> None:
        self.num_frames = 0
        """Committed so far: the position of the next piece's first frame."""
        self._attended: dict[str, tuple[Tensor, Tensor]] = {}
        self._tails: dict[str, Tensor] = {}
        self._new_tails: dict[str, Tensor] = {}

    def attend(self, layer: str, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values behind and of this piece, (B, H, P + N, D) each, from this piece's, (B, H, N, D)."""
        end = self.num_frames + keys.size(2)
        if layer not in self._attended or self._attended[layer][0].size(2) < end:
            self._grow(layer, keys, values, end)
        all_keys, all_values = self._attended[layer]
        all_keys[:, :, self.num_frames : end] = keys
        all_values[:, :, self.num_frames : end] = values
        return all_keys[:, :, :end], all_values[:, :, :end]

    def extend(self, layer: str, x: Tensor, num_past: int) -> Tensor:
        """``x`` (B, C, N) with the ``num_past`` frames before it in front, (B, C, num_past + N); silence before all."""
        tail = self._tails.get(layer)
        x = F.pad(x, (num_past, 0)) if tail is None else torch.cat([tail, x], dim=-1)
        self._new_tails[layer] = x[..., x.size(-1) - num_past :].clone()  # a view would keep all of x
        return x

    def commit(self, num_frames: int) -> None:
        """Let the piece just passed, of ``num_frames``, be past."""
        self.num_frames += num_frames
        self._tails |= self._new_tails
        self._new_tails = {}

    def fork(self) -> "Past":
        """The same committed past, to be gone on from in another way."""
        other = Past()
        other.num_frames = self.num_frames
        for layer, buffers in self._attended.items():
            keys, values = (buffer[:, :, : self.num_frames].clone() for buffer in buffers)
            other._attended[layer] = (keys, values)
        other._tails = dict(self._tails)  # replaced when the past grows, never written to
        return other

    def _grow(self, layer: str, keys: Tensor, values: Tensor, end: int) -> None:
        """Room for half as much again, so that a frame is moved a few times at most, however long the sequence."""
        room = end if layer not in self._attended else end + end // 2
        old = self._attended.get(layer)
        grown = []
        for i, new in enumerate((keys, values)):
            batch, heads, _, size = new.shape
            buffer = new.new_empty(batch, heads, room, size)
            if old is not None:
                buffer[:, :, : self.num_frames] = old[i][:, :, : self.num_frames]
            grown.append(buffer)
        self._attended[layer] = (grown[0], grown[1])


def block_mask(num_past: int, num_new: int, block: int, device: torch.device) -> Tensor:
    """Which keys each new frame sees, (num_new, num_past + num_new): all up to the end of its own block.

    Blocks count from the first frame of the sequence; True is visible.
    """
    queries = torch.arange(num_past, num_past + num_new, device=device)
    keys = torch.arange(num_past + num_new, device=device)
    return keys < (queries // block + 1)[:, None] * block
