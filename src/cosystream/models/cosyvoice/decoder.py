"""Speech tokens of many sequences at once, with all that a sequence is kept on the device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import SpeechLMConfig
from cosystream.models.cosyvoice.qwen2 import KVCache
from cosystream.models.cosyvoice.sampling import NOTHING, remember, sample
from cosystream.models.cosyvoice.speech_lm import Piece, SpeechLM, no_end
from cosystream.models.graphs import Download, Recorded, Recorder, send, upload

UNREADABLE = -1
"""In place of an id, where the logits are not all finite."""

_FEWEST_ROWS = 2
_PADDED_LENGTHS = 256
"""Lengths that a padded step is made for are multiples of this."""
_LENGTHS = 32
"""And those of others of this: so many keys are summed up in one order, however many more are masked behind them."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A sequence that takes over a slot."""

    slot: int
    pieces: tuple[Piece, ...]
    """What comes before the first speech token."""
    minimum: int
    """Drawn before this many tokens, an end is no choice."""
    draws: Tensor
    """Two uniform numbers for each token that it may have, (n, 2) float32 in [0, 1), on the host."""


class Drawn:
    """The ids of one step, on their way to the host."""

    def __init__(self, ids: Tensor, num_slots: int) -> None:
        self._download = Download(ids)
        self._num_slots = num_slots

    def ids(self) -> list[int]:
        """One for each slot of the step, special ids and ``UNREADABLE`` among them. Waits for the device."""
        ids: list[int] = self._download.wait().tolist()
        return ids[: self._num_slots]


@dataclass(slots=True)
class _Reader:
    """What the host knows of a slot."""

    unread: Tensor  # (N, D)
    position: int = 0
    """Of the next token to be fed."""


class Decoder:
    """Speech tokens of many sequences at once, a slot each: read as they arrive, decoded all together.

    A step is a function of slot numbers, and what it draws for a sequence depends on nobody beside it: on a CPU, with
    keys and values in bfloat16, not even the last bit of a logit does. It asks the device for nothing. Padded, it comes
    in few sizes, each of which can be recorded: rows are filled up with a slot that is nobody's, lengths rounded up.

    Nothing is done at an end: its id comes out like any other, and it is for the caller to stop. To go on for a step or
    two does no harm, and neither does whatever a slot's last owner has left there.

    Shapes: B rows of a step, S slots and the one that is nobody's, D hidden size, W ids back, C capacity.
    """

    def __init__(
        self,
        lm: SpeechLM,
        config: SpeechLMConfig,
        num_slots: int,
        capacity: int,
        *,
        dtype: torch.dtype,
        padded: bool | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """``capacity`` is the most positions of a sequence, prompt and tokens; ``dtype`` that of keys and values.

        ``padded`` steps and prefills are for a GPU and the default there; a CPU does as well with no padding.
        """
        self.num_slots, self.capacity = num_slots, capacity
        self._lm, self._config = lm, config
        device = lm.speech_embedding.weight.device
        self._device = device
        self._is_padded = device.type == "cuda" if padded is None else padded
        num_rows, nobodys = num_slots + 1, num_slots
        self._nobodys = nobodys
        room = _rounded_up(capacity, _PADDED_LENGTHS)
        self._cache = KVCache(config.body, num_rows, room, device=device, dtype=dtype)
        self._readers = [_Reader(torch.empty(0, config.body.hidden_size)) for _ in range(num_slots)]
        self._no_end = no_end(lm.ids, device)  # (V,), may not be drawn

        def of_slots(*shape: int, dtype: torch.dtype = torch.long) -> Tensor:
            return torch.zeros(num_rows, *shape, device=device, dtype=dtype)

        self._next = of_slots(config.body.hidden_size, dtype=torch.float32)  # (S, D), what is fed in the next step
        self._positions = of_slots()  # (S,), where
        self._recent = of_slots(config.sampling.window_size)  # (S, W)
        self._num_drawn = of_slots()
        self._minimums = of_slots()
        self._draws = of_slots(room, 2, dtype=torch.float32)  # (S, C, 2)
        self._recorded = Recorded(self._step, recorder)

    @staticmethod
    def bytes_per_slot(config: SpeechLMConfig, capacity: int, dtype: torch.dtype) -> int:
        """Of keys and values, and of the draws."""
        body = config.body
        keys = body.num_layers * body.num_kv_heads * body.head_size * dtype.itemsize
        return _rounded_up(capacity, _PADDED_LENGTHS) * (2 * keys + 2 * torch.float32.itemsize)

    def arrive(self, arrival: Arrival) -> None:
        """Let a sequence take over a slot, all of it unread."""
        slot, num_draws = arrival.slot, len(arrival.draws)
        embedded = self._lm.embed(arrival.pieces).float()
        assert 0 <= slot < self.num_slots, "no such slot"
        assert len(embedded) + num_draws - 1 <= self.capacity, "more positions than a slot has room for"
        # The last position is fed in the first step, as each token is in the step that draws the one after it.
        self._readers[slot] = _Reader(embedded[:-1])
        self._next[slot] = embedded[-1]
        self._positions[slot].fill_(0)  # to assign a number would wait for the device
        self._recent[slot].fill_(NOTHING)
        self._num_drawn[slot].fill_(0)
        self._minimums[slot].fill_(arrival.minimum)
        self._draws[slot, :num_draws] = send(arrival.draws, self._device)

    def unread(self, slot: int) -> int:
        """Positions that are still to be read before the sequence can be decoded."""
        return len(self._readers[slot].unread)

    def prefill(self, readings: Mapping[int, int]) -> None:
        """Read on: of each slot so many positions, or all that are left. Padded, it is one batch."""
        slots = [slot for slot, most in readings.items() if min(most, self.unread(slot)) > 0]
        for batch in [slots] if self._is_padded else [[slot] for slot in slots]:
            if batch:
                self._read([(slot, min(readings[slot], self.unread(slot))) for slot in batch])

    def _read(self, pieces: Sequence[tuple[int, int]]) -> None:
        """One batch of so many positions each."""
        readers = [self._readers[slot] for slot, _ in pieces]
        x = torch.nn.utils.rnn.pad_sequence(
            [reader.unread[:size] for reader, (_, size) in zip(readers, pieces, strict=True)], batch_first=True
        )  # (B, N, D)
        slots = upload([slot for slot, _ in pieces], torch.long, self._device)
        starts = upload([reader.position for reader in readers], torch.long, self._device)
        for reader, (slot, size) in zip(readers, pieces, strict=True):
            reader.unread = reader.unread[size:]
            reader.position += size
            self._positions[slot].fill_(reader.position)
        longest = max(reader.position for reader in readers)
        self._lm.body(x, self._cache, slots, starts, self._length(longest))

    def step(self, slots: Sequence[int]) -> Drawn:
        """Draw one token more of each of ``slots``, all of which are read."""
        assert slots, "nobody to draw for"
        assert not any(self.unread(slot) for slot in slots), "not all is read yet"
        readers = [self._readers[slot] for slot in slots]
        longest = max(reader.position for reader in readers) + 1
        for reader in readers:
            reader.position = min(reader.position + 1, self.capacity - 1)
        padding = [self._nobodys] * (self._num_rows(len(slots)) - len(slots))
        rows = upload([*slots, *padding], torch.long, self._device)
        return Drawn(self._recorded(rows, self._length(longest)), len(slots))

    def _num_rows(self, num_slots: int) -> int:
        return max(_FEWEST_ROWS, 1 << (num_slots - 1).bit_length()) if self._is_padded else num_slots

    def _length(self, longest: int) -> int:
        return _rounded_up(longest, _PADDED_LENGTHS if self._is_padded else _LENGTHS)

    def sizes(self) -> list[tuple[int, int]]:
        """Rows and length of all padded steps that there can be, the largest first."""
        most = max(_FEWEST_ROWS, 1 << (self.num_slots - 1).bit_length())
        counts = [1 << i for i in reversed(range(1, most.bit_length()))]
        lengths = range(self._cache.capacity, 0, -_PADDED_LENGTHS)
        return [(count, length) for count in counts for length in lengths]

    def record(self, num_rows: int, length: int) -> None:
        """Record the padded step of this size, where there is a recorder. Waits for the device."""
        self._recorded.record(torch.full((num_rows,), self._nobodys, device=self._device), length)

    def _step(self, slots: Tensor, longest: int) -> Tensor:
        """Feed what is next of ``slots`` (B,) and draw what follows it: ids (B,). All on the device, in place."""
        positions, num_drawn, recent = self._positions[slots], self._num_drawn[slots], self._recent[slots]
        hidden = self._lm.body(self._next[slots][:, None], self._cache, slots, positions, longest)[:, 0]  # (B, D)
        logits = self._lm.logits(hidden)  # (B, V)
        is_readable = logits.isfinite().all(-1)
        logits = logits.masked_fill(~is_readable[:, None], 0)
        forbidden = (num_drawn < self._minimums[slots])[:, None] & self._no_end
        draws = self._draws[slots, num_drawn]  # (B, 2)
        ids = sample(logits, recent, forbidden, draws, self._config.sampling)
        self._next[slots] = self._lm.speech_embedding(ids).float()
        self._positions[slots] = (positions + 1).clamp(max=self.capacity - 1)
        self._num_drawn[slots] = (num_drawn + 1).clamp(max=self.capacity - 1)
        self._recent[slots] = remember(recent, ids)
        return torch.where(is_readable, ids, UNREADABLE)


def _rounded_up(number: int, unit: int) -> int:
    return -(-number // unit) * unit
