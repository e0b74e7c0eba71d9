import pytest

from cosystream.audio.naming import check_name
from cosystream.errors import ConfigError


@pytest.mark.parametrize("name", ["a.mp3", "a.MP3", "folder.wav/a.opus", "a.wav.flac", "a.pcm"])
def test_a_name_that_says_another_format_is_refused_with_what_would_do(name: str) -> None:
    with pytest.raises(ConfigError, match=r"a WAV is written, so that a name ending in \.wav would do"):
        check_name(name)


@pytest.mark.parametrize("name", ["a.wav", "a.WAV", "a", "/dev/null", "a.mp3.wav", "a.wav.part", "mp3"])
def test_a_name_that_says_nothing_else_will_do(name: str) -> None:
    check_name(name)
