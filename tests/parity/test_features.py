"""What is taken from recordings, compared with what the reference implementation took."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from cosystream.audio.decode import Recording, decode
from cosystream.engines.cosyvoice.prompts import MAX_SECONDS, PromptEncoder
from cosystream.models.cosyvoice.features import kaldi_fbank, mel_spectrogram, resample, whisper_log_mel
from cosystream.models.cosyvoice.speakers import PromptFeatures, read_speakers
from tests.parity.conftest import Golden

MODES = ("zero_shot", "cross_lingual", "instruct2")


@dataclass(frozen=True)
class Prompts:
    """The recordings of one version, and what the reference made of them."""

    golden: Golden
    encoder: PromptEncoder

    @property
    def names(self) -> list[str]:
        return [name.removesuffix(".wav16k") for name in self.tensors if name.endswith(".wav16k")]

    @property
    def prompt(self) -> PromptFeatures:
        """Of the recording whose voice the modes were given."""
        voice = self.tensors["zero_shot.flow_embedding"]
        distances = {name: torch.dist(self.tensors[f"{name}.spk_embedding"], voice) for name in self.names}
        return self.encoder.encode(self.recording(min(distances, key=lambda name: distances[name])))

    @property
    def audio(self) -> list[str]:
        """More than what tensors were recorded of."""
        return [path.stem for path in (self.golden.path / "audio").glob("*.wav")]

    @property
    def tensors(self) -> dict[str, Tensor]:
        return self.golden.tensors("frontend")

    def recording(self, name: str) -> Recording:
        return decode((self.golden.path / "audio" / f"{name}.wav").read_bytes(), max_seconds=MAX_SECONDS)

    def at(self, rate: int, name: str) -> Tensor:
        recording = self.recording(name)
        return resample(torch.from_numpy(recording.waveform), recording.sample_rate, rate)


@pytest.fixture(scope="module")
def prompts(either: Golden) -> Prompts:
    return Prompts(either, PromptEncoder(either.model, either.config, num_threads=1))


def close(actual: object, expected: Tensor, tolerance: float = 1e-3) -> None:
    torch.testing.assert_close(torch.tensor(actual), expected[0], atol=tolerance, rtol=0, check_dtype=False)


def test_recordings_are_decoded_mixed_and_resampled_alike(prompts: Prompts) -> None:
    assert prompts.names
    for name in prompts.names:
        close(prompts.at(16_000, name).numpy(), prompts.tensors[f"{name}.wav16k"], 1e-5)
        if f"{name}.wav24k" in prompts.tensors:  # not of one that has this rate
            close(prompts.at(24_000, name).numpy(), prompts.tensors[f"{name}.wav24k"], 1e-5)


def test_the_prompt_mel_is_alike(prompts: Prompts) -> None:
    for name in prompts.names:
        mel = mel_spectrogram(prompts.at(24_000, name), prompts.golden.config.mel).numpy()
        close(mel, prompts.tensors[f"{name}.speech_feat"])
        close(mel.T, prompts.tensors[f"{name}.mel24k"])


def test_the_speech_tokenizer_and_the_speaker_encoder_hear_the_same(prompts: Prompts) -> None:
    for name in prompts.names:
        waveform = prompts.at(16_000, name)
        close(whisper_log_mel(waveform).numpy(), prompts.tensors[f"{name}.whisper128"])
        fbank = prompts.tensors[f"{name}.fbank80"]
        close(kaldi_fbank(waveform).numpy(), (fbank - fbank.mean(0))[None])
        close(kaldi_fbank(waveform).numpy(), prompts.tensors[f"{name}.fbank80_centered"][None])


def test_they_say_the_same_of_it(prompts: Prompts) -> None:
    for name in prompts.names:
        waveform = prompts.at(16_000, name)
        close(prompts.encoder.speech_tokens(waveform), prompts.tensors[f"{name}.speech_token"], 0)
        close(prompts.encoder.speaker_embedding(waveform), prompts.tensors[f"{name}.spk_embedding"])


@pytest.mark.parametrize("mode", MODES)
def test_a_prompt_is_cut_to_whole_tokens(prompts: Prompts, mode: str) -> None:
    features, expected = prompts.prompt, prompts.tensors
    close(features.speech_tokens, expected[f"{mode}.flow_prompt_speech_token"], 0)
    close(features.mel, expected[f"{mode}.prompt_speech_feat"])
    close(features.embedding, expected[f"{mode}.flow_embedding"])
    close(features.embedding, expected[f"{mode}.llm_embedding"])
    assert [len(features.speech_tokens)] == expected[f"{mode}.flow_prompt_speech_token_len"].tolist()
    assert [len(features.mel)] == expected[f"{mode}.prompt_speech_feat_len"].tolist()
    if mode == "zero_shot":
        close(features.speech_tokens, expected["zero_shot.llm_prompt_speech_token"], 0)


def test_conversion_takes_the_same_from_its_source_and_from_its_prompt(prompts: Prompts) -> None:
    features, expected = prompts.prompt, prompts.tensors
    num_tokens = len(features.speech_tokens)
    heard = [prompts.encoder.speech_tokens(prompts.at(16_000, name)).tolist() for name in prompts.audio]
    assert expected["vc.source_speech_token"][0].tolist() in heard
    close(features.speech_tokens, expected["vc.flow_prompt_speech_token"][:, :num_tokens], 0)  # uncut there
    close(features.mel, expected["vc.prompt_speech_feat"][:, : len(features.mel)])
    close(features.embedding, expected["vc.flow_embedding"])


def test_a_saved_voice_is_read_as_it_was_saved(prompts: Prompts) -> None:
    speakers = read_speakers(prompts.golden.model / "spk2info.pt")
    expected = prompts.tensors["sft.flow_embedding"][0]
    assert torch.equal(prompts.tensors["sft.llm_embedding"][0], expected)
    saved = [torch.tensor(speaker.features.embedding) for speaker in speakers.values()]
    assert any(torch.equal(embedding, expected) for embedding in saved)
