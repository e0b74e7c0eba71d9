"""The embedded voice, written down by a recogniser whose own mistakes count as the voice's."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from cosystream.audio.pcm import from_pcm
from cosystream.audio.quality import leading_silence_seconds, num_clipped, rms_dbfs
from cosystream.engines.kokoro.synthesizer import KokoroSynthesizer
from cosystream.types import SynthesisRequest
from tests.asr.sentences import ENGLISH, MANDARIN, MIXED, Sentence
from tests.support.recogniser import Errors, Recogniser, character_errors, pinyin_errors, word_errors

pytestmark = [pytest.mark.asr, pytest.mark.timeout(600)]

MANDARIN_SPEAKERS = ["中文女", "中文男"]
ENGLISH_SPEAKERS = ["英文女", "英文男"]

BATCH = 3
"""A transcription costs a second however short the audio is, up to 30 s."""
PAUSE_SECONDS = 0.7

Waveform = NDArray[np.float32]


class Speaker:
    """Says sentences, each once."""

    def __init__(self, synthesizer: KokoroSynthesizer, name: str) -> None:
        self.sample_rate = synthesizer.info.sample_rate
        self._synthesizer = synthesizer
        self._name = name
        self._said: dict[str, Waveform] = {}

    def say(self, text: str) -> Waveform:
        if text not in self._said:
            request = SynthesisRequest(text, speaker=self._name)
            chunks = self._synthesizer.synthesize(self._synthesizer.prepare(request))
            self._said[text] = from_pcm(b"".join(chunk.pcm for chunk in chunks))
        return self._said[text]


@dataclass(frozen=True, slots=True)
class Transcript:
    said: str
    heard: str


def transcripts(
    recogniser: Recogniser, speaker: Speaker, sentences: Sequence[Sentence], language: str
) -> Iterator[Transcript]:
    pause = np.zeros(round(PAUSE_SECONDS * speaker.sample_rate), np.float32)
    for start in range(0, len(sentences), BATCH):
        batch = sentences[start : start + BATCH]
        waveform = np.concatenate([part for sentence in batch for part in (speaker.say(sentence.text), pause)])
        heard = recogniser.transcribe(waveform, speaker.sample_rate, language)
        yield Transcript(" ".join(sentence.words for sentence in batch), heard)


@pytest.fixture(scope="module")
def speakers(kokoro: KokoroSynthesizer) -> dict[str, Speaker]:
    return {name: Speaker(kokoro, name) for name in [*MANDARIN_SPEAKERS, *ENGLISH_SPEAKERS]}


@pytest.mark.parametrize("name", MANDARIN_SPEAKERS)
def test_mandarin_is_understood(recogniser: Recogniser, speakers: dict[str, Speaker], name: str) -> None:
    heard = list(transcripts(recogniser, speakers[name], MANDARIN, "zh"))
    characters = sum((character_errors(one.said, one.heard) for one in heard), Errors(0, 0))
    pinyin = sum((pinyin_errors(one.said, one.heard) for one in heard), Errors(0, 0))
    assert characters.rate <= 0.12, heard
    assert pinyin.rate <= 0.05, heard


@pytest.mark.parametrize("name", ENGLISH_SPEAKERS)
def test_english_is_understood(recogniser: Recogniser, speakers: dict[str, Speaker], name: str) -> None:
    heard = list(transcripts(recogniser, speakers[name], ENGLISH, "en"))
    words = sum((word_errors(one.said, one.heard) for one in heard), Errors(0, 0))
    assert words.rate <= 0.05, heard


@pytest.mark.parametrize("name", MANDARIN_SPEAKERS)
def test_mandarin_around_an_english_word_is_understood(
    recogniser: Recogniser, speakers: dict[str, Speaker], name: str
) -> None:
    # The English word itself is spoken, but this recogniser garbles it.
    (transcript,) = transcripts(recogniser, speakers[name], [MIXED], "zh")
    assert pinyin_errors(transcript.said, transcript.heard).rate <= 0.15, transcript


@pytest.mark.parametrize("name", [*MANDARIN_SPEAKERS, *ENGLISH_SPEAKERS])
def test_speech_begins_at_once_and_is_loud_enough(speakers: dict[str, Speaker], name: str) -> None:
    speaker = speakers[name]
    for sentence in MANDARIN[:4] if name in MANDARIN_SPEAKERS else ENGLISH[:4]:
        waveform = speaker.say(sentence.text)
        assert leading_silence_seconds(waveform, speaker.sample_rate) < 0.3
        assert -26 < rms_dbfs(waveform, speaker.sample_rate) < -16
        assert num_clipped(waveform) == 0
