"""Speakers saved in a checkpoint's ``spk2info.pt``: a voice alone, or all that was learnt from a recording."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cosystream.errors import CheckpointError
from cosystream.models.weights import DAMAGE

EMBEDDING_SIZE = 192
MEL_BINS = 80
FRAMES_PER_TOKEN = 2


@dataclass(frozen=True, slots=True, eq=False)
class PromptFeatures:
    """What the models take from a recording: P tokens and the frames that go with them. The arrays are read-only.

    Of a voice without a recording P is 0.
    """

    speech_tokens: NDArray[np.int64]
    """(P,)"""
    mel: NDArray[np.float32]
    """(2P, 80)"""
    embedding: NDArray[np.float32]
    """(192,), the speaker; not normalised."""

    def __post_init__(self) -> None:
        for array in (self.speech_tokens, self.mel, self.embedding):
            array.setflags(write=False)


@dataclass(frozen=True, slots=True)
class SavedSpeaker:
    """A speaker that needs no recording any more."""

    features: PromptFeatures
    text_tokens: tuple[int, ...]
    """What is said in the recording."""


def read_speakers(path: Path) -> Mapping[str, SavedSpeaker]:
    """The speakers of ``path`` by name, none if there is no such file. CheckpointError says what is amiss."""
    if not path.exists():
        return {}
    try:
        with warnings.catch_warnings():  # of formats that have aged
            warnings.simplefilter("ignore")
            table = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    except DAMAGE:
        raise CheckpointError(f"{path}: is damaged or not a table of speakers; replace or remove it") from None
    if not isinstance(table, Mapping):
        raise CheckpointError(f"{path}: holds a {type(table).__name__}, not a table of speakers")
    return {str(name): _Entry(entry, f"{path}: speaker {name!r}").read() for name, entry in table.items()}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One speaker's tensors as they were saved, each with a leading dimension of 1."""

    content: object
    place: str
    """Where it stands, for messages."""

    def read(self) -> SavedSpeaker:
        if not isinstance(self.content, Mapping):
            raise CheckpointError(f"{self.place}: expected tensors by name, found a {type(self.content).__name__}")
        if "flow_embedding" in self.content:
            return self._learnt_from_a_recording()
        none = PromptFeatures(
            np.zeros(0, np.int64), np.zeros((0, MEL_BINS), np.float32), self._floats("embedding", EMBEDDING_SIZE)
        )
        return SavedSpeaker(none, ())

    def _learnt_from_a_recording(self) -> SavedSpeaker:
        """What the reference's ``add_zero_shot_spk`` saves. The lengths beside it say nothing that shapes do not."""
        tokens, mel = self._ids("flow_prompt_speech_token"), self._floats("prompt_speech_feat", None, MEL_BINS)
        if len(mel) != FRAMES_PER_TOKEN * len(tokens):
            raise CheckpointError(
                f"{self.place}: prompt_speech_feat: {len(mel)} frames do not go with {len(tokens)} speech tokens; "
                f"there are {FRAMES_PER_TOKEN} to a token"
            )
        if not np.array_equal(tokens, self._ids("llm_prompt_speech_token")):
            raise CheckpointError(f"{self.place}: llm_prompt_speech_token: differs from flow_prompt_speech_token")
        features = PromptFeatures(tokens, mel, self._floats("flow_embedding", EMBEDDING_SIZE))
        return SavedSpeaker(features, tuple(self._ids("prompt_text").tolist()))

    def _ids(self, key: str) -> NDArray[np.int64]:
        tensor = self._tensor(key, None)
        if tensor.is_floating_point() or bool((tensor < 0).any()):
            raise CheckpointError(f"{self.place}: {key}: expected ids")
        ids: NDArray[np.int64] = tensor.to(torch.int64, copy=True).numpy()
        return ids

    def _floats(self, key: str, *shape: int | None) -> NDArray[np.float32]:
        tensor = self._tensor(key, *shape)
        if not tensor.is_floating_point() or not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{self.place}: {key}: expected finite floating-point numbers")
        floats: NDArray[np.float32] = tensor.to(torch.float32, copy=True).numpy()
        return floats

    def _tensor(self, key: str, *shape: int | None) -> Tensor:
        """The tensor ``key``, of which only the first in the batch is there; None is a size of any length."""
        assert isinstance(self.content, Mapping)
        tensor = self.content.get(key)
        if not isinstance(tensor, Tensor):
            raise CheckpointError(f"{self.place}: {key}: {'is missing' if tensor is None else 'is not a tensor'}")
        wanted = (1, *shape)
        if tensor.dim() != len(wanted) or any(
            size not in (None, found) for size, found in zip(wanted, tensor.shape, strict=True)
        ):
            shown = ", ".join("any" if size is None else str(size) for size in wanted)
            raise CheckpointError(f"{self.place}: {key}: expected shape ({shown}), found {tuple(tensor.shape)}")
        return tensor.detach()[0]
