"""Interleaved text and speech: the blocks, whatever the timing, and the end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.models.cosyvoice.bistream import Draw, Feed, Idle, Interleaver
from cosystream.models.cosyvoice.speech_lm import SOS, TASK, Kind, Piece, SpecialIds

EOS, FILL, OTHER = 100, 102, 101
IDS = SpecialIds(num_speech=100, num_ids=103, eos=EOS, fill=FILL, sos=0, task=1)
RATIO = (5, 15)


def text(*ids: int) -> Piece:
    return Piece(Kind.TEXT, ids)


def speech(*ids: int) -> Piece:
    return Piece(Kind.SPEECH, ids)


def interleaver(
    prompt_text: Sequence[int] = (), prompt_speech: Sequence[int] = (), instruction: Sequence[int] = ()
) -> Interleaver:
    return Interleaver(IDS, RATIO, prompt_text=prompt_text, prompt_speech=prompt_speech, instruction=instruction)


@dataclass
class Told:
    """What an interleaver wanted, and what was drawn for it."""

    feeds: list[Feed] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)

    def run(self, one: Interleaver, draw: Callable[[int], int]) -> Idle:
        """Feed until there is nothing to feed; ``draw`` says what the n-th draw gives."""
        while isinstance(feed := one.next(), Feed):
            self.feeds.append(feed)
            if feed.draw is Draw.NOTHING:
                self.drawn.append(FILL)
                continue
            self.drawn.append(draw(len(self.drawn)))
            one.drew(self.drawn[-1])
        return feed

    @property
    def pieces(self) -> list[Piece]:
        return [piece for feed in self.feeds for piece in feed.pieces]


def spoken(n: int) -> int:
    return n % 100


def test_speech_waits_for_a_block_of_text() -> None:
    one = interleaver()
    one.add_text([1, 2, 3, 4])
    assert one.next() is Idle.WAITING
    one.add_text([5, 6])
    assert one.next() == Feed((SOS, text(1, 2, 3, 4, 5)), Draw.SPEECH_OR_FILL)


def test_an_instruction_is_fed_first_and_is_no_block_of_text() -> None:
    one = interleaver(instruction=[8, 9])
    one.add_text([1])
    assert one.next() is Idle.WAITING
    one.add_text([2, 3, 4, 5])
    assert one.next() == Feed((SOS, text(8, 9), text(1, 2, 3, 4, 5)), Draw.SPEECH_OR_FILL)


def test_a_block_of_speech_is_filled_up_and_then_text_follows() -> None:
    one, told = interleaver(), Told()
    one.add_text([1, 2, 3, 4, 5, 6])
    assert told.run(one, spoken) is Idle.WAITING
    assert told.drawn == [*range(15), FILL]
    assert [feed.pieces for feed in told.feeds[1:]] == [(speech(n),) for n in range(15)]
    assert told.feeds[-1].draw is Draw.NOTHING
    one.add_text([7, 8, 9, 10])
    assert one.next() == Feed((text(6, 7, 8, 9, 10),), Draw.SPEECH_OR_FILL)


def test_a_fill_that_is_drawn_ends_a_block_early_and_the_next_has_its_full_length() -> None:
    one, told = interleaver(), Told()
    one.add_text(range(10))
    assert told.run(one, lambda n: FILL if n == 4 else spoken(n)) is Idle.WAITING
    assert [n for n, token in enumerate(told.drawn) if token == FILL] == [4, 20]


def test_the_prompt_goes_in_blocks_and_the_last_one_is_completed() -> None:
    one, told = interleaver(prompt_text=[1, 2, 3, 4, 5, 6, 7], prompt_speech=range(20)), Told()
    assert one.next() is Idle.WAITING
    one.add_text([8, 9])
    assert one.next() is Idle.WAITING
    one.add_text([10, 11])
    assert told.run(one, spoken) is Idle.WAITING
    first = (SOS, text(1, 2, 3, 4, 5), speech(*range(15)), text(6, 7, 8, 9, 10), speech(*range(15, 20)))
    assert told.feeds[0].pieces == first
    assert told.drawn == [*range(10), FILL]


@pytest.mark.parametrize("ending", [EOS, OTHER, FILL])
def test_after_the_last_text_any_special_id_ends_the_speech(ending: int) -> None:
    one, told = interleaver(), Told()
    one.add_text([1, 2, 3])
    one.end_text()
    assert told.run(one, lambda n: ending if n == 4 else n) is Idle.ENDED
    assert told.feeds[0] == Feed((SOS, text(1, 2, 3), TASK), Draw.SPEECH_OR_END)
    assert told.drawn == [0, 1, 2, 3, ending]


def test_after_a_block_the_rest_of_the_text_follows_its_last_speech_token_once_more() -> None:
    one, told = interleaver(), Told()
    one.add_text([1, 2, 3, 4, 5, 6])
    told.run(one, spoken)
    one.end_text()
    assert one.next() == Feed((speech(14), text(6), TASK), Draw.SPEECH_OR_END)


def test_after_a_block_without_speech_nothing_is_fed_once_more() -> None:
    one, told = interleaver(), Told()
    one.add_text(range(10))
    told.run(one, lambda n: FILL if n == 16 else spoken(n))
    assert told.drawn[-2:] == [FILL, FILL]
    one.end_text()
    assert one.next() == Feed((text(), TASK), Draw.SPEECH_OR_END)


def test_a_text_too_short_for_the_prompt_drops_the_rest_of_the_prompts_speech() -> None:
    one = interleaver(prompt_text=[1, 2, 3, 4], prompt_speech=range(40))
    one.add_text([5, 6])
    one.end_text()
    expected = (SOS, text(1, 2, 3, 4, 5), speech(*range(15)), text(6), TASK)
    assert one.next() == Feed(expected, Draw.SPEECH_OR_END)


def test_speech_without_end_is_ended() -> None:
    one, told = interleaver(), Told()
    one.add_text(range(7))
    one.end_text()
    assert told.run(one, spoken) is Idle.ENDED
    assert sum(token < 100 for token in told.drawn) == 20 * 7


def test_no_text_is_no_speech() -> None:
    one = interleaver(prompt_text=[1, 2], prompt_speech=range(20))
    one.end_text()
    assert one.next() is Idle.ENDED


@given(
    prompt_text=st.integers(0, 12),
    prompt_speech=st.integers(0, 50),
    length=st.integers(1, 40),
    cuts=st.lists(st.integers(0, 40), max_size=6),
    fills=st.sets(st.integers(0, 60)),
    end=st.integers(0, 200),
)
def test_what_is_fed_depends_not_on_how_the_text_came_and_all_of_it_is_fed(
    prompt_text: int, prompt_speech: int, length: int, cuts: list[int], fills: set[int], end: int
) -> None:
    texts = list(range(100, 100 + length))
    prompt, spoken_before = list(range(prompt_text)), list(range(prompt_speech))

    def draw(told: Told) -> Callable[[int], int]:
        def one(n: int) -> int:
            ending = told.feeds[-1].draw is Draw.SPEECH_OR_END
            return FILL if n in fills and not ending else EOS if ending and n >= end else spoken(n)

        return one

    def run(bounds: list[int]) -> Told:
        one, told = interleaver(prompt, spoken_before), Told()
        for start, stop in zip([0, *bounds], [*bounds, length], strict=True):
            one.add_text(texts[start:stop])
            assert told.run(one, draw(told)) is Idle.WAITING
        one.end_text()
        assert told.run(one, draw(told)) is Idle.ENDED
        return told

    at_once, in_pieces = run([]), run(sorted(min(cut, length) for cut in cuts))
    assert at_once == in_pieces
    fed = [token for piece in at_once.pieces if piece.kind is Kind.TEXT for token in piece.ids]
    assert fed == prompt + texts
    assert at_once.pieces.count(SOS) == at_once.pieces.count(TASK) == 1
    blocks = " ".join(str(token) for token in at_once.drawn).split(str(FILL))
    assert all(len(block.split()) <= 15 for block in blocks[:-1])
