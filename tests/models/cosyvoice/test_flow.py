"""Tokens to mel in pieces: what one solve of the whole gives, whatever happens in between."""

from itertools import pairwise

import pytest
import torch

from cosystream.models.cosyvoice.flow import Flow, FlowPrompt
from cosystream.models.cosyvoice.solver import MAX_FRAMES
from tests.models.cosyvoice.flows import (
    LOOKAHEAD,
    MELS,
    V2,
    V3,
    VOCABULARY,
    Lender,
    assert_same,
    create_flow,
    pieces_of,
    prompt_of,
    solved,
    tokens_of,
)


@pytest.fixture(scope="module", params=[V2, V3], ids=["v2", "v3"])
def flow(request: pytest.FixtureRequest) -> Flow:
    return create_flow(request.param)


@pytest.mark.parametrize(
    ("num_prompt", "hops", "num_last"),
    [
        (0, [25, 50, 100], 13),
        (0, [25], 60),
        (25, [25, 25, 50], 1),
        (33, [42, 50], 26),
        (33, [17, 100, 25], 25),
        (7, [18, 25], 0),
        (75, [50, 25], 40),
        (60, [], 5),
    ],
)
def test_pieces_are_what_the_whole_is(flow: Flow, num_prompt: int, hops: list[int], num_last: int) -> None:
    prompt = prompt_of(num_prompt)
    cuts = torch.tensor(hops).cumsum(0).tolist()
    tokens = tokens_of(sum(hops) + LOOKAHEAD + num_last)
    whole = flow.whole(prompt, tokens, final=True, streaming=True)
    assert len(whole) == 2 * len(tokens)
    assert_same(pieces_of(flow, prompt, tokens, cuts), whole)


@pytest.mark.parametrize("num_last", [0, 1, 22, 47, 60])
def test_the_last_piece_may_have_any_length(flow: Flow, num_last: int) -> None:
    prompt, tokens = prompt_of(10), tokens_of(15 + LOOKAHEAD + num_last)
    whole = flow.whole(prompt, tokens, final=True, streaming=True)
    assert_same(pieces_of(flow, prompt, tokens, [15]), whole)


@pytest.mark.parametrize("num_frames", [44, 50, 55])
def test_a_prompt_s_mel_need_not_match_its_tokens(flow: Flow, num_frames: int) -> None:
    prompt, tokens = prompt_of(25, num_frames), tokens_of(60)
    whole = flow.whole(prompt, tokens, final=True, streaming=True)
    assert len(whole) == 2 * (25 + 60) - num_frames
    assert_same(pieces_of(flow, prompt, tokens, [25]), whole)


def test_a_piece_is_what_the_whole_without_later_tokens_is(flow: Flow) -> None:
    prompt, tokens = prompt_of(33), tokens_of(100)
    first = pieces_of(flow, prompt, tokens, [42])[0]
    whole = flow.whole(prompt, tokens[: 42 + LOOKAHEAD], final=False, streaming=True)
    assert_same([first], whole)


@pytest.mark.parametrize(
    ("num_prompt", "most", "num_solved"), [(53, 50, 50), (52, 50, 0), (90, 25, 75), (120, 50, 100)]
)
def test_a_prompt_can_be_solved_before_there_are_tokens(
    flow: Flow, num_prompt: int, most: int, num_solved: int
) -> None:
    prompt, tokens, lender = prompt_of(num_prompt), tokens_of(40), Lender(flow)
    state = lender.begin(prompt)
    nothing = torch.zeros(0, MELS)
    while piece := flow.start_prompt(state, most):
        lender.lend(state, most)
        nothing = lender.finish(piece)
        assert nothing.shape == (0, MELS)
    assert state.num_tokens == num_solved
    rest = lender.finish(lender.start(state, tokens, final=True))
    assert_same([nothing, rest], flow.whole(prompt, tokens, final=True, streaming=True))


def test_without_streaming_a_frame_sees_all_that_follow(flow: Flow) -> None:
    prompt, tokens = prompt_of(25), tokens_of(60)
    changed = tokens.clone()
    changed[-1] = (changed[-1] + 1) % VOCABULARY
    for streaming in (True, False):
        mel, other = (flow.whole(prompt, t, final=True, streaming=streaming) for t in (tokens, changed))
        assert torch.equal(mel[:50], other[:50]) == streaming


def test_a_provisional_piece_leaves_no_trace(flow: Flow) -> None:
    prompt, tokens, lender = prompt_of(33), tokens_of(80), Lender(flow)
    undisturbed = pieces_of(flow, prompt, tokens, [17, 42])
    state, pieces = lender.begin(prompt), []
    for start, end in pairwise([0, 17, 42, 80]):
        lender.finish(lender.start(state, tokens_of(11, seed=9), final=False), commit=False)
        assert state.num_tokens == (33 + start if start else 0)
        final = end == 80
        pieces.append(
            lender.finish(lender.start(state, tokens[start : end if final else end + LOOKAHEAD], final=final))
        )
    for piece, expected in zip(pieces, undisturbed, strict=True):
        torch.testing.assert_close(piece, expected, rtol=0, atol=1e-5)


def test_a_provisional_piece_is_what_the_whole_that_ends_with_it_is(flow: Flow) -> None:
    prompt, tokens, lender = prompt_of(25), tokens_of(25 + 8 + LOOKAHEAD), Lender(flow)
    state = lender.begin(prompt)
    first = lender.finish(lender.start(state, tokens[: 25 + LOOKAHEAD], final=False))
    second = lender.finish(lender.start(state, tokens[25:], final=False), commit=False)
    assert len(second) == 2 * 8
    assert_same([first, second], flow.whole(prompt, tokens, final=False, streaming=True))


def test_a_piece_that_ends_inside_a_block_is_not_committed(flow: Flow) -> None:
    lender = Lender(flow)
    state = lender.begin(prompt_of(10))
    solve = solved(flow, lender.start(state, tokens_of(14 + LOOKAHEAD), final=False))
    with pytest.raises(ValueError, match="inside a block"):
        flow.finish(solve)
    assert state.num_tokens == 0


def test_a_block_without_a_page_is_not_solved(flow: Flow) -> None:
    state = Lender(flow).begin(prompt_of(25))
    solve = flow.start(state, tokens_of(28), final=False)
    state.pages.append(0)  # of two
    with pytest.raises(AssertionError, match="no page"):
        flow.euler_step([solve])


def test_ids_below_0_are_read_as_0(flow: Flow) -> None:
    prompt, tokens = prompt_of(5), tokens_of(10)
    tokens[4] = -1
    mel = flow.whole(prompt, tokens, final=True, streaming=True)
    assert torch.equal(mel, flow.whole(prompt, tokens.clamp(min=0), final=True, streaming=True))


def test_the_loudness_of_an_embedding_says_nothing(flow: Flow) -> None:
    prompt = prompt_of(5)
    scaled = FlowPrompt(prompt.tokens, prompt.mel, 7 * prompt.embedding)
    other = FlowPrompt(prompt.tokens, prompt.mel, -prompt.embedding)
    spks, scaled_spks, other_spks = (Lender(flow).begin(p).spks for p in (prompt, scaled, other))
    torch.testing.assert_close(scaled_spks, spks)
    assert not torch.allclose(other_spks, spks)


def test_lookahead_alone_is_too_little_to_speak(flow: Flow) -> None:
    state = Lender(flow).begin(prompt_of(0))
    with pytest.raises(ValueError, match="3 tokens: too few"):
        flow.start(state, tokens_of(LOOKAHEAD), final=False)
    with pytest.raises(ValueError, match="0 tokens: too few"):
        flow.start(state, tokens_of(0), final=True)


def test_a_sequence_beyond_the_noise_is_refused(flow: Flow) -> None:
    with pytest.raises(ValueError, match="15002 mel frames"):
        flow.start(Lender(flow).begin(prompt_of(1)), tokens_of(MAX_FRAMES // 2), final=True)
