import io
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.audio import wav

PCM = bytes.fromhex("0000 ff7f 0080 0100")


@given(pcm=st.binary(max_size=200).map(lambda data: data[: len(data) // 2 * 2]), sample_rate=st.integers(8_000, 48_000))
def test_an_independent_reader_gets_the_samples_back(pcm: bytes, sample_rate: int) -> None:
    with wave.open(io.BytesIO(wav.encode(pcm, sample_rate))) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, sample_rate)
        assert file.getnframes() == len(pcm) // 2
        assert file.readframes(file.getnframes()) == pcm


def test_an_independent_writer_makes_the_same_file() -> None:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22_050)
        file.writeframes(PCM)
    assert wav.encode(PCM, 22_050) == buffer.getvalue()


@pytest.mark.parametrize("num_samples", [None, 0, 24_000])
def test_a_header_is_44_bytes(num_samples: int | None) -> None:
    assert len(wav.header(24_000, num_samples)) == wav.HEADER_BYTES == 44


def test_a_header_before_the_end_is_known_leaves_both_sizes_open() -> None:
    header = wav.header(24_000, None)
    assert header[4:8] == header[40:44] == b"\xff\xff\xff\xff"


def test_a_stream_of_unknown_length_can_be_read_to_its_end() -> None:
    with wave.open(io.BytesIO(wav.header(24_000, None) + PCM)) as file:
        assert file.getframerate() == 24_000
        assert file.readframes(1_000) == PCM
