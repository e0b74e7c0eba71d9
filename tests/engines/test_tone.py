from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from cosystream.audio.pcm import from_pcm
from cosystream.audio.quality import longest_silence_seconds, num_clipped, peak, rms_dbfs, seam_jumps
from cosystream.engines.tone import CHUNK_SAMPLES, SAMPLE_RATE, Melody, ToneSynthesizer
from cosystream.errors import InvalidRequest
from cosystream.runtime.protocol import Synthesizer
from cosystream.types import AudioChunk, SynthesisRequest

STORY = "今天天气很好。Shall we go for a walk? 好的，3 点见！"


def speak(request: SynthesisRequest) -> list[AudioChunk]:
    synthesizer: Synthesizer[Melody] = ToneSynthesizer()
    return [chunk for chunk in synthesizer.synthesize(synthesizer.prepare(request)) if chunk is not None]


def pcm(text: str, speaker: str | None = None, speed: float = 1.0, seed: int | None = None) -> bytes:
    chunks = speak(SynthesisRequest(text, speaker=speaker, speed=speed, seed=seed))
    return b"".join(chunk.pcm for chunk in chunks)


def seconds(text: str, speed: float = 1.0) -> float:
    return len(pcm(text, speed=speed)) / 2 / SAMPLE_RATE


def waveforms(chunks: list[AudioChunk]) -> list[NDArray[np.float32]]:
    return [from_pcm(chunk.pcm) for chunk in chunks]


@pytest.mark.parametrize(
    ("text", "num_words"),
    [
        ("hello", 1),
        ("Hello, world!", 2),
        ("don't stop", 2),
        ("你好", 2),
        ("用Python写3行。", 5),
        ("𠮷野家", 3),
        ("50,000 km", 3),
        ("snake_case", 2),
        ("…… so? ……", 1),
        ("\n ok \n", 1),
    ],
)
def test_a_word_or_a_han_character_lasts_200_ms(text: str, num_words: int) -> None:
    assert seconds(text) == pytest.approx(0.2 * num_words)


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.77, 1.0, 1.3, 2.0, 4.0])
def test_speed_divides_the_duration(speed: float) -> None:
    assert seconds("one two three", speed) == pytest.approx(0.6 / speed, abs=3 * 0.5 / SAMPLE_RATE)


@pytest.mark.parametrize("text", ["", " ", "……", "?!", "🎵", "_"])
def test_a_text_without_a_letter_or_a_digit_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="nothing to say"):
        ToneSynthesizer().prepare(SynthesisRequest(text))


def test_the_same_request_gives_the_same_samples_whatever_the_seed() -> None:
    assert pcm(STORY) == pcm(STORY, seed=1) == pcm(STORY, seed=2)


def test_a_word_sounds_the_same_wherever_it_stands() -> None:
    assert pcm("ping") + pcm("PONG") + pcm("ping") == pcm("Ping pong ping")


def test_words_differ() -> None:
    assert len({pcm(word) for word in ("one", "two", "three", "四", "五")}) >= 4


def test_voices_differ() -> None:
    info = ToneSynthesizer().info
    assert info.speakers == ("中文女", "中文男", "英文女", "英文男")
    assert len({pcm("hello", speaker) for speaker in info.speakers}) == 4
    assert pcm("hello", info.default_speaker) == pcm("hello")


def test_a_word_is_a_tone_of_one_pitch_within_the_two_octaves_of_its_voice() -> None:
    spectrum = np.abs(np.fft.rfft(from_pcm(pcm("hello", "中文男"))))
    loudest_hertz = np.argmax(spectrum) / 0.2
    assert 215 <= loudest_hertz <= 4.1 * 220


@pytest.mark.parametrize("speed", [0.5, 0.9, 1.0, 1.7])
def test_chunks_last_100_ms_but_for_the_last_of_a_sentence(speed: float) -> None:
    chunks = speak(SynthesisRequest(STORY, speed=speed))
    for chunk, following in pairwise(chunks):
        if following.sentence is None:
            assert chunk.num_samples == CHUNK_SAMPLES
    assert all(0 < chunk.num_samples <= CHUNK_SAMPLES for chunk in chunks)


@pytest.mark.parametrize("speed", [1.0, 4.0])
def test_every_sentence_is_marked_once_where_it_begins(speed: float) -> None:
    sentences = ["一。", "Two three.", "四五六！"]
    chunks = speak(SynthesisRequest(" …… ".join(sentences), speed=speed))
    begins, offset = {}, 0
    for chunk in chunks:
        if chunk.sentence is not None:
            begins[chunk.sentence.strip(" …")] = offset * speed / SAMPLE_RATE
        offset += chunk.num_samples
    assert begins == pytest.approx({"一。": 0.0, "Two three.": 0.2, "四五六！": 0.6})
    assert sum(chunk.sentence is not None for chunk in chunks) == 3


@pytest.mark.parametrize("speed", [0.5, 1.0, 1.7, 4.0])
def test_neither_chunks_nor_words_meet_with_a_click(speed: float) -> None:
    heard = waveforms(speak(SynthesisRequest(STORY, speed=speed)))
    jumps = seam_jumps(heard)
    highest_hertz = 4 * 440.0  # a sine of f hertz moves by at most 2 pi f amplitude / rate from sample to sample
    assert jumps.at_seams <= jumps.inside < 1.01 * 2 * np.pi * highest_hertz * 0.25 / SAMPLE_RATE


def test_the_level_is_comfortable_and_never_drops_out() -> None:
    heard = np.concatenate(waveforms(speak(SynthesisRequest(STORY))))
    assert peak(heard) == pytest.approx(0.25, abs=0.001)
    assert -17 < rms_dbfs(heard, SAMPLE_RATE) < -15
    assert num_clipped(heard) == 0
    assert longest_silence_seconds(heard, SAMPLE_RATE) == 0


def test_the_first_chunk_does_not_wait_for_a_long_text() -> None:
    synthesizer = ToneSynthesizer()
    chunks = synthesizer.synthesize(synthesizer.prepare(SynthesisRequest("word " * 100_000)))
    assert next(chunks).num_samples == CHUNK_SAMPLES
    synthesizer.close()
