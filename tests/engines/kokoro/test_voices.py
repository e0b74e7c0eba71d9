from importlib import resources

import numpy as np
import pytest

from cosystream.engines.kokoro.voices import DEFAULT_SPEAKER, VOICES, VoiceStyle, load_styles
from cosystream.types import Voice


def test_there_is_a_woman_and_a_man_for_each_language() -> None:
    assert VOICES[:4] == (
        Voice("中文女", ("zh", "en"), "female"),
        Voice("中文男", ("zh", "en"), "male"),
        Voice("英文女", ("en", "zh"), "female"),
        Voice("英文男", ("en", "zh"), "male"),
    )
    assert VOICES[0].name == DEFAULT_SPEAKER


def test_every_voice_has_a_style_of_its_own() -> None:
    styles = load_styles()
    assert list(styles) == [voice.name for voice in VOICES]
    for style in styles.values():
        assert style.timbre.shape == (128,)
        assert style.prosody.shape == (300, 128)
        assert style.statistics.shape == (1, 16_896, 1)
        assert np.isfinite(style.statistics).all()
    assert len({style.timbre.tobytes() for style in styles.values()}) == len(VOICES)


@pytest.mark.parametrize(("num_tokens", "row"), [(1, 60), (61, 60), (62, 61), (300, 299), (500, 299)])
def test_prosody_goes_by_the_number_of_tokens(num_tokens: int, row: int) -> None:
    prosody = np.arange(300, dtype=np.float32)[:, np.newaxis].repeat(128, axis=1)
    style = VoiceStyle(np.zeros(128, np.float32), prosody, np.zeros((1, 0, 1), np.float32), gain=1.0)
    vector = style.vector(num_tokens)
    assert vector.shape == (1, 256)
    assert (vector[0, 128:] == row).all()


def test_the_licence_and_the_origins_lie_beside_the_voices() -> None:
    folder = resources.files("cosystream.engines.kokoro").joinpath("data")
    assert "Apache License" in folder.joinpath("LICENSE").read_text(encoding="utf-8")
    assert "kokoro-js 1.2.1" in folder.joinpath("NOTICE").read_text(encoding="utf-8")
