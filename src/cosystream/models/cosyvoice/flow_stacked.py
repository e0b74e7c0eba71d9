"""What lies behind a batch as stacked tensors: how another runtime than torch is told of the flow's memory."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.flow_batch import Places
from cosystream.models.cosyvoice.flow_memory import GUIDANCE, FlowMemory


@dataclass(frozen=True, slots=True, eq=False)
class Behind:
    """What lies behind each row of a batch, padded to one length, and what its new frames see of it.

    What is not visible must be finite nevertheless. Layers and convolutions are in the order of the pass.

    Shapes: R rows, N new frames, P frames behind, L layers, H heads, D head size, A numbers of all convolutions' tails.
    """

    positions: Tensor  # (R, N) int64
    visible: Tensor  # (R, N, P + N) bool: those behind, then the new ones; every frame sees at least itself
    keys: Tensor  # (L, R, H, P, D)
    values: Tensor  # (L, R, H, P, D)
    tails: Tensor  # (R, A) float32


@dataclass(frozen=True, slots=True, eq=False)
class Added:
    """What the new frames add to what lies behind them."""

    keys: Tensor  # (L, R, H, N, D)
    values: Tensor  # (L, R, H, N, D)
    tails: Tensor  # (R, A) float32


class StackedContext:
    """A ``Context`` over stacked tensors that collects what the piece adds. For one pass.

    Shapes as in ``Behind``; C channels.
    """

    def __init__(self, behind: Behind) -> None:
        self._behind = behind
        bias = torch.zeros(behind.visible.shape, device=behind.keys.device).masked_fill(~behind.visible, -math.inf)
        self._bias = bias.to(behind.keys.dtype)[:, None]  # (R, 1, N, P + N)
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._tails: list[Tensor] = []
        self._num_tail_values = 0

    def positions(self, _num_new: int) -> Tensor:
        return self._behind.positions

    def attend(self, _layer: str, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        index = len(self._keys)
        self._keys.append(k)
        self._values.append(v)
        keys = torch.cat([self._behind.keys[index], k], dim=2)
        values = torch.cat([self._behind.values[index], v], dim=2)
        scores = q * (1 / math.sqrt(q.size(-1))) @ keys.mT + self._bias
        # Not ``softmax(dtype=)``: the export would lose it.
        return torch.softmax(scores.float(), dim=-1).to(v.dtype) @ values  # (R, H, N, D)

    def extend(self, _layer: str, x: Tensor, num_past: int) -> Tensor:
        start, num_channels = self._num_tail_values, x.size(1)
        self._num_tail_values = end = start + num_channels * num_past
        tail = self._behind.tails[:, start:end].reshape(-1, num_channels, num_past)
        x = torch.cat([tail, x], dim=-1)
        self._tails.append(x[..., -num_past:].flatten(1))
        return x

    @property
    def added(self) -> Added:
        """By the pass, once it is through."""
        return Added(torch.stack(self._keys), torch.stack(self._values), torch.cat(self._tails, dim=1))


def behind(memory: FlowMemory, places: Places, num_new: int) -> Behind:
    """Gathered for B sequences, both guidance rows of each, with pieces of ``num_new`` frames. Waits for nothing.

    Shapes: B sequences, Q blocks seen, S Euler steps, G guidance rows, K frames of a block, N new frames.
    """
    size, device = memory.block, memory.pages.device
    own = places.firsts[:, None] * size + torch.arange(num_new, device=device)  # (B, N) positions
    is_behind = places.blocks < places.firsts[:, None]  # (B, Q)
    # Pages of the piece's own blocks are not written yet, and what they hold may not be finite.
    pages = torch.where(is_behind, places.pages, memory.num_pages)
    gathered = memory.pages[pages, places.steps[:, None]]  # (B, Q, L, 2, G, H, K, D)
    keys, values = gathered.permute(3, 2, 0, 4, 5, 1, 6, 7).flatten(5, 6).flatten(2, 3)  # (L, B G, H, Q K, D) each
    old = places.sees(own // size, places.blocks) & is_behind[:, None]  # (B, N, Q)
    new = places.sees(own // size, own // size)  # (B, N, N)
    visible = torch.cat([old.repeat_interleave(size, dim=2), new], dim=2)
    tails = memory.tails[places.slots, places.halves, places.steps]  # (B, G, A)
    return Behind(
        positions=own.repeat_interleave(GUIDANCE, dim=0),
        visible=visible.repeat_interleave(GUIDANCE, dim=0),
        keys=keys,
        values=values,
        tails=tails.flatten(0, 1),
    )


def keep(memory: FlowMemory, places: Places, added: Added) -> None:
    """Write what a pass over the piece has added to where the memory has room for it.

    Shapes as in ``behind``; E blocks of the piece.
    """
    size, (num_rows, num_blocks) = memory.block, places.new_pages.shape
    new = torch.stack([added.keys, added.values])  # (2, L, R, H, N, D)
    # Whole blocks, silent at their end: a page is read whole, and what it held before may not be finite.
    new = F.pad(new, (0, 0, 0, num_blocks * size - new.size(4)))
    two, layers, _, heads, _, width = new.shape
    new = new.view(two, layers, num_rows, GUIDANCE, heads, num_blocks, size, width)
    memory.pages[places.new_pages, places.steps[:, None]] = new.permute(2, 5, 1, 0, 3, 4, 6, 7).to(memory.pages.dtype)
    memory.tails[places.slots, 1 - places.halves, places.steps] = added.tails.view(num_rows, GUIDANCE, -1)
