"""A recording to what the models take from it: speech tokens, mel frames and the speaker's embedding."""

import hashlib
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors
from torch import Tensor

from cosystream.audio.decode import Recording
from cosystream.audio.quality import num_clipped, voiced_seconds
from cosystream.engines.onnx_options import session_options
from cosystream.errors import CheckpointError, InvalidRequest
from cosystream.models.cosyvoice.config import CosyVoiceConfig
from cosystream.models.cosyvoice.features import (
    KALDI_RATE,
    WHISPER_RATE,
    kaldi_fbank,
    mel_spectrogram,
    resample,
    whisper_log_mel,
)
from cosystream.models.cosyvoice.folder import TOKENIZERS
from cosystream.models.cosyvoice.speakers import PromptFeatures

MIN_SECONDS = 0.5
MIN_VOICED_SECONDS = 0.3
"""Of it: a word. A click in silence is no voice."""
MAX_SECONDS = 30.0
"""The speech tokenizer was taught on no longer ones."""
GOOD_LENGTH = "3 to 10 seconds of one person speaking are best"
MIN_RATE = 16_000
MAX_RATE = 192_000
RATE_STEP = 50
"""The usual rates are multiples of it. Others would need resampling kernels of up to gigabytes."""
MAX_CLIPPED = 0.01
"""The share of samples at full scale. A recording made as loud as can be touches it now and then."""

_NUM_SAMPLES, _SAMPLE_BYTES = 16, 65_536
"""Of a graph, which may have a gigabyte: other weights differ everywhere."""

_BAD_GRAPH = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
)


class PromptEncoder:
    """The graphs of one checkpoint. Any thread may call it, several at once; the one that does computes."""

    def __init__(self, folder: Path, config: CosyVoiceConfig, num_threads: int) -> None:
        """Raises CheckpointError for a graph that is missing or cannot be used."""
        self._mel = config.mel
        self._frames_per_token = config.flow.token_mel_ratio
        tokenizer, speaker_encoder = folder / TOKENIZERS[config.version], folder / "campplus.onnx"
        self._speech_tokenizer = _session(tokenizer, num_threads, num_inputs=2)
        self._speaker_encoder = _session(speaker_encoder, num_threads, num_inputs=1)
        self.identity = f"{config.mel} {_digest(tokenizer)} {_digest(speaker_encoder)}"
        """Tells apart encoders that take other features from the same recording."""

    def encode(self, recording: Recording) -> PromptFeatures:
        """What the models take from ``recording``. Raises InvalidRequest for one that no voice can be learnt from."""
        check_recording(recording)
        waveform = torch.tensor(recording.waveform)
        tokens = self.speech_tokens(resample(waveform, recording.sample_rate, WHISPER_RATE))
        embedding = self.speaker_embedding(resample(waveform, recording.sample_rate, KALDI_RATE))
        mel = mel_spectrogram(resample(waveform, recording.sample_rate, self._mel.sample_rate), self._mel).numpy()
        num_tokens = min(len(mel) // self._frames_per_token, len(tokens))  # the flow needs them in step
        return PromptFeatures(tokens[:num_tokens], mel[: self._frames_per_token * num_tokens], embedding)

    def speech_tokens(self, waveform: Tensor) -> NDArray[np.int64]:
        """What is said and how, at 25 tokens a second: (N,) at 16 kHz -> (L,), L = N / 640 rounded up or so."""
        log_mel = whisper_log_mel(waveform)[None]  # (1, 128, T)
        features, length = self._speech_tokenizer.get_inputs()
        feed = {features.name: log_mel.numpy(), length.name: np.array([log_mel.size(-1)], np.int32)}
        tokens: NDArray[np.int64] = self._speech_tokenizer.run(None, feed)[0].reshape(-1).astype(np.int64)
        return tokens

    def speaker_embedding(self, waveform: Tensor) -> NDArray[np.float32]:
        """Who speaks: (N,) at 16 kHz -> (192,), not normalised."""
        (features,) = self._speaker_encoder.get_inputs()
        embedding: NDArray[np.float32] = self._speaker_encoder.run(
            None, {features.name: kaldi_fbank(waveform)[None].numpy()}
        )[0].reshape(-1)
        return embedding


def check_recording(recording: Recording, *, min_seconds: float = MIN_SECONDS) -> None:
    """Raise InvalidRequest, saying what would do, if no voice can be learnt from ``recording``."""
    rate, seconds = recording.sample_rate, recording.seconds
    if rate < MIN_RATE:
        raise InvalidRequest(
            f"is sampled at {rate} Hz, which is too dull to learn a voice from; "
            f"record it again at {MIN_RATE} Hz or more",
            field="prompt_wav",
        )
    if rate > MAX_RATE or rate % RATE_STEP:
        raise InvalidRequest(
            f"is sampled at {rate} Hz; convert it to 16000, 24000, 44100 or 48000 Hz", field="prompt_wav"
        )
    if seconds > MAX_SECONDS:
        raise InvalidRequest(f"is longer than {MAX_SECONDS:g} seconds; {GOOD_LENGTH}", field="prompt_wav")
    if seconds < min_seconds:
        said = f"is {seconds:.2f} seconds long, and {min_seconds:g} is the least; {GOOD_LENGTH}"
        raise InvalidRequest(said, field="prompt_wav")
    voiced = voiced_seconds(recording.waveform, rate)
    if not voiced:
        raise InvalidRequest("is silent, or too quiet to hold a voice; record it again, louder", field="prompt_wav")
    if voiced < MIN_VOICED_SECONDS:
        raise InvalidRequest(f"is silent but for {voiced:.2f} seconds; {GOOD_LENGTH}", field="prompt_wav")
    clipped = num_clipped(recording.waveform) / recording.waveform.size
    if clipped > MAX_CLIPPED:
        raise InvalidRequest(
            f"is overdriven, {clipped:.0%} of its samples are at full scale; record it again, more quietly",
            field="prompt_wav",
        )


def _digest(path: Path) -> str:
    """Of the size of a file and of samples of it."""
    num_bytes = path.stat().st_size
    digest = hashlib.sha256(str(num_bytes).encode())
    with path.open("rb") as file:
        for number in range(_NUM_SAMPLES):
            file.seek(number * max(0, num_bytes - _SAMPLE_BYTES) // (_NUM_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _session(path: Path, num_threads: int, *, num_inputs: int) -> ort.InferenceSession:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; prompts need it")
    options = session_options(num_threads)
    options.log_severity_level = 3  # errors: the optimizer's remarks on published graphs are nobody's concern
    try:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except _BAD_GRAPH:
        raise CheckpointError(f"{path}: is damaged or not a graph that can be run; download it again") from None
    if len(session.get_inputs()) != num_inputs:
        raise CheckpointError(f"{path}: has {len(session.get_inputs())} inputs, expected {num_inputs}")
    return session
