import gc
import io
import os
import wave
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cosystream.audio.decode import decode
from cosystream.audio.encode import Encoder, FileEncoder
from cosystream.audio.formats import FORMATS, Format
from cosystream.audio.pcm import from_pcm, to_pcm
from cosystream.audio.resample import Resampler
from tests.support.decoding import decoded, delay, snr_db

ANY = pytest.mark.parametrize("format_", FORMATS)
LOSSLESS: tuple[Format, ...] = ("pcm", "wav", "flac")
HEADERLESS: tuple[Format, ...] = ("pcm", "mulaw", "alaw")
PACKETS: tuple[Format, ...] = ("mp3", "opus", "flac", "aac")
THREADS = Path("/proc/self/task")
BIT_RATES: tuple[Format, ...] = ("mp3", "opus", "aac")
LONGEST_LAG_SECONDS = {"aac": 0.13, "mp3": 0.095, "opus": 0.04, "flac": 0.02}
"""At 24 kHz, where three packets of AAC last 128 ms, of MP3 72."""


def rate_of(format_: Format) -> int:
    return 8_000 if format_ in ("mulaw", "alaw") else 24_000


def voice(sample_rate: int, seconds: float = 2.0) -> bytes:
    """Harmonics that glide and syllables that come and go: no two moments are alike."""
    times = np.arange(round(sample_rate * seconds)) / sample_rate
    phase = 2 * np.pi * np.cumsum(120 + 60 * np.sin(3 * times) + 25 * times) / sample_rate
    tones = sum(np.sin(number * phase) / number for number in range(1, 12))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 3.7 * times)
    return to_pcm((0.2 * syllables * np.asarray(tones)).astype(np.float32))


def encoded(format_: Format, *pieces: bytes, bit_rate: int | None = None) -> bytes:
    encoder = Encoder(format_, rate_of(format_), bit_rate)
    return b"".join([*map(encoder.feed, pieces), encoder.finish()])


def encode(pcm: bytes, format_: Format, num_bytes: int = 5_000) -> bytes:
    """A whole file, of ``num_bytes`` of ``pcm`` at a time."""
    encoder = FileEncoder(format_, rate_of(format_))
    for begin in range(0, len(pcm), num_bytes):
        encoder.feed(pcm[begin : begin + num_bytes])
    return b"".join(encoder.finish())


def heard_in(file: bytes, format_: Format) -> NDArray[np.float32]:
    """The samples at the rate that went in."""
    recording, rate = decoded(file, format_, rate_of(format_)), rate_of(format_)
    resampler = Resampler(recording.sample_rate, rate)
    return from_pcm(resampler.feed(to_pcm(recording.waveform)) + resampler.finish())


@ANY
def test_what_is_heard_is_what_was_said(format_: Format) -> None:
    rate = rate_of(format_)
    said, heard = from_pcm(voice(rate)), heard_in(encoded(format_, voice(rate)), format_)
    assert snr_db(heard, said) > {"opus": 25, "mp3": 35, "aac": 35, "mulaw": 35, "alaw": 35}.get(format_, 150)
    late = delay(heard, said)
    assert 0 <= late < 0.1 * rate
    assert 0 <= heard.size - late - said.size < 0.1 * rate  # codecs fill their last packet


@pytest.mark.parametrize("format_", LOSSLESS)
def test_formats_that_lose_nothing_lose_nothing(format_: Format) -> None:
    pcm = np.random.default_rng(7).integers(-32768, 32768, 10_007).astype("<i2").tobytes()
    assert to_pcm(decoded(encoded(format_, pcm), format_, 24_000).waveform) == pcm


@pytest.mark.parametrize("format_", ["wav", "mp3", "opus"])
def test_other_readers_understand_it_too(format_: Format) -> None:
    file = encoded(format_, voice(24_000))
    recording = decode(file, max_seconds=31)  # by libsndfile
    assert recording.sample_rate == 24_000
    assert recording.seconds == pytest.approx(2, abs=0.1)
    assert snr_db(recording.waveform, from_pcm(voice(24_000))) > 25


@settings(deadline=None, max_examples=20)
@given(cuts=st.lists(st.integers(0, 8_000), max_size=8).map(sorted), num_samples=st.integers(1, 8_000))
@pytest.mark.parametrize("format_", ["wav", "pcm", "mulaw", "alaw", "flac", "aac", "mp3"])
def test_fed_in_pieces_gives_the_same_bytes(format_: Format, cuts: list[int], num_samples: int) -> None:
    pcm = voice(8_000, 1.0)[: 2 * num_samples]
    ends = [2 * cut for cut in cuts]
    pieces = [pcm[begin:end] for begin, end in zip([0, *ends], [*ends, len(pcm)], strict=True)]
    assert encoded(format_, *pieces) == encoded(format_, pcm)


@pytest.mark.parametrize("num_samples", [1, 100, 479, 960, 2_400, 7_001])
def test_opus_fed_in_pieces_is_heard_as_the_same(num_samples: int) -> None:
    pcm = voice(24_000)
    pieces = [pcm[begin : begin + 2 * num_samples] for begin in range(0, len(pcm), 2 * num_samples)]
    whole, cut = (decoded(file, "opus", 24_000) for file in (encoded("opus", pcm), encoded("opus", *pieces)))
    assert np.array_equal(whole.waveform, cut.waveform)


@ANY
def test_at_any_moment_what_can_be_heard_lags_behind_by_little(format_: Format) -> None:
    rate = rate_of(format_)
    pcm, encoder = voice(rate, 1.5), Encoder(format_, rate)
    late = delay(heard_in(encoded(format_, pcm), format_), from_pcm(pcm)) / rate
    sent, moments = b"", []
    for end in range(rate // 50, rate * 3 // 2, rate // 50):
        sent += encoder.feed(pcm[2 * end - rate // 50 * 2 : 2 * end])
        moments.append((end / rate, len(sent)))
    for seconds, num_bytes in moments[::5]:
        heard = decoded(sent[:num_bytes], format_, rate).seconds - late
        assert seconds - heard <= LONGEST_LAG_SECONDS.get(format_, 1e-9)
    first = next(seconds for seconds, num_bytes in moments if num_bytes)
    assert first <= 0.1


@pytest.mark.parametrize("format_", ["pcm", "wav", "mulaw", "alaw"])
def test_formats_without_packets_hold_nothing_back(format_: Format) -> None:
    encoder = Encoder(format_, rate_of(format_))
    first, second = encoder.feed(bytes(200)), encoder.feed(bytes(200))
    assert first[-len(second) :] == second
    assert len(second) in (100, 200)
    assert encoder.finish() == b""


@ANY
def test_nothing_comes_before_the_first_samples(format_: Format) -> None:
    encoder = Encoder(format_, rate_of(format_))
    assert encoder.feed(b"") == encoder.feed(b"") == b""


@ANY
def test_a_file_without_sound_is_a_file(format_: Format) -> None:
    for file in (encoded(format_), encoded(format_, b"", b""), encode(b"", format_)):
        assert (file == b"") == (format_ in HEADERLESS)
        assert decoded(file, format_, rate_of(format_)).seconds < 0.1


@ANY
def test_a_single_sample_is_a_file(format_: Format) -> None:
    assert decoded(encoded(format_, bytes(2)), format_, rate_of(format_)).seconds <= 0.15


def test_a_streamed_wav_has_one_header_that_leaves_both_sizes_open() -> None:
    pcm = voice(24_000)
    encoder = Encoder("wav", 24_000)
    first = encoder.feed(pcm[:2400])
    assert first[:8] == b"RIFF\xff\xff\xff\xff"
    assert first[40:44] == b"\xff\xff\xff\xff"
    assert first[44:] + encoder.feed(pcm[2400:]) + encoder.finish() == pcm


def test_a_whole_wav_says_how_long_it_is() -> None:
    pcm = voice(24_000)
    with wave.open(io.BytesIO(encode(pcm, "wav"))) as file:
        assert file.getnframes() == len(pcm) // 2


@pytest.mark.parametrize("format_", ["wav", "flac", "mp3", "opus"])
def test_a_whole_file_is_as_long_as_the_samples(format_: Format) -> None:
    pcm = voice(24_000, 1.2345)
    with soundfile.SoundFile(io.BytesIO(encode(pcm, format_))) as file:
        assert (file.frames, file.samplerate) == (len(pcm) // 2, 24_000)
        assert snr_db(file.read(dtype=np.float32), from_pcm(pcm)) > 25


@pytest.mark.parametrize("format_", [format_ for format_ in FORMATS if format_ != "opus"])
@pytest.mark.parametrize("num_bytes", [2, 346, 12_000])
def test_a_whole_file_fed_in_pieces_is_the_same(format_: Format, num_bytes: int) -> None:
    pcm = voice(rate_of(format_), 0.3)
    assert encode(pcm, format_, num_bytes) == encode(pcm, format_, len(pcm))


@pytest.mark.parametrize("num_bytes", [346, 12_000])
def test_a_whole_file_of_opus_fed_in_pieces_is_heard_as_the_same(num_bytes: int) -> None:
    pcm = voice(24_000)
    whole, cut = (decoded(encode(pcm, "opus", size), "opus", 24_000) for size in (len(pcm), num_bytes))
    assert np.array_equal(whole.waveform, cut.waveform)


@ANY
def test_a_whole_file_says_what_the_stream_would(format_: Format) -> None:
    pcm = voice(rate_of(format_))
    whole, streamed = encode(pcm, format_), encoded(format_, pcm)
    assert snr_db(heard_in(whole, format_), heard_in(streamed, format_)) > 25
    assert format_ not in PACKETS or len(whole) < 1.02 * len(streamed) + 1_000  # the tags of a file


@pytest.mark.parametrize("format_", BIT_RATES)
def test_a_bit_rate_is_kept(format_: Format) -> None:
    low, high = (len(encoded(format_, voice(24_000), bit_rate=bit_rate)) * 8 / 2 for bit_rate in (24_000, 48_000))
    assert high == pytest.approx(2 * low, rel=0.1)
    assert high == pytest.approx(48_000, rel=0.5 if format_ == "opus" else 0.15)  # which gives tones more


@pytest.mark.parametrize("bit_rate", [1, 10**9])
@pytest.mark.parametrize("format_", FORMATS)
def test_a_bit_rate_that_a_codec_lacks_gives_way_to_one_that_it_has(format_: Format, bit_rate: int) -> None:
    pcm = voice(rate_of(format_), 1.0)
    assert decoded(encoded(format_, pcm, bit_rate=bit_rate), format_, rate_of(format_)).seconds > 0.95


@pytest.mark.parametrize("format_", PACKETS)
def test_an_encoder_that_is_dropped_is_gone_at_once(format_: Format) -> None:
    gc.disable()
    try:
        encoder = Encoder(format_, 24_000)
        encoder.feed(voice(24_000))
        sink = weakref.ref(encoder._writer._sink)  # type: ignore[attr-defined]
        del encoder
        assert sink() is None
    finally:
        gc.enable()


@pytest.mark.skipif(not THREADS.exists(), reason="only Linux lists threads here")
@pytest.mark.parametrize("format_", PACKETS)
def test_an_encoder_starts_no_threads(format_: Format) -> None:
    processors, before = os.sched_getaffinity(0), set(THREADS.iterdir())
    encoder = Encoder(format_, 24_000)
    encoder.feed(voice(24_000))
    assert set(THREADS.iterdir()) <= before
    assert os.sched_getaffinity(0) == processors


@pytest.mark.parametrize("format_", PACKETS)
def test_each_call_may_come_from_another_thread(format_: Format) -> None:
    pcm, encoder, sent = voice(24_000), Encoder(format_, 24_000), b""
    for begin in range(0, len(pcm), 4_800):
        with ThreadPoolExecutor(1) as thread:
            sent += thread.submit(encoder.feed, pcm[begin : begin + 4_800]).result()
    with ThreadPoolExecutor(1) as thread:
        sent += thread.submit(encoder.finish).result()
    whole = decoded(encoded(format_, pcm), format_, 24_000)
    assert np.array_equal(decoded(sent, format_, 24_000).waveform, whole.waveform)


@ANY
def test_half_a_sample_is_a_mistake(format_: Format) -> None:
    for encoder in (Encoder(format_, rate_of(format_)), FileEncoder(format_, rate_of(format_))):
        with pytest.raises(AssertionError):
            encoder.feed(b"odd")
