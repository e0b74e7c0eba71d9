"""An engine without a model: every word is a short tone. It serves tests and load measurements."""

import math
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from cosystream.audio.pcm import to_pcm
from cosystream.errors import InvalidRequest
from cosystream.text.scripts import HAN
from cosystream.text.split import split_sentences
from cosystream.types import AudioChunk, EngineInfo, SynthesisRequest, Voice

SAMPLE_RATE = 24_000
CHUNK_SAMPLES = 2_400
WORD_SAMPLES = 4_800
"""At speed 1: 200 ms, two chunks."""
FADE_SAMPLES = 120
AMPLITUDE = 0.25

_VOICES = (
    Voice("中文女", ("zh", "en"), "female"),
    Voice("中文男", ("zh", "en"), "male"),
    Voice("英文女", ("en", "zh"), "female"),
    Voice("英文男", ("en", "zh"), "male"),
)
_LOWEST_HERTZ = {"中文女": 440.0, "中文男": 220.0, "英文女": 392.0, "英文男": 196.0}
_SEMITONES = (0, 2, 4, 7, 9, 12, 14, 16, 19, 21)  # two octaves of a pentatonic scale: any order is a melody

_LETTERS = rf"(?:(?![{HAN}])[^\W_])+"
_WORD = re.compile(rf"[{HAN}]|{_LETTERS}(?:['’]{_LETTERS})*")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and the pitches of its words, of which there is at least one."""

    text: str
    hertz: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Melody:
    """A text, ready to be played."""

    sentences: tuple[Sentence, ...]
    word_samples: int


class ToneSynthesizer:
    """A ``Synthesizer`` of sine tones: the same text, voice and speed give the same samples, whatever the seed.

    A word (a run of letters and digits, or one Han character) lasts 200 ms at speed 1, and its pitch follows from the
    word and the voice. A sentence begins a chunk, so a sentence's last chunk may be shorter than 100 ms.
    """

    def __init__(self) -> None:
        self.info = EngineInfo(
            name="tone", model="tone", sample_rate=SAMPLE_RATE, voices=_VOICES, default_speaker=_VOICES[0].name
        )

    def prepare(self, request: SynthesisRequest) -> Melody:
        """Compose the text. Raises InvalidRequest where there is no word in it."""
        lowest_hertz = _LOWEST_HERTZ[request.speaker or self.info.default_speaker]
        spoken = ((text.strip(), _WORD.findall(text)) for text in split_sentences(request.text))
        sentences = tuple(
            Sentence(text, tuple(_pitch(word, lowest_hertz) for word in words)) for text, words in spoken if words
        )
        if not sentences:
            raise InvalidRequest("there is nothing to say in it; write at least one letter or digit", field="text")
        return Melody(sentences, word_samples=round(WORD_SAMPLES / request.speed))

    def synthesize(self, prepared: Melody) -> Iterator[AudioChunk]:
        """Play, 100 ms at a time."""
        for sentence in prepared.sentences:
            begins: str | None = sentence.text
            pending = b""
            for hertz in sentence.hertz:
                pending += _tone(hertz, prepared.word_samples)
                while len(pending) >= 2 * CHUNK_SAMPLES:
                    yield AudioChunk(pending[: 2 * CHUNK_SAMPLES], begins)
                    pending, begins = pending[2 * CHUNK_SAMPLES :], None
            if pending:
                yield AudioChunk(pending, begins)

    def close(self) -> None:
        """Nothing is held."""


def _pitch(word: str, lowest_hertz: float) -> float:
    note = zlib.crc32(word.casefold().encode()) % len(_SEMITONES)
    return lowest_hertz * math.exp2(_SEMITONES[note] / 12)


@lru_cache(maxsize=256)
def _tone(hertz: float, num_samples: int) -> bytes:
    """A sine that rises from silence and returns to it within 5 ms: words meet without a click."""
    radians = 2 * math.pi * hertz / SAMPLE_RATE * np.arange(num_samples)
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(FADE_SAMPLES) / FADE_SAMPLES)
    waveform = AMPLITUDE * np.sin(radians)
    waveform[:FADE_SAMPLES] *= rise
    waveform[-FADE_SAMPLES:] *= rise[::-1]
    return to_pcm(waveform.astype(np.float32))
