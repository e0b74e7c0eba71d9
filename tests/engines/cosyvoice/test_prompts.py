import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cosystream.audio.decode import Recording
from cosystream.engines.cosyvoice.prompts import PromptEncoder, check_recording
from cosystream.errors import CheckpointError, InvalidRequest
from cosystream.models.cosyvoice.checkpoint import read_config

MODEL = Path(__file__).parents[2] / "parity" / "golden" / "v2" / "model"
TOKENIZER, SPEAKER = "speech_tokenizer_v2.onnx", "campplus.onnx"


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    return PromptEncoder(MODEL, read_config(MODEL), num_threads=1)


def speech(seconds: float, rate: int = 24_000, *, seed: int = 0, level: float = 0.1) -> Recording:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate))
    return Recording((level * noise).astype(np.float32), rate)


@pytest.mark.parametrize("rate", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("seconds", [0.5, 1.307])
def test_a_token_has_two_frames(encoder: PromptEncoder, seconds: float, rate: int) -> None:
    features = encoder.encode(speech(seconds, rate))
    num_tokens = len(features.speech_tokens)
    assert num_tokens == pytest.approx(25 * seconds, abs=1.5)
    assert features.mel.shape == (2 * num_tokens, 80)
    assert features.embedding.shape == (192,)
    assert features.speech_tokens.dtype == np.int64
    assert features.mel.dtype == features.embedding.dtype == np.float32


def test_the_mel_is_of_more_than_the_speech_tokenizer_hears() -> None:
    model = MODEL.parents[1] / "v3" / "model"
    mel = PromptEncoder(model, read_config(model), num_threads=1).encode(speech(1, 48_000)).mel
    assert mel[:, -1].mean() > -5  # above 8 kHz; of a recording at 16 kHz it would be at the floor, -11.5


def test_nobody_can_change_the_features(encoder: PromptEncoder) -> None:
    features = encoder.encode(speech(1))
    for array in (features.speech_tokens, features.mel, features.embedding):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
        torch.tensor(array)  # without a warning


def test_the_recording_is_left_alone(encoder: PromptEncoder) -> None:
    recording = speech(1, 16_000)
    encoder.encode(recording)
    assert np.array_equal(recording.waveform, speech(1, 16_000).waveform)


def test_several_threads_get_what_one_alone_gets(encoder: PromptEncoder) -> None:
    recordings = [speech(0.5 + 0.1 * seed, seed=seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(encoder.encode, recordings))
    for recording, features in zip(recordings, together, strict=True):
        alone = encoder.encode(recording)
        assert np.array_equal(features.speech_tokens, alone.speech_tokens)
        assert np.array_equal(features.mel, alone.mel)
        assert np.array_equal(features.embedding, alone.embedding)


def clipped(share: float) -> Recording:
    recording = speech(1)
    waveform: NDArray[np.float32] = recording.waveform.copy()
    waveform[: round(share * waveform.size)] = 1
    return Recording(waveform, recording.sample_rate)


def mostly_silent(voiced_seconds: float) -> Recording:
    recording = speech(5)
    waveform: NDArray[np.float32] = recording.waveform.copy()
    waveform[round(voiced_seconds * recording.sample_rate) :] = 0
    return Recording(waveform, recording.sample_rate)


@pytest.mark.parametrize(
    ("recording", "words"),
    [
        (speech(2, 8_000), "is sampled at 8000 Hz, .* 16000 Hz or more"),
        (speech(1, 44_101), "is sampled at 44101 Hz; convert it"),
        (speech(1, 384_000), "is sampled at 384000 Hz; convert it"),
        (speech(30.01), "is longer than 30 seconds; 3 to 10 seconds"),
        (speech(0.49), r"is 0\.49 seconds long, and 0\.5 is the least; 3 to 10 seconds"),
        (speech(1, level=0), "is silent"),
        (speech(1, level=1e-3), "too quiet to hold a voice; .* louder"),
        (mostly_silent(0.29), r"is silent but for 0\.29 seconds; 3 to 10 seconds"),
        (clipped(0.02), "2% of its samples are at full scale; .* more quietly"),
        (speech(1, level=3_000), "are at full scale"),
    ],
)
def test_what_no_voice_can_be_learnt_from_is_refused_with_what_would_do(
    encoder: PromptEncoder, recording: Recording, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=f"^prompt_wav: .*{words}"):
        encoder.encode(recording)


@pytest.mark.parametrize(
    "recording",
    [speech(30), speech(0.5), speech(1, 16_000), speech(1, level=0.02), clipped(0.005), mostly_silent(0.31)],
)
def test_what_just_suffices_is_accepted(recording: Recording) -> None:
    check_recording(recording)


@pytest.mark.parametrize("name", [TOKENIZER, SPEAKER])
@pytest.mark.parametrize("content", [None, b"", b"no graph", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_graph_that_cannot_be_used_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    for graph in {TOKENIZER, SPEAKER} - {name}:
        shutil.copyfile(MODEL / graph, tmp_path / graph)
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"^{tmp_path / name}: (no such file|is damaged)"):
        PromptEncoder(tmp_path, read_config(MODEL), num_threads=1)


def test_a_graph_of_another_kind_is_named(tmp_path: Path) -> None:
    for name in (TOKENIZER, SPEAKER):
        shutil.copyfile(MODEL / SPEAKER, tmp_path / name)
    with pytest.raises(CheckpointError, match=f"^{tmp_path / TOKENIZER}: has 1 inputs, expected 2"):
        PromptEncoder(tmp_path, read_config(MODEL), num_threads=1)
