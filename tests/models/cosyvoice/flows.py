"""Small flows, and a memory in which nothing is to be relied on but what a sequence has written."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

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
from cosystream.models.cosyvoice.flow import Flow, FlowOptions, FlowPrompt, FlowState, Solve
from cosystream.models.cosyvoice.flow_memory import FlowMemory, Paged, Place, Sight
from cosystream.models.streaming import Context

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


AS_MADE = FlowOptions()


def create_flow(config: FlowConfig, options: FlowOptions = AS_MADE) -> Flow:
    """Always with the same parameters."""
    flow = Flow(config, options)
    generator = torch.Generator().manual_seed(0)
    for parameter in flow.parameters():
        scale = parameter[0].numel() ** -0.5 if parameter.dim() > 1 else 0.3
        torch.nn.init.normal_(parameter, std=scale, generator=generator)
    return flow.requires_grad_(requires_grad=False).eval()


def tokens_of(count: int, seed: int = 1) -> Tensor:
    return torch.randint(VOCABULARY, (count,), generator=torch.Generator().manual_seed(seed))


def prompt_of(num_tokens: int, num_frames: int | None = None, seed: int = 2) -> FlowPrompt:
    generator = torch.Generator().manual_seed(seed)
    frames = 2 * num_tokens if num_frames is None else num_frames
    mel = torch.randn(frames, MELS, generator=generator)
    return FlowPrompt(tokens_of(num_tokens, seed + 1), mel, torch.randn(SPEAKER, generator=generator))


def paged_contexts(config: FlowConfig, starts: Sequence[int], step: int = 0) -> Iterator[Context]:
    """What each piece of a sequence that begins at the frame ``starts`` is estimated in, in order."""
    memory = FlowMemory(config, 8, 1, dtype=torch.float32, device=torch.device("cpu"))
    memory.pages[:] = memory.tails[:] = torch.nan
    memory.begin(0)
    for i, start in enumerate(starts):
        yield Paged(memory, Place(range(8), 0, i % 2, start // memory.block, Sight(), step))


class Lender:
    """Hands out pages and slots. Whatever is nobody's, and what a sequence has not committed, is not a number."""

    def __init__(self, flow: Flow, num_pages: int = 12, num_slots: int = 4, dtype: torch.dtype = torch.float32) -> None:
        steps = flow.options.num_steps
        self.memory = FlowMemory(flow.config, num_pages, num_slots, dtype=dtype, device=flow.device, num_steps=steps)
        self.flow = flow
        self.free_pages, self.free_slots = list(range(num_pages)), list(range(num_slots))
        self.memory.pages[:-1] = torch.nan
        self.memory.tails[:-1] = torch.nan

    def begin(self, prompt: FlowPrompt) -> FlowState:
        return self.flow.begin(prompt, self.memory, self.free_slots.pop())

    def fork(self, state: FlowState) -> FlowState:
        return self.flow.fork(state, self.free_slots.pop())

    def end(self, state: FlowState, *, kept: int = 0) -> None:
        """All but the first ``kept`` pages, which are another's, come back and are spoilt."""
        self.memory.pages[state.pages[kept:]] = torch.nan
        self.memory.tails[state.slot] = torch.nan
        self.free_pages += state.pages[kept:]
        self.free_slots.append(state.slot)

    def lend(self, state: FlowState, num_tokens: int) -> None:
        """Pages for a piece of ``num_tokens`` behind what is committed."""
        while CHUNK * len(state.pages) < state.num_tokens + num_tokens:
            state.pages.append(self.free_pages.pop(0))

    def start(self, state: FlowState, tokens: Tensor, *, final: bool) -> Solve:
        solve = self.flow.start(state, tokens, final=final)
        self.lend(state, solve.num_tokens)
        return solve

    def finish(self, solve: Solve, *, commit: bool = True) -> Tensor:
        """The rest of its steps; afterwards what is not committed is spoilt."""
        mel = self.flow.finish(solved(self.flow, solve), commit=commit)
        state = solve.state
        assert state is not None
        self.memory.pages[state.pages[-(-state.num_tokens // CHUNK) :]] = torch.nan
        self.memory.tails[state.slot, 1 - state.half] = torch.nan
        for past in (state.encoder.tokens, state.encoder.frames):
            for buffers in past._attended.values():
                for buffer in buffers:
                    buffer[:, :, past.num_frames :] = torch.nan
        return mel


def solved(flow: Flow, solve: Solve) -> Solve:
    while not solve.done:
        flow.euler_step([solve])
    return solve


def pieces_of(flow: Flow, prompt: FlowPrompt, tokens: Tensor, cuts: Sequence[int]) -> list[Tensor]:
    """Mel of each piece; ``cuts`` are the generated tokens spoken by then, the last piece is final."""
    lender = Lender(flow)
    state, pieces = lender.begin(prompt), []
    for start, end in pairwise([0, *cuts, len(tokens)]):
        final = end == len(tokens)
        pieces.append(
            lender.finish(lender.start(state, tokens[start : end if final else end + LOOKAHEAD], final=final))
        )
    return pieces


def assert_same(pieces: list[Tensor], whole: Tensor) -> None:
    """To 1e-5 of the whole's size, and piece by piece."""
    assert sum(len(piece) for piece in pieces) == len(whole)
    for piece, expected in zip(pieces, torch.split(whole, [len(piece) for piece in pieces]), strict=True):
        torch.testing.assert_close(piece, expected, rtol=0, atol=1e-5 * whole.abs().max().item())
