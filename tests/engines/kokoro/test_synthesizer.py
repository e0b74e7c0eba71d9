from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cosystream.audio.pcm import from_pcm
from cosystream.audio.quality import (
    leading_silence_seconds,
    longest_silence_seconds,
    num_clipped,
    rms_dbfs,
    seam_jumps,
)
from cosystream.engines.kokoro.synthesizer import KokoroSynthesizer
from cosystream.engines.kokoro.voices import VOICES
from cosystream.errors import ConfigError, InvalidRequest
from cosystream.types import AudioChunk, SynthesisRequest

RATE = 24_000
MANDARIN = "今天天气很好，我们去公园吧。"
ENGLISH = "We spent the whole afternoon at the beach."
MIXED = "我用 Python 写了一个 server。"


def speak(kokoro: KokoroSynthesizer, text: str, speaker: str | None = None, speed: float = 1.0) -> list[AudioChunk]:
    request = SynthesisRequest(text, speaker=speaker, speed=speed)
    return list(kokoro.synthesize(kokoro.prepare(request)))


def waveform(chunks: Sequence[AudioChunk]) -> NDArray[np.float32]:
    return from_pcm(b"".join(chunk.pcm for chunk in chunks))


@pytest.mark.parametrize("speaker", [voice.name for voice in VOICES])
def test_every_voice_is_as_loud_as_it_should_be_and_begins_at_once(kokoro: KokoroSynthesizer, speaker: str) -> None:
    spoken = waveform(speak(kokoro, MIXED, speaker))
    assert 1.5 < len(spoken) / RATE < 4.0
    assert -26 < rms_dbfs(spoken, RATE) < -16
    assert num_clipped(spoken) == 0
    assert leading_silence_seconds(spoken, RATE) < 0.1


@pytest.mark.parametrize("text", [MANDARIN, ENGLISH, MIXED])
def test_audio_leaves_long_before_the_sentence_is_computed(kokoro: KokoroSynthesizer, text: str) -> None:
    chunks = speak(kokoro, text)
    assert len(chunks) >= 4
    assert chunks[0].num_samples / RATE < 0.4
    assert max(chunk.num_samples for chunk in chunks) / RATE <= 0.8


def test_seams_are_not_heard(kokoro: KokoroSynthesizer) -> None:
    chunks = speak(kokoro, MANDARIN + ENGLISH)
    jumps = seam_jumps([from_pcm(chunk.pcm) for chunk in chunks])
    assert jumps.at_seams < jumps.inside / 2


def test_the_same_request_gives_the_same_bytes_whatever_is_spoken_between(kokoro: KokoroSynthesizer) -> None:
    alone = speak(kokoro, MANDARIN)
    mandarin = kokoro.synthesize(kokoro.prepare(SynthesisRequest(MANDARIN, seed=7)))
    english = kokoro.synthesize(kokoro.prepare(SynthesisRequest(ENGLISH, speaker="英文男", speed=1.3)))
    interleaved = []
    for chunk in mandarin:
        interleaved.append(chunk)
        next(english, None)
    assert interleaved == alone


def test_each_sentence_is_announced_where_it_begins_to_sound(kokoro: KokoroSynthesizer) -> None:
    chunks = speak(kokoro, " 你好！3 点见。\n……\n😀 Bye! ")
    assert [chunk.sentence for chunk in chunks if chunk.sentence] == ["你好！", "3 点见。", "😀 Bye!"]
    assert chunks[0].sentence == "你好！"
    assert all(any(chunk.pcm) for chunk in chunks if chunk.sentence)


def test_pauses_are_as_long_as_a_speaker_makes_them(kokoro: KokoroSynthesizer) -> None:
    for end_of_sentence in ("。", "\n"):
        silence = longest_silence_seconds(waveform(speak(kokoro, f"天气很好{end_of_sentence}去公园吧")), RATE)
        assert 0.3 < silence < 0.6
    assert 0.1 < longest_silence_seconds(waveform(speak(kokoro, "天气很好，去公园吧")), RATE) < 0.3


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_speed_changes_how_long_it_takes(kokoro: KokoroSynthesizer, speed: float) -> None:
    normal, changed = (len(waveform(speak(kokoro, MANDARIN, speed=each))) for each in (1.0, speed))
    assert changed == pytest.approx(normal / speed, rel=0.25)


def test_of_a_text_without_any_pause_nothing_is_lost(kokoro: KokoroSynthesizer) -> None:
    words = "今天我们一起去公园散步看花"
    once, often = (len(waveform(speak(kokoro, words * times, speed=2.0))) for times in (1, 6))
    assert often == pytest.approx(6 * once, rel=0.2)


def test_a_long_number_is_read_to_its_end(kokoro: KokoroSynthesizer) -> None:
    half, whole = (len(waveform(speak(kokoro, "12345" * times, speed=2.0))) for times in (3, 6))
    assert whole == pytest.approx(2 * half, rel=0.2)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("Привет, 你好", "no voice here reads П р и в е т; .* Mandarin and English"),
        ("こんにちは", "no voice here reads こ ん に ち は; .* Mandarin and English"),
        ("안녕", "no voice here reads .*; .* Mandarin and English"),
        ("😀👍", "nothing to say in it; .* Mandarin and English"),
        ("……！？", "nothing to say in it; .* Mandarin and English"),
    ],
)
def test_what_no_voice_can_read_is_refused_with_the_reason(
    kokoro: KokoroSynthesizer, text: str, complaint: str
) -> None:
    with pytest.raises(InvalidRequest, match=complaint):
        kokoro.prepare(SynthesisRequest(text))


def test_a_listener_may_leave_at_any_moment(kokoro: KokoroSynthesizer) -> None:
    alone = speak(kokoro, "你好。")
    for num_chunks in (0, 1, 3):
        leaving = kokoro.synthesize(kokoro.prepare(SynthesisRequest(ENGLISH)))
        for _ in range(num_chunks):
            next(leaving)
        del leaving
    assert speak(kokoro, "你好。") == alone


def test_it_says_what_it_is(kokoro: KokoroSynthesizer) -> None:
    assert (kokoro.info.name, kokoro.info.sample_rate) == ("kokoro", RATE)
    assert kokoro.info.default_speaker == kokoro.info.speakers[0] == "中文女"
    assert not kokoro.info.can_instruct
    assert not kokoro.info.can_clone


def test_without_a_folder_for_its_cache_it_does_not_start(tmp_path: Path) -> None:
    occupied = tmp_path / "occupied"
    occupied.touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        KokoroSynthesizer(cache_dir=occupied, num_threads=1)
