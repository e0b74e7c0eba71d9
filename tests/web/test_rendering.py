"""Speech as a client wants to have it: whatever is asked for together, and however it is cut."""

from collections.abc import Iterable

import numpy as np
import pytest

from cosystream.audio.formats import Format
from cosystream.audio.pcm import to_pcm
from cosystream.web.rendering import Renderer
from tests.support.decoding import decoded

RATE = 24_000
SPEECH = to_pcm((0.3 * np.sin(np.arange(RATE) * 2 * np.pi * 220 / RATE)).astype(np.float32))


async def rendered(renderer: Renderer, pieces: Iterable[bytes]) -> bytes:
    return b"".join([await renderer.feed(piece) for piece in pieces]) + await renderer.finish()


async def test_who_asks_for_nothing_gets_the_same_samples() -> None:
    assert await rendered(Renderer(RATE, "pcm", RATE), [SPEECH]) == SPEECH


@pytest.mark.parametrize("format_", ["pcm", "wav", "mp3", "opus"])
async def test_pieces_and_the_whole_are_the_same_file(format_: Format) -> None:
    pieces = [SPEECH[begin : begin + 3_000] for begin in range(0, len(SPEECH), 3_000)]
    in_pieces, whole = [
        decoded(await rendered(Renderer(RATE, format_, 16_000, gain=0.5, pitch=1.3), cut), format_, 16_000).waveform
        for cut in (pieces, [SPEECH])
    ]
    np.testing.assert_allclose(in_pieces, whole, atol=1e-3)


@pytest.mark.parametrize("pitch", [0.5, 0.9, 1.1, 2.0])
@pytest.mark.parametrize("sample_rate", [8_000, 24_000])
async def test_at_any_pitch_and_rate_it_lasts_as_long(pitch: float, sample_rate: int) -> None:
    spoken = await rendered(Renderer(RATE, "pcm", sample_rate, pitch=pitch), [SPEECH])
    assert len(spoken) / 2 == pytest.approx(sample_rate, abs=2)


async def test_a_rate_that_the_format_cannot_hold_gives_way_to_one_that_it_can() -> None:
    heard = decoded(await rendered(Renderer(RATE, "mp3", 23_000), [SPEECH]), "mp3", 24_000)
    assert heard.sample_rate == 24_000


async def test_nothing_comes_of_nothing() -> None:
    assert await Renderer(RATE, "wav", RATE).feed(b"") == b""
