"""Tokens to mel in pieces: what one solve of the whole gives, whatever happens in between."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import (
    ConformerConfig,
    DiTConfig,
    FlowConfig,
    LookaheadConfig,
    UNetConfig,
    Version,
)
from cosystream.models.cosyvoice.flow import Flow, FlowPrompt, FlowState, Solve
from cosystream.models.cosyvoice.solver import MAX_FRAMES, NUM_STEPS

MELS, CHUNK, LOOKAHEAD, VOCABULARY, SPEAKER = 80, 25, 3, 40, 12
V2 = FlowConfig(
    version=Version.V2,
    vocab_size=VOCABULARY,
    input_size=16,
    output_size=MELS,
    spk_embed_dim=SPEAKER,
    token_mel_ratio=2,
    lookahead=LOOKAHEAD,
    chunk_size=CHUNK,
    cfg_rate=0.7,
    encoder=ConformerConfig(input_size=16, output_size=16, num_heads=2, linear_units=32, num_blocks=1),
    estimator=UNetConfig(
        in_channels=4 * MELS, out_channels=MELS, channels=16, num_blocks=1, num_mid_blocks=1, num_heads=2, head_size=8
    ),
)
V3 = FlowConfig(
    version=Version.V3,
    vocab_size=VOCABULARY,
    input_size=MELS,
    output_size=MELS,
    spk_embed_dim=SPEAKER,
    token_mel_ratio=2,
    lookahead=LOOKAHEAD,
    chunk_size=CHUNK,
    cfg_rate=0.7,
    encoder=LookaheadConfig(in_channels=MELS, channels=16),
    estimator=DiTConfig(
        dim=16, depth=2, num_heads=2, head_size=8, ff_mult=2, mel_dim=MELS, mu_dim=MELS, spk_dim=MELS, out_channels=MELS
    ),
)


@pytest.fixture(scope="module", params=[V2, V3], ids=["v2", "v3"])
def flow(request: pytest.FixtureRequest) -> Flow:
    flow = Flow(request.param)
    generator = torch.Generator().manual_seed(0)
    for parameter in flow.parameters():
        scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.3
        torch.nn.init.normal_(parameter, std=scale, generator=generator)
    return flow.requires_grad_(requires_grad=False).eval()


def tokens_of(count: int, seed: int = 1) -> Tensor:
    return torch.randint(VOCABULARY, (count,), generator=torch.Generator().manual_seed(seed))


def prompt_of(num_tokens: int, num_frames: int | None = None) -> FlowPrompt:
    generator = torch.Generator().manual_seed(2)
    frames = 2 * num_tokens if num_frames is None else num_frames
    mel = torch.randn(frames, MELS, generator=generator)
    return FlowPrompt(tokens_of(num_tokens, 3), mel, torch.randn(SPEAKER, generator=generator))


def solved(flow: Flow, solve: Solve) -> Solve:
    while not solve.done:
        flow.euler_step(solve)
    return solve


def spoil_unused(state: FlowState) -> None:
    """Nobody may read what is kept beyond the committed frames."""
    for past in (*state.pasts, state.encoder.tokens, state.encoder.frames):
        for buffers in past._attended.values():
            for buffer in buffers:
                buffer[:, :, past.num_frames :] = torch.nan


def pieces_of(flow: Flow, prompt: FlowPrompt, tokens: Tensor, cuts: list[int]) -> list[Tensor]:
    """Mel of each piece; ``cuts`` are the generated tokens spoken by then, the last piece is final."""
    state, pieces = flow.begin(prompt), []
    for start, end in pairwise([0, *cuts, len(tokens)]):
        final = end == len(tokens)
        solve = flow.start(state, tokens[start : end if final else end + LOOKAHEAD], final=final)
        pieces.append(flow.finish(solved(flow, solve)))
        spoil_unused(state)
    return pieces


def assert_same(pieces: list[Tensor], whole: Tensor) -> None:
    """To 1e-5 of the whole's size, and piece by piece."""
    assert sum(len(piece) for piece in pieces) == len(whole)
    for piece, expected in zip(pieces, torch.split(whole, [len(piece) for piece in pieces]), strict=True):
        torch.testing.assert_close(piece, expected, rtol=0, atol=1e-5 * whole.abs().max().item())


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
    prompt, tokens = prompt_of(num_prompt), tokens_of(40)
    state = flow.begin(prompt)
    nothing = torch.zeros(0, MELS)
    while piece := flow.start_prompt(state, most):
        nothing = flow.finish(solved(flow, piece))
        assert nothing.shape == (0, MELS)
    assert state.num_tokens == num_solved
    rest = flow.finish(solved(flow, flow.start(state, tokens, final=True)))
    assert_same([nothing, rest], flow.whole(prompt, tokens, final=True, streaming=True))


def test_without_streaming_a_frame_sees_all_that_follow(flow: Flow) -> None:
    prompt, tokens = prompt_of(25), tokens_of(60)
    changed = tokens.clone()
    changed[-1] = (changed[-1] + 1) % VOCABULARY
    for streaming in (True, False):
        mel, other = (flow.whole(prompt, t, final=True, streaming=streaming) for t in (tokens, changed))
        assert torch.equal(mel[:50], other[:50]) == streaming


def test_a_provisional_piece_leaves_no_trace(flow: Flow) -> None:
    prompt, tokens = prompt_of(33), tokens_of(80)
    undisturbed = pieces_of(flow, prompt, tokens, [17, 42])
    state, pieces = flow.begin(prompt), []
    for start, end in pairwise([0, 17, 42, 80]):
        provisional = solved(flow, flow.start(state, tokens_of(11, seed=9), final=False))
        flow.finish(provisional, commit=False)
        spoil_unused(state)
        assert state.num_tokens == (33 + start if start else 0)
        final = end == 80
        solve = flow.start(state, tokens[start : end if final else end + LOOKAHEAD], final=final)
        pieces.append(flow.finish(solved(flow, solve)))
    for piece, expected in zip(pieces, undisturbed, strict=True):
        torch.testing.assert_close(piece, expected, rtol=0, atol=1e-5)


def test_a_provisional_piece_is_what_the_whole_that_ends_with_it_is(flow: Flow) -> None:
    prompt, tokens = prompt_of(25), tokens_of(25 + 8 + LOOKAHEAD)
    state = flow.begin(prompt)
    first = flow.finish(solved(flow, flow.start(state, tokens[: 25 + LOOKAHEAD], final=False)))
    second = flow.finish(solved(flow, flow.start(state, tokens[25:], final=False)), commit=False)
    assert len(second) == 2 * 8
    assert_same([first, second], flow.whole(prompt, tokens, final=False, streaming=True))


def test_a_piece_that_ends_inside_a_block_is_not_committed(flow: Flow) -> None:
    state = flow.begin(prompt_of(10))
    solve = solved(flow, flow.start(state, tokens_of(14 + LOOKAHEAD), final=False))
    with pytest.raises(ValueError, match="inside a block"):
        flow.finish(solve)
    assert state.num_tokens == 0


def test_two_sequences_taking_turns_do_not_disturb_each_other(flow: Flow) -> None:
    prompts, tokens = (prompt_of(25), prompt_of(10)), (tokens_of(70), tokens_of(55, seed=5))
    cuts = ([25], [15])
    alone = [pieces_of(flow, *each) for each in zip(prompts, tokens, cuts, strict=True)]
    states = [flow.begin(prompt) for prompt in prompts]
    for piece in range(2):
        final = piece == 1
        solves = [
            flow.start(state, t[cut[0] :] if final else t[: cut[0] + LOOKAHEAD], final=final)
            for state, t, cut in zip(states, tokens, cuts, strict=True)
        ]
        for _ in range(NUM_STEPS):
            for solve in solves:
                flow.euler_step(solve)
        for i, solve in enumerate(solves):
            assert solve.done
            assert torch.equal(flow.finish(solve), alone[i][piece])


def test_ids_below_0_are_read_as_0(flow: Flow) -> None:
    prompt, tokens = prompt_of(5), tokens_of(10)
    tokens[4] = -1
    mel = flow.whole(prompt, tokens, final=True, streaming=True)
    assert torch.equal(mel, flow.whole(prompt, tokens.clamp(min=0), final=True, streaming=True))


def test_the_loudness_of_an_embedding_says_nothing(flow: Flow) -> None:
    prompt = prompt_of(5)
    scaled = FlowPrompt(prompt.tokens, prompt.mel, 7 * prompt.embedding)
    torch.testing.assert_close(flow.begin(scaled).spks, flow.begin(prompt).spks)
    other = FlowPrompt(prompt.tokens, prompt.mel, -prompt.embedding)
    assert not torch.allclose(flow.begin(other).spks, flow.begin(prompt).spks)


def test_lookahead_alone_is_too_little_to_speak(flow: Flow) -> None:
    state = flow.begin(prompt_of(0))
    with pytest.raises(ValueError, match="3 tokens: too few"):
        flow.start(state, tokens_of(LOOKAHEAD), final=False)
    with pytest.raises(ValueError, match="0 tokens: too few"):
        flow.start(state, tokens_of(0), final=True)


def test_a_sequence_beyond_the_noise_is_refused(flow: Flow) -> None:
    with pytest.raises(ValueError, match="15002 mel frames"):
        flow.start(flow.begin(prompt_of(1)), tokens_of(MAX_FRAMES // 2), final=True)
