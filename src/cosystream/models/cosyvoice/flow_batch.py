"""One Euler step of many sequences as fixed tensors alone, as a GPU wants it and as a CUDA graph needs it."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.attention import attend
from cosystream.models.cosyvoice.flow_memory import GUIDANCE, FlowMemory, Place, Sight
from cosystream.models.graphs import upload

NOWHERE = 1 << 30
"""Number of a block that no frame sees."""


class Places(NamedTuple):
    """Where B sequences lie in the memory, on the device.

    Shapes: B sequences, P blocks seen (the piece's own among them), Q blocks of a piece.
    """

    steps: Tensor  # (B,)
    slots: Tensor  # (B,)
    halves: Tensor  # (B,)
    firsts: Tensor  # (B,) number of the piece's first block
    kept: Tensor  # (B,) how many blocks at the head stay in sight
    windows: Tensor  # (B,) how many blocks behind are in sight
    pages: Tensor  # (B, P)
    blocks: Tensor  # (B, P) which block each page holds
    new_pages: Tensor  # (B, Q)

    def sees(self, own: Tensor, block: Tensor) -> Tensor:
        """Whether a frame of block ``own`` (B, N) sees the frames of ``block`` (B, P): (B, N, P)."""
        own, block = own[..., None], block[:, None]
        is_near = block >= own - self.windows[:, None, None]
        is_kept = block < self.kept[:, None, None]
        return (block <= own) & (is_near | is_kept)


def place(memory: FlowMemory, places: Sequence[Place], num_frames: int, rows: int = 0, columns: int = 0) -> Places:
    """``places`` as tensors, padded to ``rows`` sequences and ``columns`` pages, for pieces of ``num_frames``.

    Padding is the memory's spare page and slot.
    """
    num_new = -(-num_frames // memory.block)
    spare = memory.num_pages
    nothing = Place([spare] * num_new, memory.num_slots, 0, 0, Sight(), 0)
    padded = [*places, *[nothing] * (rows - len(places))]
    seen = [_seen(p, num_new) for p in padded]
    columns = max(columns, *map(len, seen))

    tensor = partial(upload, dtype=torch.long, device=memory.pages.device)
    return Places(
        steps=tensor([p.step for p in padded]),
        slots=tensor([p.slot for p in padded]),
        halves=tensor([p.half for p in padded]),
        firsts=tensor([p.num_past_blocks for p in padded]),
        kept=tensor([p.sight.num_kept for p in padded]),
        windows=tensor([NOWHERE if p.sight.window is None else p.sight.window for p in padded]),
        pages=tensor(
            [
                [p.pages[b] for b in blocks] + [spare] * (columns - len(blocks))
                for p, blocks in zip(padded, seen, strict=True)
            ]
        ),
        blocks=tensor([blocks + [NOWHERE] * (columns - len(blocks)) for blocks in seen]),
        new_pages=tensor([list(p.pages[p.num_past_blocks :][:num_new]) for p in padded]),
    )


def _seen(place: Place, num_new: int) -> list[int]:
    """The blocks that any frame of the piece sees."""
    end = place.num_past_blocks + num_new
    assert end <= len(place.pages), "a block has no page"
    return sorted({b for block in range(place.num_past_blocks, end) for b in [*place.sight.behind(block), block]})


class Padded:
    """The context of B sequences, both guidance rows of each, wherever each of them is.

    Keys and values of all blocks seen are gathered, as many for each sequence as the longest has, and a mask hides what
    is not a sequence's. Nothing here waits for the device.

    Shapes: R = 2 B rows, N frames of the piece, P blocks seen, Q blocks of a piece, H heads, K frames of a block,
    D head size.
    """

    def __init__(self, memory: FlowMemory, places: Places, num_new: int) -> None:
        self.memory, self.places = memory, places
        layout, size = memory.layout, memory.block
        self._pages = memory.pages.view(-1, size, layout.head_size)
        self._tails = memory.tails.view(-1, layout.tail_size)
        device = self._pages.device
        self._stride = 2 * GUIDANCE * layout.num_heads  # from layer to layer
        self._read, self._written = self._indices(places.pages), self._indices(places.new_pages)
        rows = torch.arange(GUIDANCE, device=device)

        def tails_of(halves: Tensor) -> Tensor:
            step = (places.slots * 2 + halves) * memory.num_steps + places.steps
            return (step[:, None] * GUIDANCE + rows).flatten()  # (R,)

        self._committed, self._provisional = tails_of(places.halves), tails_of(1 - places.halves)
        self._positions = places.firsts[:, None] * size + torch.arange(num_new, device=device)  # (B, N)
        self._visible = self._visible_frames(self._positions // size)

    def positions(self, _num_new: int) -> Tensor:
        return self._positions.repeat_interleave(GUIDANCE, dim=0)

    def attend(self, layer: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        first = self.memory.layout.attentions[layer] * self._stride
        num_blocks, size = self.places.new_pages.size(1), self.memory.block
        # Whole blocks, silent at their end: a page is read whole, and what it held before may not be finite.
        new = F.pad(torch.stack([k, v]), (0, 0, 0, num_blocks * size - k.size(2)))
        self._pages[self._written + first] = new.view(*new.shape[:3], num_blocks, size, -1).to(self._pages.dtype)
        keys, values = self._pages[self._read + first].flatten(3, 4)  # (R, H, P K, D) each
        return attend(q, keys, values, self._visible)

    def extend(self, layer: str, x: Tensor, num_past: int) -> Tensor:
        start = self.memory.layout.tails[layer]
        tails = self._tails[:, start : start + x.size(1) * num_past]
        x = torch.cat([tails[self._committed].view(-1, x.size(1), num_past), x], dim=-1)
        tails[self._provisional] = x[..., x.size(-1) - num_past :].flatten(1)
        return x

    def _indices(self, pages: Tensor) -> Tensor:
        """Where keys, then values, of the first layer lie in ``pages`` (B, P), by row and head: (2, R, H, P)."""
        memory, layout, device = self.memory, self.memory.layout, pages.device
        layer = (pages * memory.num_steps + self.places.steps[:, None]) * len(layout.attentions)
        kind = torch.arange(2, device=device)[:, None, None, None, None]
        row = torch.arange(GUIDANCE, device=device)[:, None, None]
        head = torch.arange(layout.num_heads, device=device)[:, None]
        index = ((layer[:, None, None] * 2 + kind) * GUIDANCE + row) * layout.num_heads + head  # (2, B, G, H, P)
        return index.flatten(1, 2)

    def _visible_frames(self, own: Tensor) -> Tensor:
        """What each frame sees, (R, 1, N, P K), from its own block's number (B, N)."""
        visible = self.places.sees(own, self.places.blocks)  # (B, N, P)
        start = self.places.blocks[:, None] * self.memory.block  # (B, 1, P)
        frames = start[..., None] + torch.arange(self.memory.block, device=own.device)  # (B, 1, P, K)
        is_there = frames <= self._positions[:, -1][:, None, None, None]
        visible = (visible[..., None] & is_there).flatten(2)
        return visible.repeat_interleave(GUIDANCE, dim=0)[:, None]
