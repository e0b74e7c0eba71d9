import numpy as np
import pytest
from numpy.typing import NDArray

from cosystream.audio.g711 import Law, compress
from tests.support.decoding import decoded

ALL = np.arange(-32768, 32768).astype("<i2")
LAWS = pytest.mark.parametrize("law", ["mulaw", "alaw"])


def expanded(codes: bytes, law: Law) -> NDArray[np.int64]:
    """By an independent decoder, to 16 bits."""
    return np.rint(decoded(codes, law, 8000).waveform * 32768).astype(np.int64)


@LAWS
def test_every_sample_becomes_a_code_that_stands_for_one_nearby(law: Law) -> None:
    levels = np.unique(expanded(bytes(range(256)), law))
    heard = expanded(compress(ALL.tobytes(), law), law)
    said = np.clip(ALL.astype(np.int64), levels[0], levels[-1])
    steps = np.diff(levels)
    place = np.clip(np.searchsorted(levels, said, side="right") - 1, 0, steps.size - 1)
    assert (np.abs(heard - said) <= steps[place] * 2 / 3).all()  # where steps change, the border is not in the middle
    assert (np.diff(heard) >= 0).all()


@LAWS
def test_a_code_survives_the_way_out_and_back(law: Law) -> None:
    codes = bytes(range(256))
    again = compress(expanded(codes, law).astype("<i2").tobytes(), law)
    assert (expanded(again, law) == expanded(codes, law)).all()
    assert sum(one != other for one, other in zip(codes, again, strict=True)) <= 1  # mu-law has a second zero


@pytest.mark.parametrize(
    ("law", "sample", "code"),
    [
        ("mulaw", 0, 0xFF),
        ("mulaw", 32767, 0x80),
        ("mulaw", -32768, 0x00),
        ("mulaw", -1, 0x7F),
        ("alaw", 0, 0xD5),
        ("alaw", -1, 0x55),
        ("alaw", 32767, 0xAA),
        ("alaw", -32768, 0x2A),
    ],
)
def test_the_codes_of_silence_and_of_the_loudest_are_those_of_the_standard(law: Law, sample: int, code: int) -> None:
    assert compress(sample.to_bytes(2, "little", signed=True), law) == bytes([code])


@LAWS
def test_a_byte_a_sample(law: Law) -> None:
    assert compress(b"", law) == b""
    assert len(compress(bytes(2000), law)) == 1000
