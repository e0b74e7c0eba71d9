"""The embedded voice: text to speech with Kokoro-82M, sentence by sentence, clause by clause, window by window."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosystream.audio.pcm import to_pcm
from cosystream.engines.kokoro.model import SAMPLE_RATE, KokoroModel
from cosystream.engines.kokoro.phonemes import Phonemizer
from cosystream.engines.kokoro.silence import SENTENCE_PAUSE_SECONDS, audible, pause_seconds
from cosystream.engines.kokoro.tokens import load_vocabulary, split_to_fit
from cosystream.engines.kokoro.voices import DEFAULT_SPEAKER, VOICES, load_styles
from cosystream.engines.kokoro.windows import plan_windows
from cosystream.errors import InvalidRequest
from cosystream.text.normalize import Normalizer
from cosystream.text.split import split_clauses, split_sentences
from cosystream.types import AudioChunk, EngineInfo, SynthesisRequest, Voice

_FIRST_CLAUSE, _CLAUSE = 4, 20
"""In the weights of ``split_clauses``: half a second before the first pause will do, then longer flows better."""
_LETTERS_NAMED = 10


@dataclass(frozen=True, slots=True)
class Utterance:
    """A text that can be read, and how."""

    sentences: tuple[str, ...]
    voice: Voice
    speed: float
    normalize: bool


class KokoroSynthesizer:
    """A ``Synthesizer`` of Mandarin and English, mixed as they come.

    The same request gives the same samples, whatever the seed. A chunk is a window of a clause, 0.3 s of audio at first
    and then up to 0.8 s, or the pause before a clause.
    """

    def __init__(self, *, cache_dir: Path, num_threads: int) -> None:
        """Load everything, so that no request waits for it: 3 s, once more 2 s where ``cache_dir`` is empty.

        Raises ConfigError when packages are missing or damaged, or ``cache_dir`` cannot be written.
        """
        self.info = EngineInfo(
            name="kokoro",
            model="Kokoro-82M",
            sample_rate=SAMPLE_RATE,
            voices=VOICES,
            default_speaker=DEFAULT_SPEAKER,
            sentence_pause_seconds=SENTENCE_PAUSE_SECONDS,
        )
        self._voices = {voice.name: voice for voice in VOICES}
        self._styles = load_styles()
        self._vocabulary = load_vocabulary()
        self._model = KokoroModel(cache_dir, num_threads)
        self._normalize = Normalizer()
        self._phonemize = Phonemizer(cache_dir=cache_dir)
        self._warm_up()

    def prepare(self, request: SynthesisRequest) -> Utterance:
        """Raises InvalidRequest for text that the voices cannot read, or where there is nothing to read."""
        if unreadable := self._phonemize.unreadable(request.text):
            letters = " ".join(unreadable[:_LETTERS_NAMED])
            raise InvalidRequest(
                f"no voice here reads {letters}; the embedded voice reads Mandarin and English", field="text"
            )
        if not self._phonemize.has_readable(request.text):
            raise InvalidRequest(
                "there is nothing to say in it; the embedded voice reads Mandarin and English", field="text"
            )
        return Utterance(
            sentences=tuple(split_sentences(request.text)),
            voice=self._voices[request.speaker or DEFAULT_SPEAKER],
            speed=request.speed,
            normalize=request.normalize,
        )

    def synthesize(self, prepared: Utterance) -> Iterator[AudioChunk]:
        """Speak. A ``next`` computes one window or analyses one clause; only the first one does both."""
        style, speed = self._styles[prepared.voice.name], prepared.speed
        pause = 0.0
        for sentence in prepared.sentences:
            begins: str | None = sentence.strip()
            for phonemes in self._clauses(sentence, prepared, is_first=not pause):
                tokens = [self._vocabulary[symbol] for symbol in phonemes]
                vector = style.vector(len(tokens))
                acoustics = self._model.analyse(tokens, vector, speed)
                if pause:
                    yield AudioChunk(bytes(2 * round(pause / speed * SAMPLE_RATE)))
                for window in plan_windows(audible(acoustics.energy)):
                    waveform = self._model.speak(acoustics, window, vector, style.statistics)
                    yield AudioChunk(to_pcm(style.gain * waveform), begins)
                    begins = None
                pause = pause_seconds(phonemes)
            if pause:  # a line of a list may end without a sign
                pause = max(pause, SENTENCE_PAUSE_SECONDS)

    def close(self) -> None:
        """What is held is memory, and goes with this object."""

    def _clauses(self, sentence: str, utterance: Utterance, *, is_first: bool) -> Iterator[str]:
        """The phonemes of each clause in which something is to be heard, none too long for the model."""
        language = utterance.voice.languages[0]
        if utterance.normalize:
            sentence = self._normalize(sentence, language)
        for clause in split_clauses(sentence, first=_FIRST_CLAUSE if is_first else _CLAUSE, rest=_CLAUSE):
            for phonemes in split_to_fit(self._phonemize(clause, language=language)):
                if any(map(str.isalpha, phonemes)):
                    yield phonemes

    def _warm_up(self) -> None:
        """Speak a little of everything: dictionaries and grammars load when they are first needed."""
        next(self.synthesize(self.prepare(SynthesisRequest("你好2 hello"))))
