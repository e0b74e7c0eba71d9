import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from cosystream.audio.pcm import from_pcm, to_pcm
from cosystream.audio.quality import rms_dbfs
from cosystream.audio.tempo import Tempo
from cosystream.engines.tone import FADE_SAMPLES, WORD_SAMPLES, ToneSynthesizer
from cosystream.types import SynthesisRequest

RATE = 24_000
TEMPOS = [0.25, 0.5, 0.7, 0.9, 1.1, 1.5, 2.0, 3.0, 4.0]
ANY_TEMPO = pytest.mark.parametrize("tempo", TEMPOS)


def sine(hertz: float, seconds: float = 1.0, sample_rate: int = RATE) -> bytes:
    times = np.arange(round(sample_rate * seconds)) / sample_rate
    return to_pcm((0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32))


def noise(num_samples: int) -> bytes:
    return to_pcm(np.random.default_rng(7).uniform(-0.9, 0.9, num_samples).astype(np.float32))


def melody() -> bytes:
    synthesizer = ToneSynthesizer()
    prepared = synthesizer.prepare(SynthesisRequest("one two three four five six seven eight nine ten"))
    return b"".join(chunk.pcm for chunk in synthesizer.synthesize(prepared))


def glide(seconds: float = 2.0) -> tuple[bytes, NDArray[np.float64]]:
    """A voice that rises from 90 to 300 Hz, in eight harmonics, and how high it is at each sample."""
    hertz = np.geomspace(90, 300, round(RATE * seconds))
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    voice = sum(np.sin(number * phase) / number for number in range(1, 9))
    return to_pcm((0.2 * np.asarray(voice)).astype(np.float32)), hertz


def at_tempo(tempo: float, *pieces: bytes, sample_rate: int = RATE) -> bytes:
    changed = Tempo(sample_rate, tempo)
    return b"".join([*map(changed.feed, pieces), changed.finish()])


def pitch(waveform: NDArray[np.float32], sample_rate: int = RATE) -> float:
    """In hertz: the place of the highest peak of the spectrum, between the bins."""
    padded = 8 * waveform.size
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(waveform.size), padded))
    return float(spectrum.argmax() * sample_rate / padded)


@given(
    num_samples=st.integers(0, 6_000),
    cuts=st.lists(st.integers(0, 6_000), max_size=8).map(sorted),
    tempo=st.floats(0.25, 4.0),
)
def test_fed_in_pieces_gives_the_same_bytes(num_samples: int, cuts: list[int], tempo: float) -> None:
    pcm = noise(num_samples)
    ends = [2 * cut for cut in cuts]
    pieces = [pcm[begin:end] for begin, end in zip([0, *ends], [*ends, len(pcm)], strict=True)]
    assert at_tempo(tempo, *pieces) == at_tempo(tempo, pcm)


@ANY_TEMPO
def test_a_steady_tone_fed_in_pieces_gives_the_same_bytes(tempo: float) -> None:
    pcm = sine(440.0)  # every period is as good as the next
    pieces = [pcm[begin : begin + 346] for begin in range(0, len(pcm), 346)]
    assert at_tempo(tempo, *pieces) == at_tempo(tempo, pcm)


@given(
    num_samples=st.integers(0, 10_000), tempo=st.floats(0.25, 4.0), sample_rate=st.sampled_from([8_000, 22_050, RATE])
)
def test_all_output_is_as_long_as_it_should_be_to_the_nearest_sample(
    num_samples: int, tempo: float, sample_rate: int
) -> None:
    num_out = len(at_tempo(tempo, noise(num_samples), sample_rate=sample_rate)) // 2
    assert abs(num_out - num_samples / tempo) <= 0.5


@ANY_TEMPO
@pytest.mark.parametrize("hertz", [70.0, 220.0, 440.0, 1_000.0, 3_000.0])
def test_a_tone_keeps_its_pitch_and_its_level_and_stays_pure(tempo: float, hertz: float) -> None:
    heard = from_pcm(at_tempo(tempo, sine(hertz, 2.0)))
    inner = heard[RATE // 20 : -RATE // 20]
    assert pitch(inner) == pytest.approx(hertz, rel=0.005)
    assert rms_dbfs(inner, RATE) == pytest.approx(-9.03, abs=0.1)
    power = np.abs(np.fft.rfft(inner * np.blackman(inner.size))) ** 2
    place = round(hertz * inner.size / RATE)
    around = power[max(place - 12, 0) : place + 13].sum()
    assert (power.sum() - around) / around < 1e-3


@ANY_TEMPO
def test_words_come_in_order_at_their_pitch_and_at_their_time(tempo: float) -> None:
    said = from_pcm(melody())
    heard = from_pcm(at_tempo(tempo, melody()))
    for begin in range(0, said.size, WORD_SAMPLES):
        word = said[begin + FADE_SAMPLES : begin + WORD_SAMPLES - FADE_SAMPLES]
        place, end = (round(edge / tempo) for edge in (begin, begin + WORD_SAMPLES))
        margin = (end - place) // 5
        assert pitch(heard[place + margin : end - margin]) == pytest.approx(pitch(word), rel=0.01)


@ANY_TEMPO
def test_a_gliding_voice_keeps_its_pitch(tempo: float) -> None:
    voice, hertz = glide()
    heard = from_pcm(at_tempo(tempo, voice))
    errors = []
    for middle in range(RATE // 20, heard.size - RATE // 20, RATE // 100):
        said = hertz[round(middle * tempo)]
        errors.append(fundamental(heard, middle, said) / said - 1)
    assert np.abs(errors).max() < 0.01


def fundamental(waveform: NDArray[np.float32], middle: int, near: float) -> float:
    """In hertz: the lag at which the waveform is most like itself around ``middle``, between the samples."""
    half = RATE // 100
    lags = np.arange(int(RATE / near / 1.26), int(RATE / near * 1.26) + 1)
    likeness = []
    for lag in lags:
        early, late = (waveform[begin - half : begin + half] for begin in (middle - lag // 2, middle - lag // 2 + lag))
        likeness.append(early @ late / np.linalg.norm(early) / np.linalg.norm(late))
    best = min(max(int(np.argmax(likeness)), 1), lags.size - 2)
    left, top, right = likeness[best - 1 : best + 2]
    return float(RATE / (lags[best] + 0.5 * (left - right) / (left - 2 * top + right)))


@ANY_TEMPO
def test_nothing_clicks(tempo: float) -> None:
    for pcm in (melody(), glide()[0], sine(220.0)):
        steepest = np.abs(np.diff(from_pcm(pcm))).max()
        assert np.abs(np.diff(from_pcm(at_tempo(tempo, pcm)))).max() < 1.1 * steepest


@ANY_TEMPO
def test_silence_stays_silence(tempo: float) -> None:
    assert set(at_tempo(tempo, bytes(RATE))) == {0}


def test_the_loudest_samples_do_not_wrap_around() -> None:
    square = np.where(np.arange(RATE) // 100 % 2, 32767, -32768).astype("<i2").tobytes()
    heard = np.frombuffer(at_tempo(1.3, square), "<i2")
    assert (heard.min(), heard.max()) == (-32768, 32767)


@pytest.mark.parametrize("tempo", [0.25, 1.0, 4.0])
def test_nothing_becomes_nothing(tempo: float) -> None:
    assert at_tempo(tempo) == at_tempo(tempo, b"", b"") == b""


def test_tempo_1_passes_the_same_object_through() -> None:
    tempo, pcm = Tempo(RATE, 1.0), noise(100)
    assert tempo.feed(pcm) is pcm
    assert tempo.finish() == b""


@ANY_TEMPO
def test_output_lags_behind_input_by_little(tempo: float) -> None:
    changed, num_out = Tempo(RATE, tempo), 0
    for num_in in range(240, RATE, 240):
        num_out += len(changed.feed(bytes(480))) // 2
        assert num_in / tempo - num_out < 0.05 * RATE / min(tempo, 1.0)


def test_the_last_samples_come_at_the_end() -> None:
    click = bytes(2 * RATE) + to_pcm(np.full(48, 0.5, np.float32))
    changed = Tempo(RATE, 0.8)
    assert not any(changed.feed(click))
    assert np.abs(from_pcm(changed.finish())).max() > 0.4
