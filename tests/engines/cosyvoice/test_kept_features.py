from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from cosystream.engines.cosyvoice.kept_features import KeptFeatures
from cosystream.models.cosyvoice.speakers import PromptFeatures
from cosystream.types import Prompt

PROMPT = Prompt(b"RIFF", "hello")


def features(num_tokens: int = 5) -> PromptFeatures:
    generator = np.random.default_rng(0)
    return PromptFeatures(
        generator.integers(0, 6561, num_tokens),
        generator.standard_normal((2 * num_tokens, 80), np.float32),
        generator.standard_normal(192, np.float32),
    )


def test_what_is_kept_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    wanted = features()
    KeptFeatures(tmp_path / "new" / "folder", "v3").keep("key", wanted)
    found = KeptFeatures(tmp_path / "new" / "folder", "v3").get("key")
    assert found is not None
    np.testing.assert_array_equal(found.speech_tokens, wanted.speech_tokens)
    np.testing.assert_array_equal(found.mel, wanted.mel)
    np.testing.assert_array_equal(found.embedding, wanted.embedding)
    assert not found.mel.flags.writeable


def test_audio_words_and_model_tell_features_apart(tmp_path: Path) -> None:
    kept = KeptFeatures(tmp_path, "v3")
    assert kept.key(PROMPT) == KeptFeatures(tmp_path / "elsewhere", "v3").key(Prompt(b"RIFF", "hello"))
    others = {
        kept.key(PROMPT),
        kept.key(Prompt(b"RIFX", "hello")),
        kept.key(Prompt(b"RIFF", "hallo")),
        kept.key(Prompt(b"RIFF", "")),
        kept.key(Prompt(b"RIFF", None)),
        kept.key(Prompt(b"RIFF", "-")),
        kept.key(Prompt(b"oRIFF", "hell")),
        KeptFeatures(tmp_path, "v2").key(PROMPT),
    }
    assert len(others) == 8


def test_what_is_forgotten_is_gone(tmp_path: Path) -> None:
    kept = KeptFeatures(tmp_path, "v3")
    kept.keep("key", features())
    kept.forget("key")
    kept.forget("key")
    assert kept.get("key") is None
    assert list(tmp_path.iterdir()) == []


def of(**changed: NDArray[Any]) -> bytes:
    good = features()
    tensors: dict[str, NDArray[Any]] = {
        "speech_tokens": good.speech_tokens,
        "mel": good.mel,
        "embedding": good.embedding,
    }
    return safetensors.numpy.save(tensors | changed)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no tensors",
        of()[:-1],
        of()[:100],
        safetensors.numpy.save({"mel": features().mel}),
        of(mel=features(6).mel),
        of(mel=features().mel.astype(np.float64)),
        of(mel=np.full((10, 80), np.nan, np.float32)),
        of(embedding=np.zeros(191, np.float32)),
        of(speech_tokens=np.full(5, -1)),
        of(speech_tokens=np.zeros((5, 1), np.int64)),
        of(speech_tokens=np.zeros(5, np.float32)),
    ],
)
def test_a_damaged_file_counts_as_none_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    kept = KeptFeatures(tmp_path, "v3")
    (tmp_path / "key.safetensors").write_bytes(content)
    assert kept.get("key") is None
    kept.keep("key", features())
    assert kept.get("key") is not None


def test_where_nothing_can_be_kept_it_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    kept = KeptFeatures(tmp_path / "file", "v3")
    kept.keep("key", features())
    assert kept.get("key") is None
    kept.forget("key")
