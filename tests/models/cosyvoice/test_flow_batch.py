"""Many sequences in one batch: what each of them gives alone, attending side by side or padded."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import FlowConfig
from cosystream.models.cosyvoice.flow import Flow, FlowOptions, FlowPrompt, FlowState, Solve
from cosystream.models.linear import Precision
from tests.models.cosyvoice.flows import (
    CHUNK,
    LOOKAHEAD,
    V2,
    V3,
    Lender,
    assert_same,
    create_flow,
    pieces_of,
    prompt_of,
    tokens_of,
)


@pytest.fixture(scope="module", params=[V2, V3], ids=["v2", "v3"])
def config(request: pytest.FixtureRequest) -> FlowConfig:
    config: FlowConfig = request.param
    return config


@pytest.fixture(scope="module", params=[False, True], ids=["side by side", "padded"])
def flow(request: pytest.FixtureRequest, config: FlowConfig) -> Flow:
    return create_flow(config, FlowOptions(padded=request.param))


@dataclass(eq=False)
class Speaker:
    """A sequence spoken hop by hop, each ``cuts`` generated tokens further; a hop may be heard provisionally first."""

    prompt: FlowPrompt
    tokens: Tensor
    cuts: list[int]
    previewed: int | None = None
    """The tokens of a provisional piece in front of the hop that begins here."""
    leaves_after: int | None = None
    """Euler steps."""
    pieces: list[Tensor] = field(default_factory=list)
    provisional: list[Tensor] = field(default_factory=list)

    def solves(self, lender: Lender) -> Iterator[tuple[Solve, bool]]:
        """What is to be solved next, and whether it is to stay; each is finished before the next is asked for."""
        state = lender.begin(self.prompt)
        start = 0
        for end in [*self.cuts, len(self.tokens)]:
            final = end == len(self.tokens)
            if self.previewed == start:
                yield lender.start(state, self.tokens[start : start + 8 + LOOKAHEAD], final=False), False
            yield lender.start(state, self.tokens[start : end if final else end + LOOKAHEAD], final=final), True
            start = end
        lender.end(state)


def speak_together(flow: Flow, lender: Lender, speakers: list[Speaker]) -> None:
    """One newcomer an Euler step; solves of equally many frames share it, the largest batch first."""
    waiting, running = list(speakers), {}
    current: dict[Speaker, tuple[Solve, bool]] = {}
    age = dict.fromkeys(speakers, 0)
    while waiting or current:
        if waiting and len(lender.free_slots):
            speaker = waiting.pop(0)
            running[speaker] = speaker.solves(lender)
            current[speaker] = next(running[speaker])
        sizes = [solve.num_frames for solve, _ in current.values()]
        size = max(sizes, key=sizes.count)
        batch = {speaker: solve for speaker, (solve, _) in current.items() if solve.num_frames == size}
        flow.euler_step(list(batch.values()))
        for speaker, solve in batch.items():
            age[speaker] += 1
            if age[speaker] == speaker.leaves_after:
                assert solve.state is not None
                lender.end(solve.state)
                del current[speaker]
            elif solve.done:
                stays = current[speaker][1]
                (speaker.pieces if stays else speaker.provisional).append(lender.finish(solve, commit=stays))
                following = next(running[speaker], None)
                if following is None:
                    del current[speaker]
                else:
                    current[speaker] = following


def test_sequences_in_a_batch_are_what_they_are_alone(flow: Flow) -> None:
    speakers = [
        Speaker(prompt_of(25), tokens_of(90), [25, 50]),
        Speaker(prompt_of(50), tokens_of(80, seed=5), [25, 50], previewed=0),
        Speaker(prompt_of(0), tokens_of(60, seed=6), [25], leaves_after=13),
        Speaker(prompt_of(33, seed=7), tokens_of(70, seed=7), [17, 42], previewed=42),
        Speaker(prompt_of(25), tokens_of(78, seed=8), [25, 50]),
        Speaker(prompt_of(75), tokens_of(53, seed=9), [25]),
        Speaker(prompt_of(7, seed=10), tokens_of(43, seed=10), [18]),
    ]
    lender = Lender(flow, num_pages=20, num_slots=4)
    speak_together(flow, lender, speakers)
    assert sorted(lender.free_pages) == list(range(20))
    for speaker in speakers:
        if speaker.leaves_after is None:
            alone = create_flow(flow.config)
            assert_same(speaker.pieces, alone.whole(speaker.prompt, speaker.tokens, final=True, streaming=True))
        if speaker.previewed is not None:
            heard = speaker.tokens[: speaker.previewed + 8 + LOOKAHEAD]
            whole = flow.whole(speaker.prompt, heard, final=False, streaming=True)
            assert_same(speaker.provisional, whole[2 * speaker.previewed :])


def test_a_batch_may_hold_wholes_too(flow: Flow) -> None:
    prompt, tokens, lender = prompt_of(25), tokens_of(50), Lender(flow)
    expected = flow.whole(prompt, tokens, final=True, streaming=False)
    piece = lender.start(lender.begin(prompt), tokens, final=True)
    whole = flow.start_whole(prompt, tokens, final=True, streaming=False)
    flow.euler_step([whole])
    while not whole.done:
        flow.euler_step([whole, piece])
    assert_same([flow.finish(whole)], expected)
    assert_same([lender.finish(piece)], flow.whole(prompt, tokens, final=True, streaming=True))


def test_a_batch_is_of_one_number_of_frames(flow: Flow) -> None:
    lender = Lender(flow)
    solves = [lender.start(lender.begin(prompt_of(0)), tokens_of(count), final=True) for count in (10, 11)]
    with pytest.raises(AssertionError, match="equally many"):
        flow.euler_step(solves)


def test_behind_a_shared_prompt_all_speak_as_behind_their_own(flow: Flow) -> None:
    prompt, lender = prompt_of(60), Lender(flow, num_pages=20)
    state = solve_prompt(flow, lender, prompt)
    kept = [lender.memory.pages[page].clone() for page in state.pages]
    forks = [lender.fork(state) for _ in range(3)]
    tokens = [tokens_of(40, seed=seed) for seed in range(3)]
    solves = [lender.start(fork, t[: 15 + LOOKAHEAD], final=False) for fork, t in zip(forks, tokens, strict=True)]
    while not solves[0].done:
        flow.euler_step(solves)
    pieces = [[lender.finish(solve)] for solve in solves]
    solves = [lender.start(fork, t[15:], final=True) for fork, t in zip(forks, tokens, strict=True)]
    for own, solve in zip(pieces, solves, strict=True):
        own.append(lender.finish(solve))
    for own, t in zip(pieces, tokens, strict=True):
        assert_same(own, flow.whole(prompt, t, final=True, streaming=True))
    for page, before in zip(state.pages, kept, strict=True):
        assert torch.equal(lender.memory.pages[page], before)


def test_a_fork_outlives_what_it_was_made_of(flow: Flow) -> None:
    prompt, tokens, lender = prompt_of(60), tokens_of(40), Lender(flow)
    state = solve_prompt(flow, lender, prompt)
    fork = lender.fork(state)
    lender.memory.tails[state.slot] = torch.nan
    mel = lender.finish(lender.start(fork, tokens, final=True))
    assert_same([mel], flow.whole(prompt, tokens, final=True, streaming=True))
    assert state.num_tokens == 50
    assert len(state.pages) == 2


def solve_prompt(flow: Flow, lender: Lender, prompt: FlowPrompt) -> FlowState:
    state = lender.begin(prompt)
    while piece := flow.start_prompt(state, CHUNK):
        lender.lend(state, CHUNK)
        lender.finish(piece)
    return state


def test_padding_changes_nothing(config: FlowConfig) -> None:
    flow = create_flow(config, FlowOptions(padded=True))
    prompt, tokens, lender = prompt_of(25), tokens_of(35), Lender(flow)
    expected = flow.whole(prompt, tokens, final=True, streaming=True)
    solve = lender.start(lender.begin(prompt), tokens, final=True)
    while not solve.done:
        memory, inputs = flow.padded_inputs([solve], num_rows=4, num_columns=7)
        x = flow.padded_step(memory, *inputs)
        assert len(x) == 4
        assert x.isfinite().all()
        solve.x, solve.step = x[:1], solve.step + 1
    assert_same([lender.finish(solve)], expected)


@pytest.mark.parametrize("num_steps", [1, 4])
def test_fewer_steps_lead_to_the_end_too(config: FlowConfig, num_steps: int) -> None:
    flow = create_flow(config, FlowOptions(num_steps=num_steps))
    prompt, tokens = prompt_of(25), tokens_of(60)
    whole = flow.whole(prompt, tokens, final=True, streaming=True)
    assert_same(pieces_of(flow, prompt, tokens, [25]), whole)
    assert not torch.allclose(whole, create_flow(config).whole(prompt, tokens, final=True, streaming=True), atol=1e-2)


@pytest.mark.parametrize("padded", [False, True])
def test_a_window_hides_what_lies_between_it_and_the_prompt(config: FlowConfig, *, padded: bool) -> None:
    prompt, tokens = prompt_of(25), tokens_of(150)
    cuts = [25, 50, 75, 100, 125]
    everything = pieces_of(create_flow(config), prompt, tokens, cuts)
    flow = create_flow(config, FlowOptions(window=1, padded=padded))
    in_window = pieces_of(flow, prompt, tokens, cuts)
    for own, expected in zip(in_window[:2], everything[:2], strict=True):
        torch.testing.assert_close(own, expected, rtol=0, atol=1e-4)
    assert not torch.allclose(in_window[2], everything[2], atol=1e-3)
    together = pieces_of(flow, prompt, tokens, [75])
    assert_same(together, torch.cat(in_window))


@pytest.mark.parametrize("padded", [False, True])
def test_no_page_is_needed_for_what_the_window_has_passed(config: FlowConfig, *, padded: bool) -> None:
    prompt, tokens = prompt_of(25), tokens_of(150)
    flow = create_flow(config, FlowOptions(window=2, padded=padded))
    expected = pieces_of(flow, prompt, tokens, [25, 50, 75, 100, 125])
    lender = Lender(flow, num_pages=4)  # the prompt's, two of the window, the one being solved
    state, pieces = lender.begin(prompt), []
    for start in range(0, 150, 25):
        next_block = len(state.pages)
        for block in set(range(next_block)) - set(state.sight.behind(next_block)):
            if state.pages[block] >= 0:
                lender.memory.pages[state.pages[block]] = torch.nan
                lender.free_pages.append(state.pages[block])
                state.pages[block] = -1
        end = 150 if start == 125 else start + 25 + LOOKAHEAD
        pieces.append(lender.finish(lender.start(state, tokens[start:end], final=end == 150)))
    assert_same(pieces, torch.cat(expected))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("precision", "tolerance"), [(Precision.FLOAT32, 1e-5), (Precision.BFLOAT16, 0.05)])
def test_quickened_it_speaks_the_same_and_in_bfloat16_nearly(
    config: FlowConfig, precision: Precision, tolerance: float, *, padded: bool
) -> None:
    prompt, tokens = prompt_of(25), tokens_of(60)
    expected = create_flow(config).whole(prompt, tokens, final=True, streaming=True)
    flow = create_flow(config, FlowOptions(padded=padded))
    flow.quicken(precision)
    lender = Lender(flow, dtype=torch.float32 if precision is Precision.FLOAT32 else torch.bfloat16)
    state = lender.begin(prompt)
    pieces = [lender.finish(lender.start(state, tokens[: 25 + LOOKAHEAD], final=False))]
    pieces.append(lender.finish(lender.start(state, tokens[25:], final=True)))
    assert (torch.cat(pieces) - expected).norm() < tolerance * expected.norm()
