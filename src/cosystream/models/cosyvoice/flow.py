"""Speech tokens in, mel frames out, piece by piece: a piece costs its own frames, however much went before."""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import ConformerConfig, FlowConfig, UNetConfig
from cosystream.models.cosyvoice.conformer import UpsampleConformer
from cosystream.models.cosyvoice.dit import DiT
from cosystream.models.cosyvoice.lookahead import EncoderState, PreLookahead
from cosystream.models.cosyvoice.solver import NUM_STEPS, cosine_schedule, guide, noise
from cosystream.models.cosyvoice.unet import UNet
from cosystream.models.streaming import Past


@dataclass(frozen=True, slots=True, eq=False)
class FlowPrompt:
    """Whose voice it is. A voice without a recording has no tokens and no frames."""

    tokens: Tensor  # (P,)
    mel: Tensor  # (F, M)
    embedding: Tensor  # (E,)

    def to(self, device: torch.device) -> "FlowPrompt":
        """The same on ``device``."""
        return FlowPrompt(self.tokens.to(device), self.mel.to(device), self.embedding.to(device))


@dataclass(slots=True, eq=False)
class FlowState:
    """What is kept of one sequence between its pieces."""

    prompt: FlowPrompt
    spks: Tensor  # (1, M)
    encoder: EncoderState = field(default_factory=EncoderState)
    pasts: list[Past] = field(default_factory=lambda: [Past() for _ in range(NUM_STEPS)])
    """The estimator's, one for each Euler step: the frames behind differ from step to step."""
    num_tokens: int = 0
    """Committed, the prompt's included."""


@dataclass(slots=True, eq=False)
class Solve:
    """A piece on its way from noise to mel. Rows are guidance: conditional, unconditional."""

    state: FlowState
    x: Tensor  # (1, N, M)
    mu: Tensor  # (2, N, M)
    spks: Tensor  # (2, M)
    cond: Tensor  # (2, N, M)
    block: int | None
    num_tokens: int
    """Of the piece: those that it speaks."""
    num_prompt_frames: int
    """Of the piece, at its head."""
    can_commit: bool
    step: int = 0

    @property
    def done(self) -> bool:
        return self.step == NUM_STEPS


class Flow(nn.Module):
    """Conditional flow matching from speech tokens, a prompt and a speaker to mel frames.

    A sequence is its prompt's tokens and the generated ones behind them. Its attention goes block by block, and blocks
    count from the prompt's start. So what a piece adds never changes afterwards, provided that the piece ends with a
    block (or the sequence), and the pieces together are what one solve of the whole would be.

    Shapes: P prompt tokens, F prompt frames, T generated tokens, N frames of a piece, M mel bins, E embedding size.
    """

    def __init__(self, config: FlowConfig) -> None:
        super().__init__()
        self.config = config
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

    def whole(self, prompt: FlowPrompt, tokens: Tensor, *, final: bool, streaming: bool) -> Tensor:
        """All mel frames of ``tokens`` (T,) in one solve, (N, M); unless ``streaming``, every frame sees every other.

        This is what the reference does for each chunk.
        """
        state = self.begin(prompt)
        solve = self._start(state, tokens, final=final, streaming=streaming)
        while not solve.done:
            self.euler_step(solve)
            state.pasts[solve.step - 1] = Past()  # nothing follows, and keys and values are large
        return self._spoken(solve)

    def begin(self, prompt: FlowPrompt) -> FlowState:
        """A sequence of which nothing is solved yet, its prompt neither."""
        embedding = F.normalize(prompt.embedding[None], dim=-1)
        weight = self.spk_embed_affine_layer.weight
        return FlowState(prompt, self.spk_embed_affine_layer(embedding.to(weight.dtype)))

    def start(self, state: FlowState, tokens: Tensor, *, final: bool) -> Solve:
        """A piece of all tokens not yet committed: what is left of the prompt's, then ``tokens`` (T,).

        The last few are looked at but not spoken, unless the piece is ``final``; they come again, at the head of the
        next ``tokens``. One solve of a state at a time.
        """
        return self._start(state, tokens, final=final, streaming=True)

    def start_prompt(self, state: FlowState, num_tokens: int) -> Solve | None:
        """A piece of the prompt alone; None if not ``num_tokens`` of it are left, with those to look at behind them.

        What is solved so need not be solved along with the first tokens: that bounds the time of a step.
        """
        end = state.num_tokens + num_tokens + self.config.lookahead
        if end > len(state.prompt.tokens):
            return None
        return self._solve(state, state.prompt.tokens[state.num_tokens : end], num_tokens, streaming=True)

    def euler_step(self, solve: Solve) -> None:
        """One evaluation of the estimator."""
        velocity = self.decoder.estimator(
            solve.x.expand(2, -1, -1).to(solve.mu.dtype),
            solve.mu,
            solve.spks,
            solve.cond,
            self._times[solve.step],
            solve.state.pasts[solve.step],
            block=solve.block,
        )
        width = cosine_schedule().widths[solve.step]
        solve.x = solve.x + width * guide(velocity.float(), self.config.cfg_rate)
        solve.step += 1

    def finish(self, solve: Solve, *, commit: bool = True) -> Tensor:
        """The piece's mel without frames of the prompt, (N, M).

        A piece that ends inside a block cannot be committed, because its frames would see more if more were there;
        finished with ``commit=False``, it leaves the state as it was, and its tokens are due again.
        """
        if commit:
            if not solve.can_commit:
                raise ValueError(
                    "a piece that ends inside a block can only be provisional: finish it with commit=False"
                )
            state, num_frames = solve.state, solve.x.size(1)
            state.encoder.commit(solve.num_tokens, num_frames)
            for past in state.pasts:
                past.commit(num_frames)
            state.num_tokens += solve.num_tokens
        return self._spoken(solve)

    @cached_property
    def _times(self) -> Tensor:
        """What the estimator wants to know of the time, step by step: the same in every solve."""
        times = torch.tensor(cosine_schedule().times, device=self.spk_embed_affine_layer.weight.device)
        return self.decoder.estimator.time_embedding(times)

    def _start(self, state: FlowState, tokens: Tensor, *, final: bool, streaming: bool) -> Solve:
        ids = torch.cat([state.prompt.tokens[state.num_tokens :], tokens])
        num_new = ids.numel() if final else ids.numel() - self.config.lookahead
        if num_new < 1:
            raise ValueError(f"{ids.numel()} tokens: too few to speak one")
        solve = self._solve(state, ids, num_new, streaming=streaming)
        solve.can_commit = solve.can_commit or final
        return solve

    def _solve(self, state: FlowState, ids: Tensor, num_new: int, *, streaming: bool) -> Solve:
        """The first ``num_new`` of ``ids``, behind which the others are looked at."""
        config, prompt = self.config, state.prompt
        first, end = (config.token_mel_ratio * n for n in (state.num_tokens, state.num_tokens + num_new))
        x = noise(first, end, state.spks.device)
        embedded = self.input_embedding(ids.clamp(min=0))[None]
        mu = self._encode(embedded[:, :num_new], embedded[:, num_new:], state.encoder, streaming=streaming)
        prompt_mel = prompt.mel[first:end]
        cond = torch.zeros_like(mu)
        cond[:, : len(prompt_mel)] = prompt_mel
        return Solve(
            state,
            x,
            mu=_with_nothing(mu),
            spks=_with_nothing(state.spks),
            cond=_with_nothing(cond),
            block=config.token_mel_ratio * config.chunk_size if streaming else None,
            num_tokens=num_new,
            num_prompt_frames=len(prompt_mel),
            can_commit=(state.num_tokens + num_new) % config.chunk_size == 0,
        )

    def _encode(self, x: Tensor, lookahead: Tensor, state: EncoderState, *, streaming: bool) -> Tensor:
        """What the frames should be about, (1, N, M)."""
        if isinstance(self.config.encoder, ConformerConfig):
            mu: Tensor = self.encoder_proj(self.encoder(x, lookahead, state, streaming=streaming))
            return mu
        mu = self.pre_lookahead_layer(x, lookahead, state.tokens)
        return mu.repeat_interleave(self.config.token_mel_ratio, dim=1)

    def _spoken(self, solve: Solve) -> Tensor:
        return solve.x[0, solve.num_prompt_frames :]


class Decoder(nn.Module):
    """The estimator, under the name that the checkpoint gives it."""

    def __init__(self, estimator: UNet | DiT) -> None:
        super().__init__()
        self.estimator = estimator


def _with_nothing(conditional: Tensor) -> Tensor:
    """Both guidance rows: the unconditional one knows nothing."""
    return torch.cat([conditional, torch.zeros_like(conditional)])
