"""Speech tokens in, mel frames out, piece by piece: a piece costs its own frames, however much went before."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import ConformerConfig, FlowConfig, UNetConfig
from cosystream.models.cosyvoice.conformer import UpsampleConformer
from cosystream.models.cosyvoice.dit import DiT
from cosystream.models.cosyvoice.flow_batch import Padded, Places, place
from cosystream.models.cosyvoice.flow_memory import GUIDANCE, FlowMemory, Paged, Place, Sight
from cosystream.models.cosyvoice.lookahead import EncoderState, PreLookahead
from cosystream.models.cosyvoice.solver import NUM_STEPS, Schedule, cosine_schedule, guide, noise
from cosystream.models.cosyvoice.unet import UNet
from cosystream.models.graphs import send, upload
from cosystream.models.linear import Precision, quicken
from cosystream.models.streaming import Context, SideBySide, Whole


@dataclass(frozen=True, slots=True, eq=False)
class FlowPrompt:
    """Whose voice it is. A voice without a recording has no tokens and no frames."""

    tokens: Tensor  # (P,)
    mel: Tensor  # (F, M)
    embedding: Tensor  # (E,)

    def to(self, device: torch.device) -> "FlowPrompt":
        """The same, which is on the host, on ``device``."""
        return FlowPrompt(send(self.tokens, device), send(self.mel, device), send(self.embedding, device))


@dataclass(frozen=True, slots=True)
class FlowOptions:
    """What may be traded for speed; the defaults are what the models were made for."""

    num_steps: int = NUM_STEPS
    """Euler steps of a solve."""
    window: int | None = None
    """Blocks behind its own that a frame sees beside the prompt's; None is all. Bounds time and memory of a long
    sequence, which then needs no pages for what lies between."""
    padded: bool | None = None
    """Whether a batch attends as one, padded to its longest sequence, or sequence by sequence. None is as the device
    has it: padded on a GPU."""


@dataclass(slots=True, eq=False)
class FlowState:
    """What is kept of one sequence between its pieces."""

    prompt: FlowPrompt
    spks: Tensor  # (1, M)
    memory: FlowMemory
    slot: int
    sight: Sight
    encoder: EncoderState = field(default_factory=EncoderState)
    pages: list[int] = field(default_factory=list)
    """Of each block from the prompt's first on, the caller's to extend before a piece needs them."""
    num_tokens: int = 0
    """Committed, the prompt's included."""
    half: int = 0
    """Of the slot: the committed one."""

    def place(self, step: int) -> Place:
        """Where the sequence lies in the memory, at an Euler step."""
        return Place(self.pages, self.slot, self.half, self.num_tokens // self.memory.chunk_size, self.sight, step)


@dataclass(slots=True, eq=False)
class Solve:
    """A piece on its way from noise to mel. Rows are guidance: conditional, unconditional."""

    state: FlowState | None
    """None if the piece is all there is: nothing lies behind it, and nothing of it is kept."""
    x: Tensor  # (1, N, M)
    mu: Tensor  # (2, N, M)
    spks: Tensor  # (2, M)
    cond: Tensor  # (2, N, M)
    num_steps: int
    num_tokens: int
    """Of the piece: those that it speaks."""
    num_prompt_frames: int
    """Of the piece, at its head."""
    can_commit: bool = False
    block: int | None = None
    """Of what is all there is: frames in a block, or None if every frame sees every other."""
    step: int = 0

    @property
    def done(self) -> bool:
        return self.step == self.num_steps

    @property
    def num_frames(self) -> int:
        return self.x.size(1)


class Flow(nn.Module):
    """Conditional flow matching from speech tokens, a prompt and a speaker to mel frames.

    A sequence is its prompt's tokens and the generated ones behind them. Its attention goes block by block, and blocks
    count from the prompt's start. So what a piece adds never changes afterwards, provided that the piece ends with a
    block (or the sequence), and the pieces together are what one solve of the whole would be.

    Shapes: P prompt tokens, F prompt frames, T generated tokens, N frames of a piece, M mel bins, E embedding size,
    B solves in a batch.
    """

    def __init__(self, config: FlowConfig, options: FlowOptions = FlowOptions()) -> None:
        super().__init__()
        self.config = config
        self.options = options
        self.input_embedding = nn.Embedding(config.vocab_size, config.input_size)
        self.spk_embed_affine_layer = nn.Linear(config.spk_embed_dim, config.output_size)
        encoder = config.encoder
        if isinstance(encoder, ConformerConfig):
            self.encoder = UpsampleConformer(encoder, lookahead=config.lookahead, chunk_size=config.chunk_size)
            self.encoder_proj = nn.Linear(encoder.output_size, config.output_size)
        else:
            self.pre_lookahead_layer = PreLookahead(encoder.in_channels, encoder.channels, config.lookahead)
        estimator = config.estimator
        self.decoder = Decoder(UNet(estimator) if isinstance(estimator, UNetConfig) else DiT(estimator))

    def quicken(self, precision: Precision) -> None:
        """Lay out the weights for inference, once and for all: products of the estimator are taken in ``precision``.

        What only the solver's times go through is used now and dropped; ``options`` are final from here on.
        """
        _ = self._times, self._widths
        self.decoder.estimator.quicken(precision)
        quicken(self, Precision.FLOAT32)  # the rest is run once a piece, not once a step

    def whole(self, prompt: FlowPrompt, tokens: Tensor, *, final: bool, streaming: bool) -> Tensor:
        """All mel frames of ``tokens`` (T,) in one solve, (N, M); unless ``streaming``, every frame sees every other.

        This is what the reference does for each chunk.
        """
        solve = self.start_whole(prompt, tokens, final=final, streaming=streaming)
        while not solve.done:
            self.euler_step([solve])
        return self.finish(solve)

    def start_whole(self, prompt: FlowPrompt, tokens: Tensor, *, final: bool, streaming: bool) -> Solve:
        """As ``whole``, to be stepped. There is no window, and no memory is needed."""
        ids = torch.cat([prompt.tokens, tokens])
        num_new = self._num_spoken(ids, final=final)
        solve = self._solve(prompt, self._project(prompt), EncoderState(), 0, ids, num_new, streaming=streaming)
        solve.block = self.config.token_mel_ratio * self.config.chunk_size if streaming else None
        return solve

    def begin(self, prompt: FlowPrompt, memory: FlowMemory, slot: int) -> FlowState:
        """A sequence of which nothing is solved yet, its prompt neither; ``slot`` is its own."""
        memory.begin(slot)
        num_prompt_blocks = -(-len(prompt.tokens) // self.config.chunk_size)
        sight = Sight(num_prompt_blocks, self.options.window)
        return FlowState(prompt, self._project(prompt), memory, slot, sight)

    def fork(self, state: FlowState, slot: int) -> FlowState:
        """Another sequence behind the same solved frames, a prompt's, in a ``slot`` of its own.

        Both read the same pages, which neither writes again. Nothing of ``state`` may be on its way.
        """
        num_blocks, rest = divmod(state.num_tokens, self.config.chunk_size)
        assert rest == 0, "what ends inside a block cannot be gone on from"
        state.memory.copy_tails(state.slot, state.half, to=slot)
        return FlowState(
            state.prompt,
            state.spks,
            state.memory,
            slot,
            state.sight,
            encoder=state.encoder.fork(),
            pages=state.pages[:num_blocks],
            num_tokens=state.num_tokens,
        )

    def start(self, state: FlowState, tokens: Tensor, *, final: bool) -> Solve:
        """A piece of all tokens not yet committed: what is left of the prompt's, then ``tokens`` (T,).

        The last few are looked at but not spoken, unless the piece is ``final``; they come again, at the head of the
        next ``tokens``. One solve of a state at a time.
        """
        ids = torch.cat([state.prompt.tokens[state.num_tokens :], tokens])
        return self._piece(state, ids, self._num_spoken(ids, final=final), final=final)

    def start_prompt(self, state: FlowState, num_tokens: int) -> Solve | None:
        """A piece of the prompt alone; None if not ``num_tokens`` of it are left, with those to look at behind them.

        What is solved so need not be solved along with the first tokens: that bounds the time of a step.
        """
        end = state.num_tokens + num_tokens + self.config.lookahead
        if end > len(state.prompt.tokens):
            return None
        return self._piece(state, state.prompt.tokens[state.num_tokens : end], num_tokens)

    def euler_step(self, solves: Sequence[Solve]) -> None:
        """One evaluation of the estimator for all of ``solves``, as one batch.

        They may belong to any sequences, one solve each, and be at any Euler step, but have equally many frames.
        """
        is_padded = self.device.type != "cpu" if self.options.padded is None else self.options.padded
        together = [solve for solve in solves if is_padded and solve.state is not None]
        side_by_side = [solve for solve in solves if not (is_padded and solve.state is not None)]
        if together:
            memory, inputs = self.padded_inputs(together)
            self._advance(together, self.padded_step(memory, *inputs))
        if side_by_side:
            contexts = [self._context(solve) for solve in side_by_side]
            context = contexts[0] if len(contexts) == 1 else SideBySide(contexts, GUIDANCE)
            steps = upload([solve.step for solve in side_by_side], torch.long, self.device)
            self._advance(side_by_side, self._step(*_inputs(side_by_side), steps, context))

    def padded_step(self, memory: FlowMemory, *inputs: Tensor) -> Tensor:
        """The x of a batch an Euler step later, (B, N, M), from what ``padded_inputs`` gives.

        A function of its tensors and of what lies in the memory at fixed places, which never waits for the device: one
        recording serves all batches of a shape.
        """
        x, mu, spks, cond, *others = inputs
        places = Places(*others)
        return self._step(x, mu, spks, cond, places.steps, Padded(memory, places, x.size(1)))

    def padded_inputs(
        self, solves: Sequence[Solve], num_rows: int = 0, num_columns: int = 0
    ) -> tuple[FlowMemory, list[Tensor]]:
        """What ``padded_step`` takes for ``solves``, padded to ``num_rows`` of them and ``num_columns`` blocks seen."""
        states = [solve.state for solve in solves if solve.state is not None]
        assert len(states) == len(solves), "what is all there is has no place in the memory"
        memory = states[0].memory
        places = [state.place(solve.step) for state, solve in zip(states, solves, strict=True)]
        num_more = max(num_rows - len(solves), 0)
        inputs = [torch.cat([t, t.new_zeros(num_more * len(t) // len(solves), *t.shape[1:])]) for t in _inputs(solves)]
        return memory, [*inputs, *place(memory, places, solves[0].num_frames, num_rows, num_columns)]

    def finish(self, solve: Solve, *, commit: bool = True) -> Tensor:
        """The piece's mel without frames of the prompt, (N, M).

        A piece that ends inside a block cannot be committed, because its frames would see more if more were there;
        finished with ``commit=False``, it leaves the state as it was, and its tokens are due again.
        """
        state = solve.state
        if commit and state is not None:
            if not solve.can_commit:
                raise ValueError(
                    "a piece that ends inside a block can only be provisional: finish it with commit=False"
                )
            state.encoder.commit(solve.num_tokens, solve.num_frames)
            state.num_tokens += solve.num_tokens
            state.half = 1 - state.half
        return solve.x[0, solve.num_prompt_frames :]

    @property
    def device(self) -> torch.device:
        return self.input_embedding.weight.device

    @cached_property
    def _times(self) -> Tensor:
        """What the estimator wants to know of the time, step by step: the same in every solve."""
        return self.decoder.estimator.time_embedding(torch.tensor(self._schedule.times, device=self.device))

    @cached_property
    def _widths(self) -> Tensor:
        """How far each step goes."""
        return torch.tensor(self._schedule.widths, device=self.device)

    @property
    def _schedule(self) -> Schedule:
        return cosine_schedule(self.options.num_steps)

    def _step(
        self,
        x: Tensor,  # (B, N, M)
        mu: Tensor,  # (2 B, N, M)
        spks: Tensor,  # (2 B, M)
        cond: Tensor,  # (2 B, N, M)
        steps: Tensor,  # (B,)
        context: Context,
    ) -> Tensor:  # (B, N, M)
        times = self._times[steps.repeat_interleave(GUIDANCE)]
        velocity = self.decoder.estimator(x.repeat_interleave(GUIDANCE, dim=0), mu, spks, cond, times, context)
        return x + self._widths[steps, None, None] * guide(velocity, self.config.cfg_rate)

    def _advance(self, solves: Sequence[Solve], x: Tensor) -> None:
        for solve, row in zip(solves, torch.split(x, 1), strict=True):
            solve.x = row
            solve.step += 1

    def _context(self, solve: Solve) -> Context:
        if solve.state is None:
            return Whole(self.device, solve.block)
        return Paged(solve.state.memory, solve.state.place(solve.step))

    def _project(self, prompt: FlowPrompt) -> Tensor:
        """The speaker as the estimator wants it, (1, M)."""
        spks: Tensor = self.spk_embed_affine_layer(F.normalize(prompt.embedding[None], dim=-1))
        return spks

    def _num_spoken(self, ids: Tensor, *, final: bool) -> int:
        num_new = ids.numel() if final else ids.numel() - self.config.lookahead
        if num_new < 1:
            raise ValueError(f"{ids.numel()} tokens: too few to speak one")
        return num_new

    def _piece(self, state: FlowState, ids: Tensor, num_new: int, *, final: bool = False) -> Solve:
        """The first ``num_new`` of ``ids`` behind what ``state`` has committed."""
        first = state.num_tokens
        solve = self._solve(state.prompt, state.spks, state.encoder, first, ids, num_new, streaming=True)
        solve.state = state
        solve.can_commit = final or (first + num_new) % self.config.chunk_size == 0
        return solve

    def _solve(
        self,
        prompt: FlowPrompt,
        spks: Tensor,
        encoder: EncoderState,
        first: int,
        ids: Tensor,
        num_new: int,
        *,
        streaming: bool,
    ) -> Solve:
        """The first ``num_new`` of ``ids``, behind which the others are looked at; ``first`` tokens lie before them."""
        start, end = (self.config.token_mel_ratio * n for n in (first, first + num_new))
        x = noise(start, end, self.device)
        embedded = self.input_embedding(ids.clamp(min=0))[None]
        mu = self._encode(embedded[:, :num_new], embedded[:, num_new:], encoder, streaming=streaming)
        prompt_mel = prompt.mel[start:end]
        cond = torch.zeros_like(mu)
        cond[:, : len(prompt_mel)] = prompt_mel
        return Solve(
            None,
            x,
            mu=_with_nothing(mu),
            spks=_with_nothing(spks),
            cond=_with_nothing(cond),
            num_steps=self.options.num_steps,
            num_tokens=num_new,
            num_prompt_frames=len(prompt_mel),
        )

    def _encode(self, x: Tensor, lookahead: Tensor, state: EncoderState, *, streaming: bool) -> Tensor:
        """What the frames should be about, (1, N, M)."""
        if isinstance(self.config.encoder, ConformerConfig):
            mu: Tensor = self.encoder_proj(self.encoder(x, lookahead, state, streaming=streaming))
            return mu
        mu = self.pre_lookahead_layer(x, lookahead, state.tokens)
        return mu.repeat_interleave(self.config.token_mel_ratio, dim=1)


class Decoder(nn.Module):
    """The estimator, under the name that the checkpoint gives it."""

    def __init__(self, estimator: UNet | DiT) -> None:
        super().__init__()
        self.estimator: UNet | DiT = estimator


def _with_nothing(conditional: Tensor) -> Tensor:
    """Both guidance rows: the unconditional one knows nothing."""
    return torch.cat([conditional, torch.zeros_like(conditional)])


def _inputs(solves: Sequence[Solve]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x (B, N, M), mu (2 B, N, M), spks (2 B, M) and cond (2 B, N, M) of a batch."""
    assert len({solve.num_frames for solve in solves}) == 1, "solves of a batch have equally many frames"
    x, mu, spks, cond = zip(*((solve.x, solve.mu, solve.spks, solve.cond) for solve in solves), strict=True)
    return torch.cat(x), torch.cat(mu), torch.cat(spks), torch.cat(cond)
