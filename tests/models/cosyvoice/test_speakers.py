from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.speakers import read_speakers


def learnt(num_tokens: int = 4) -> dict[str, Tensor]:
    """What the reference saves of a recording."""
    tokens = torch.arange(num_tokens, dtype=torch.int32)[None]
    return {
        "prompt_text": torch.tensor([[7, 8, 9]], dtype=torch.int32),
        "prompt_text_len": torch.tensor([3], dtype=torch.int32),
        "llm_prompt_speech_token": tokens,
        "llm_prompt_speech_token_len": torch.tensor([num_tokens], dtype=torch.int32),
        "flow_prompt_speech_token": tokens,
        "flow_prompt_speech_token_len": torch.tensor([num_tokens], dtype=torch.int32),
        "prompt_speech_feat": torch.linspace(-5, 5, num_tokens * 160).reshape(1, -1, 80),
        "prompt_speech_feat_len": torch.tensor([2 * num_tokens], dtype=torch.int32),
        "llm_embedding": torch.linspace(-1, 1, 192)[None],
        "flow_embedding": torch.linspace(-1, 1, 192)[None],
    }


def save(folder: Path, table: object) -> Path:
    path = folder / "spk2info.pt"
    torch.save(table, path)
    return path


def test_a_voice_alone_has_an_embedding_and_no_recording(tmp_path: Path) -> None:
    speakers = read_speakers(save(tmp_path, {"中文女": {"embedding": torch.full((1, 192), 0.5)}}))
    assert list(speakers) == ["中文女"]
    features = speakers["中文女"].features
    assert np.array_equal(features.embedding, np.full(192, 0.5, np.float32))
    assert (features.speech_tokens.shape, features.mel.shape) == ((0,), (0, 80))
    assert speakers["中文女"].text_tokens == ()


def test_a_voice_learnt_from_a_recording_has_all_of_it(tmp_path: Path) -> None:
    saved = learnt()
    speaker = read_speakers(save(tmp_path, {"mine": saved}))["mine"]
    assert speaker.text_tokens == (7, 8, 9)
    assert speaker.features.speech_tokens.tolist() == [0, 1, 2, 3]
    assert speaker.features.speech_tokens.dtype == np.int64
    assert np.array_equal(speaker.features.mel, saved["prompt_speech_feat"][0].numpy())
    assert np.array_equal(speaker.features.embedding, saved["flow_embedding"][0].numpy())


def test_nobody_can_change_a_saved_voice(tmp_path: Path) -> None:
    features = read_speakers(save(tmp_path, {"mine": learnt()}))["mine"].features
    for array in (features.speech_tokens, features.mel, features.embedding):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


def test_without_a_file_there_are_no_speakers(tmp_path: Path) -> None:
    assert read_speakers(tmp_path / "spk2info.pt") == {}


def test_an_empty_table_has_no_speakers(tmp_path: Path) -> None:
    assert read_speakers(save(tmp_path, {})) == {}


Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda e: e.pop("prompt_text"), "prompt_text: is missing"),
        (lambda e: e.pop("flow_embedding"), "embedding: is missing"),
        (lambda e: e.update(prompt_text="hello"), "prompt_text: is not a tensor"),
        (lambda e: e.update(prompt_text=torch.ones(1, 3)), "prompt_text: expected ids"),
        (lambda e: e.update(prompt_text=torch.tensor([[-1]])), "prompt_text: expected ids"),
        (
            lambda e: e.update(flow_embedding=torch.ones(192)),
            r"flow_embedding: expected shape \(1, 192\), found \(192,\)",
        ),
        (lambda e: e.update(flow_embedding=torch.ones(1, 512)), r"expected shape \(1, 192\), found \(1, 512\)"),
        (lambda e: e.update(flow_embedding=torch.ones(2, 192)), r"expected shape \(1, 192\), found \(2, 192\)"),
        (lambda e: e.update(flow_embedding=torch.full((1, 192), torch.nan)), "flow_embedding: expected finite"),
        (lambda e: e.update(prompt_speech_feat=torch.ones(1, 8, 100)), r"expected shape \(1, any, 80\)"),
        (lambda e: e.update(prompt_speech_feat=torch.ones(1, 7, 80)), "7 frames do not go with 4 speech tokens"),
        (lambda e: e.update(llm_prompt_speech_token=torch.tensor([[1, 2]])), "llm_prompt_speech_token: differs"),
    ],
)
def test_a_malformed_entry_is_named_with_its_file_and_speaker(tmp_path: Path, change: Change, words: str) -> None:
    entry: dict[str, Any] = learnt()
    change(entry)
    path = save(tmp_path, {"good": learnt(), "bad": entry})
    with pytest.raises(CheckpointError, match=words) as caught:
        read_speakers(path)
    assert str(caught.value).startswith(f"{path}: speaker 'bad': ")


@pytest.mark.parametrize("table", [[1, 2], {"bad": 3}, torch.ones(3)])
def test_what_is_no_table_of_speakers_is_refused(tmp_path: Path, table: object) -> None:
    path = save(tmp_path, table)
    with pytest.raises(CheckpointError, match=f"^{path}: "):
        read_speakers(path)


@pytest.mark.parametrize("content", [b"", b"not a table", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "spk2info.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^{path}: is damaged"):
        read_speakers(path)


def test_a_file_that_would_run_code_is_not_read(tmp_path: Path) -> None:
    path = save(tmp_path, {"bad": Path("/")})
    with pytest.raises(CheckpointError, match=f"^{path}: is damaged"):
        read_speakers(path)
