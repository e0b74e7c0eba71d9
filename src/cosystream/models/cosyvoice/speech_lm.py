"""The language model: text tokens and the prompt's speech tokens in, one speech token after another out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.cosyvoice.config import SpeechLMConfig, Version
from cosystream.models.cosyvoice.qwen2 import KVCache, Qwen2
from cosystream.models.graphs import upload
from cosystream.models.linear import FastLinear, Precision

UNUSED = frozenset({"llm.model.lm_head.weight"})
"""In the checkpoints, but not in the model: the head that would predict text, tied to the text embedding."""


@dataclass(frozen=True, slots=True)
class SpecialIds:
    """What the ids and embeddings that are not speech stand for."""

    num_speech: int
    """Speech ids are 0 to this, exclusive. Every id from here on ends the speech, or with ``fill`` a block of it."""
    num_ids: int
    eos: int
    fill: int
    """Predicted where a block of interleaved speech is full and text should follow."""
    sos: int
    """A row of ``llm_embedding``, or of ``speech_embedding`` where there is no such table; so is ``task``."""
    task: int

    def is_speech(self, token: int) -> bool:
        return token < self.num_speech


def special_ids(config: SpeechLMConfig) -> SpecialIds:
    """v2 has a table of its own for the special ids that it is fed with, v3 has them among the speech ids."""
    size = config.speech_token_size
    if config.version is Version.V2:
        return SpecialIds(num_speech=size, num_ids=size + 3, eos=size, fill=size + 2, sos=0, task=1)
    return SpecialIds(num_speech=size, num_ids=size + 200, eos=size + 1, fill=size + 3, sos=size, task=size + 2)


class Kind(Enum):
    """What the language model is fed with. Text and speech come as ids, the two marks alone."""

    SOS = auto()
    TEXT = auto()
    TASK = auto()
    SPEECH = auto()


@dataclass(frozen=True, slots=True)
class Piece:
    """Some tokens of one kind, in the order in which they are fed."""

    kind: Kind
    ids: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids) if self.kind in (Kind.TEXT, Kind.SPEECH) else 1


SOS, TASK = Piece(Kind.SOS), Piece(Kind.TASK)


def prompt_pieces(prompt_text: Sequence[int], text: Sequence[int], prompt_speech: Sequence[int]) -> tuple[Piece, ...]:
    """What comes before the first speech token when the text is there as a whole."""
    return SOS, Piece(Kind.TEXT, (*prompt_text, *text)), TASK, Piece(Kind.SPEECH, tuple(prompt_speech))


@dataclass(frozen=True, slots=True)
class SpeechLength:
    """How many speech tokens a text may have: below the minimum it may not end, at the maximum it does."""

    minimum: int
    maximum: int


def speech_length(num_text: int) -> SpeechLength:
    """The bounds for ``num_text`` tokens to be spoken, the prompt's not counted."""
    return SpeechLength(2 * num_text, 20 * num_text)


def no_end(ids: SpecialIds, device: torch.device | str = "cpu") -> Tensor:
    """What may not be drawn below the minimal length, (V,) bool: everything that is not speech."""
    return torch.arange(ids.num_ids, device=device) >= ids.num_speech


def no_end_as_reference(ids: SpecialIds, device: torch.device | str = "cpu") -> Tensor:
    """What the reference forbids below the minimal length, (V,) bool: one id, which in v3 is not even ``eos``."""
    return torch.arange(ids.num_ids, device=device) == ids.num_speech


def no_end_but_fill(ids: SpecialIds, device: torch.device | str = "cpu") -> Tensor:
    """What may not be drawn within a block of interleaved speech, (V,) bool: all but speech and ``fill``."""
    forbidden = no_end(ids, device)
    forbidden[ids.fill] = False
    return forbidden


class SpeechLM(nn.Module):
    """Qwen2 with embeddings and a head for speech.

    Shapes: B sequences, N fed positions, D hidden size, V ids: speech and special.
    """

    def __init__(self, config: SpeechLMConfig) -> None:
        super().__init__()
        self.ids = special_ids(config)
        size, is_v2 = config.body.hidden_size, config.version is Version.V2
        self.llm = nn.ModuleDict({"model": nn.ModuleDict({"model": Qwen2(config.body)})})  # named as in the checkpoints
        self.llm_embedding = nn.Embedding(2, size) if is_v2 else None
        self.speech_embedding = nn.Embedding(self.ids.num_ids, size)
        self.llm_decoder: nn.Linear | FastLinear = nn.Linear(size, self.ids.num_ids, bias=is_v2)

    @property
    def body(self) -> Qwen2:
        body: Qwen2 = self.llm.get_submodule("model.model")  # type: ignore[assignment]
        return body

    def quicken(self, precision: Precision) -> None:
        """Take products in ``precision``, logits in float32; from now on it can neither be saved, loaded nor moved."""
        self.body.quicken(precision)
        assert isinstance(self.llm_decoder, nn.Linear), "quickened already"
        self.llm_decoder = FastLinear(self.llm_decoder, Precision.FLOAT32)

    def embed(self, pieces: Sequence[Piece]) -> Tensor:
        """What is fed for ``pieces``, (N, D)."""
        return torch.cat([self._embed(piece) for piece in pieces])

    def _embed(self, piece: Piece) -> Tensor:
        marks = self.speech_embedding if self.llm_embedding is None else self.llm_embedding
        table, ids = {
            Kind.SOS: (marks, (self.ids.sos,)),
            Kind.TASK: (marks, (self.ids.task,)),
            Kind.TEXT: (self.body.embed_tokens, piece.ids),
            Kind.SPEECH: (self.speech_embedding, piece.ids),
        }[piece.kind]
        rows: Tensor = table(upload(ids, torch.long, table.weight.device))
        return rows

    def prefill(self, embedded: Tensor, cache: KVCache, slot: int, position: int) -> Tensor:
        """The last hidden state, (1, D), after ``embedded`` (N, D) follows the ``position`` tokens in a slot."""
        slots, positions = torch.tensor([[slot], [position]], device=embedded.device)
        hidden: Tensor = self.body(embedded[None], cache, slots, positions, position + embedded.size(0))
        return hidden[:, -1]

    def decode(self, ids: Tensor, cache: KVCache, slots: Tensor, positions: Tensor, longest: int) -> Tensor:
        """The hidden states, (B, D), after one speech token ``ids`` (B,) more in each of ``slots`` (B,).

        ``positions`` (B,) are the tokens already there; ``longest`` is at least the largest of them and one.
        """
        hidden: Tensor = self.body(self.speech_embedding(ids)[:, None], cache, slots, positions, longest)
        return hidden[:, 0]

    def logits(self, hidden: Tensor) -> Tensor:
        """Of the next id, (B, V) float32, whatever the dtype of the weights."""
        if isinstance(self.llm_decoder, FastLinear):
            out: Tensor = self.llm_decoder(hidden)
            return out
        bias = self.llm_decoder.bias
        return F.linear(hidden.float(), self.llm_decoder.weight.float(), None if bias is None else bias.float())
