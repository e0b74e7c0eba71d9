"""Speech from a text still being written: blocks of text and of speech in turn, as the language model was trained."""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from cosystream.models.cosyvoice.speech_lm import SOS, TASK, Kind, Piece, SpecialIds, speech_length


class Draw(Enum):
    """What is drawn after a feed."""

    NOTHING = auto()
    """The block is full: a fill follows, whatever the model thinks."""
    SPEECH_OR_FILL = auto()
    """A fill ends the block; nothing may end the speech, for there may be more text."""
    SPEECH_OR_END = auto()


@dataclass(frozen=True, slots=True)
class Feed:
    """What the language model is fed with next, in one pass, and what is then drawn from its logits."""

    pieces: tuple[Piece, ...]
    draw: Draw


class Idle(Enum):
    """Why there is nothing to feed."""

    WAITING = auto()
    """For more text, or for its end."""
    ENDED = auto()


class _Phase(Enum):
    READING = auto()
    """Text is gathered for a block."""
    SPEAKING = auto()
    """A block is spoken, up to a fill."""
    FINISHING = auto()
    """All text has been fed."""
    ENDED = auto()


class Interleaver:
    """Decides what one sequence is fed with; the caller feeds, draws, and says what it drew.

    ``next`` gives a feed; unless it says to draw ``NOTHING``, ``drew`` must follow before the next ``next``. Ids that
    are speech are to be spoken. The window of the sampler holds the fills too, forced ones included.

    Text is looked at token by token, in order, so that the speech does not depend on how or when the text came. The
    instruction (v3's prompt text up to its end mark) is fed ahead of the blocks.

    Departs from the reference where that one stumbles. No speech is decoded before a block of text is there, where the
    reference takes the instruction for one. Within a block nothing but a fill may end it, where in v3 the reference
    dies of an end. At the end any special id ends the speech, where the reference dies of all but one; and its length
    is bounded. A block without speech is not fed twice (see ``_finish``).
    """

    def __init__(
        self,
        ids: SpecialIds,
        mix_ratio: tuple[int, int],
        *,
        prompt_text: Sequence[int] = (),
        prompt_speech: Sequence[int] = (),
        instruction: Sequence[int] = (),
    ) -> None:
        self._ids = ids
        self._text_block, self._speech_block = mix_ratio
        self._incoming: deque[int] = deque()
        self._text = list(prompt_text)  # looked at, not fed
        self._prompt_speech = list(prompt_speech)  # not fed
        self._input: list[Piece] = [SOS, Piece(Kind.TEXT, tuple(instruction))] if instruction else [SOS]
        self._spoken_last: list[Piece] = []  # in this block
        self._phase = _Phase.READING
        self._wants_block = True  # of text, before anything is spoken
        self._text_ended = False
        self._draw_is_due = False
        self._num_text = self._num_spoken = self._num_drawn = 0
        # The prompt's last block, if not full, is completed first.
        self._next_fill = self._speech_block - len(prompt_speech) % self._speech_block

    def add_text(self, ids: Iterable[int]) -> None:
        assert not self._text_ended, "text after its end"
        before = len(self._incoming)
        self._incoming.extend(ids)
        self._num_text += len(self._incoming) - before

    def end_text(self) -> None:
        self._text_ended = True

    def next(self) -> Feed | Idle:
        """What to do now. May be asked again after text has come, if it was to wait."""
        assert not self._draw_is_due, "what was drawn has not been said"
        if self._phase is _Phase.READING:
            self._read()
        if self._phase is _Phase.READING:
            return Idle.WAITING
        if self._phase is _Phase.ENDED:
            return Idle.ENDED
        pieces, self._input = tuple(self._input), []
        if self._phase is _Phase.FINISHING:
            self._draw_is_due = True
            return Feed(pieces, Draw.SPEECH_OR_END)
        if self._num_drawn == self._next_fill:
            self._fill()
            return Feed(pieces, Draw.NOTHING)
        self._draw_is_due = True
        return Feed(pieces, Draw.SPEECH_OR_FILL)

    def drew(self, token: int) -> None:
        """Take what was drawn after the last feed."""
        assert self._draw_is_due, "nothing was to be drawn"
        self._draw_is_due = False
        if self._phase is _Phase.SPEAKING and token == self._ids.fill:
            self._fill()
        elif self._ids.is_speech(token):
            self._num_drawn += 1
            self._num_spoken += 1
            self._input = [Piece(Kind.SPEECH, (token,))]
            self._spoken_last = self._input
            self._end_if_too_long()
        else:
            assert self._phase is _Phase.FINISHING, f"{token} may not end a block"
            self._phase = _Phase.ENDED

    def _fill(self) -> None:
        """End the block. The fill itself is not fed: the next text follows upon the last speech token."""
        self._next_fill = self._num_drawn + self._speech_block + 1
        self._num_drawn += 1
        self._wants_block = True
        self._phase = _Phase.READING

    def _read(self) -> None:
        """Look at the text that has come until something is to be spoken."""
        while self._incoming:
            self._text.append(self._incoming.popleft())
            while self._prompt_speech and len(self._text) >= self._text_block:
                self._input += [self._block_of_text(), self._block_of_prompt()]
            if self._prompt_speech:
                continue
            if self._wants_block:
                if len(self._text) < self._text_block:
                    continue
                self._input.append(self._block_of_text())
            self._spoken_last = []
            self._phase = _Phase.SPEAKING
            return
        if self._text_ended:
            self._finish()

    def _finish(self) -> None:
        """Feed what is left of the text. As in the reference, prompt speech without text to go with is dropped."""
        # As the reference does, the last speech token of the block before is fed a second time. (Where a block has
        # none, it feeds all of that block's text a second time: that is left out.)
        self._input = [*self._spoken_last, *self._input, Piece(Kind.TEXT, tuple(self._text)), TASK]
        self._phase = _Phase.FINISHING
        self._end_if_too_long()

    def _end_if_too_long(self) -> None:
        """Blocks are bounded by their fills; what follows the text is by the reference's limit for a whole text."""
        if self._phase is _Phase.FINISHING and self._num_spoken >= speech_length(self._num_text).maximum:
            self._phase = _Phase.ENDED

    def _block_of_text(self) -> Piece:
        self._wants_block = False
        block, self._text = self._text[: self._text_block], self._text[self._text_block :]
        return Piece(Kind.TEXT, tuple(block))

    def _block_of_prompt(self) -> Piece:
        block = self._prompt_speech[: self._speech_block]
        self._prompt_speech = self._prompt_speech[self._speech_block :]
        return Piece(Kind.SPEECH, tuple(block))
