import io
from contextlib import suppress
from itertools import pairwise

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from cosystream.audio import wav
from cosystream.audio.decode import decode
from cosystream.audio.pcm import to_pcm
from cosystream.audio.quality import rms_dbfs
from cosystream.errors import InvalidRequest

RATE = 24_000


def sine(seconds: float = 1.0) -> NDArray[np.float32]:
    waveform: NDArray[np.float32] = 0.5 * np.sin(
        2 * np.pi * 440 / RATE * np.arange(int(seconds * RATE)), dtype=np.float32
    )
    return waveform


def file_of(waveform: NDArray[np.float32], format_: str = "WAV", subtype: str = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform, RATE, format=format_, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize(
    ("format_", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
    ],
)
def test_every_usual_format_is_read(format_: str, subtype: str) -> None:
    recording = decode(file_of(sine(), format_, subtype), max_seconds=31)
    assert recording.waveform.dtype == np.float32
    assert recording.sample_rate == RATE
    assert recording.seconds == pytest.approx(1, abs=0.1)  # codecs pad
    spectrum = np.abs(np.fft.rfft(recording.waveform))
    assert spectrum.argmax() / recording.seconds == pytest.approx(440, abs=1)
    assert rms_dbfs(recording.waveform, RATE) == pytest.approx(rms_dbfs(sine(), RATE), abs=0.5)


def test_a_16_bit_sample_is_divided_by_32768() -> None:
    pcm = np.array([-32768, -1, 0, 1, 32767], "<i2")
    recording = decode(wav.encode(pcm.tobytes(), RATE), max_seconds=31)
    assert (recording.waveform * 32768).tolist() == pcm.tolist()


def test_a_stream_that_was_saved_with_the_header_it_came_with_is_read() -> None:
    recording = decode(wav.header(RATE, None) + to_pcm(sine()), max_seconds=31)
    assert recording.seconds == 1


@pytest.mark.parametrize("num_channels", [2, 8, 100])
def test_channels_are_averaged(num_channels: int) -> None:
    gains = np.linspace(0, 1, num_channels, dtype=np.float32)
    recording = decode(file_of(sine()[:, None] * gains, subtype="FLOAT"), max_seconds=31)
    np.testing.assert_allclose(recording.waveform, sine() / 2, atol=1e-6)


def test_a_recording_longer_than_a_block_is_whole() -> None:
    assert np.array_equal(decode(file_of(sine(3), subtype="FLOAT"), max_seconds=31).waveform, sine(3))


def test_no_more_is_read_than_asked_for() -> None:
    file = file_of(np.zeros(600 * RATE, np.float32), "FLAC")
    assert len(file) < 200_000
    assert decode(file, max_seconds=31).seconds == 31
    assert np.array_equal(decode(file_of(sine(), subtype="FLOAT"), max_seconds=0.25).waveform, sine(0.25))


def test_what_a_cut_off_upload_still_holds_is_read() -> None:
    file = file_of(sine())
    assert decode(file[: len(file) // 2], max_seconds=31).seconds == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"this is a letter, not a recording",
        b"RIFF" + bytes(100),
        b"OggS" + bytes(1000),
        b"fLaC" + bytes(100),
        file_of(sine(), "FLAC")[:9000],
        b"\x1a\x45\xdf\xa3" + bytes(100),
    ],
)
def test_what_cannot_be_decoded_is_refused_with_what_would_do(file: bytes) -> None:
    with pytest.raises(InvalidRequest, match=r"^prompt_wav: is damaged or not an audio file .* send WAV") as caught:
        decode(file, max_seconds=31)
    assert caught.value.field == "prompt_wav"


def test_a_damaged_file_is_read_in_part_or_refused() -> None:
    valid, damage = file_of(sine(), "OGG", "VORBIS"), np.random.default_rng(0)
    for start, end in pairwise(range(0, len(valid), len(valid) // 30)):
        with suppress(InvalidRequest):
            waveform = decode(valid[:start] + damage.bytes(end - start) + valid[end:], max_seconds=31).waveform
            assert np.isfinite(waveform).all()


def test_a_file_without_sound_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"^prompt_wav: holds no sound") as caught:
        decode(wav.encode(b"", RATE), max_seconds=31)
    assert caught.value.field == "prompt_wav"


@pytest.mark.parametrize("sample", [np.nan, np.inf])
def test_samples_that_are_not_numbers_are_refused(sample: float) -> None:
    with pytest.raises(InvalidRequest, match=r"^prompt_wav: holds samples that are not finite") as caught:
        decode(file_of(np.array([0, sample], np.float32), subtype="FLOAT"), max_seconds=31)
    assert caught.value.field == "prompt_wav"
