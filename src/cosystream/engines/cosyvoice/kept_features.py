"""What was computed of recordings, kept on disk, so that a restart does not compute it again."""

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray

from cosystream.engines.files import write_whole
from cosystream.models.cosyvoice.speakers import EMBEDDING_SIZE, FRAMES_PER_TOKEN, MEL_BINS, PromptFeatures
from cosystream.models.weights import DAMAGE
from cosystream.types import Prompt

logger = logging.getLogger(__name__)

_FORMAT = 1
"""Counts changes to how features are computed, and to the files."""


class KeptFeatures:
    """Features by a digest of the recording, its words and the model; what cannot be read or written is no loss."""

    def __init__(self, folder: Path, model: str) -> None:
        """``model`` tells apart whatever computes other features."""
        self._folder = folder
        self._model = model

    def key(self, prompt: Prompt) -> str:
        words = "-" if prompt.text is None else f"+{prompt.text}"
        digest = hashlib.sha256()
        for part in (f"{_FORMAT} {self._model}".encode(), words.encode(), prompt.audio):
            digest.update(len(part).to_bytes(8, "little") + part)
        return digest.hexdigest()

    def get(self, key: str) -> PromptFeatures | None:
        try:
            tensors = safetensors.numpy.load(self._path(key).read_bytes())
            return _features(tensors)
        except FileNotFoundError:
            return None
        except DAMAGE as error:
            logger.warning("kept features of a voice cannot be read and are computed again: %s", error)
            return None

    def keep(self, key: str, features: PromptFeatures) -> None:
        tensors: dict[str, NDArray[Any]] = {
            "speech_tokens": features.speech_tokens,
            "mel": features.mel,
            "embedding": features.embedding,
        }
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._path(key), safetensors.numpy.save(tensors))
        except OSError as error:
            logger.warning("the features of a voice cannot be kept in %s: %s", self._folder, error.strerror)

    def forget(self, key: str) -> None:
        try:
            self._path(key).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("the features of a voice cannot be removed from %s: %s", self._folder, error.strerror)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.safetensors"


def _features(tensors: Mapping[str, NDArray[Any]]) -> PromptFeatures:
    """Raises ValueError or KeyError for what are no features."""
    tokens, mel, embedding = tensors["speech_tokens"], tensors["mel"], tensors["embedding"]
    fits = (
        tokens.dtype == np.int64
        and mel.dtype == embedding.dtype == np.float32
        and mel.shape == (FRAMES_PER_TOKEN * tokens.size, MEL_BINS)
        and embedding.shape == (EMBEDDING_SIZE,)
        and tokens.ndim == 1
        and bool((tokens >= 0).all())
        and bool(np.isfinite(mel).all() and np.isfinite(embedding).all())
    )
    if not fits:
        raise ValueError("they are not of a prompt")
    return PromptFeatures(tokens, mel, embedding)
