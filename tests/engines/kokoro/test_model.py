import numpy as np
import pytest

from cosystream.engines.kokoro.model import Acoustics, Floats, KokoroModel
from cosystream.engines.kokoro.tokens import load_vocabulary
from cosystream.engines.kokoro.voices import VoiceStyle, load_styles
from cosystream.engines.kokoro.windows import Frames, plan_windows

PHONEMES = "ʨi→ntʰjɛ→n tʰjɛ→nʨʰi↘ xə↓n xau↓, wˌi spˈɛnt ðə hˈOl ˌæftəɹnˈun."


@pytest.fixture(scope="module", params=["中文女", "英文男"])
def style(request: pytest.FixtureRequest) -> VoiceStyle:
    return load_styles()[request.param]


@pytest.fixture(scope="module")
def tokens() -> list[int]:
    vocabulary = load_vocabulary()
    return [vocabulary[symbol] for symbol in PHONEMES]


def spoken(model: KokoroModel, acoustics: Acoustics, window: Frames, style: VoiceStyle, tokens: list[int]) -> Floats:
    return model.speak(acoustics, window, style.vector(len(tokens)), style.statistics)


def snr_db(reference: Floats, other: Floats) -> float:
    noise = np.square(reference - other, dtype=np.float64).mean()
    return float(10 * np.log10(np.square(reference, dtype=np.float64).mean() / noise))


def test_windows_together_are_what_one_pass_gives(model: KokoroModel, style: VoiceStyle, tokens: list[int]) -> None:
    acoustics = model.analyse(tokens, style.vector(len(tokens)), speed=1.0)
    frames = Frames(0, len(acoustics.energy))
    whole = spoken(model, acoustics, frames, style, tokens)
    windows = [spoken(model, acoustics, window, style, tokens) for window in plan_windows(frames)]
    assert len(windows) > 4
    assert snr_db(whole, np.concatenate(windows)) > 120


def test_a_window_has_300_samples_a_frame(model: KokoroModel, style: VoiceStyle, tokens: list[int]) -> None:
    acoustics = model.analyse(tokens, style.vector(len(tokens)), speed=1.0)
    for window in (Frames(0, 1), Frames(3, 20), Frames(len(acoustics.energy) - 5, len(acoustics.energy))):
        assert spoken(model, acoustics, window, style, tokens).shape == (300 * len(window),)


def test_the_front_foretells_how_loud_each_frame_will_be(
    model: KokoroModel, style: VoiceStyle, tokens: list[int]
) -> None:
    acoustics = model.analyse(tokens, style.vector(len(tokens)), speed=1.0)
    waveform = spoken(model, acoustics, Frames(0, len(acoustics.energy)), style, tokens)
    level = 10 * np.log10(np.square(waveform.reshape(-1, 300)).mean(axis=1) + 1e-10)
    assert np.corrcoef(acoustics.energy, level)[0, 1] > 0.9


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_speed_changes_how_long_it_takes(
    model: KokoroModel, style: VoiceStyle, tokens: list[int], speed: float
) -> None:
    vector = style.vector(len(tokens))
    normal, changed = (len(model.analyse(tokens, vector, speed=each).energy) for each in (1.0, speed))
    assert changed == pytest.approx(normal / speed, rel=0.25)  # a sound has a frame at least
