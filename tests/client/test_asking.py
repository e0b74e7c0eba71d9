"""What a caller gives that no server could make sense of is told before anything is sent, in words that would help."""

import math
from pathlib import Path
from typing import Any

import pytest

from cosystream.client import AsyncClient, Audio, Chunk, Client, Done, Prompt, Start
from cosystream.errors import ConfigError, InvalidField
from tests.client.conftest import Hear
from tests.client.scripted import AUDIO, DONE, START, scripted_server, whole

NOWHERE = "http://localhost:1"
CLIENTS = pytest.mark.parametrize("kind", [Client, AsyncClient])


# What is to be said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"text": b"hi"}, "text: is bytes; a str would do"),
        ({"prompt": "hello.wav"}, r"prompt: is str; Prompt\(audio, text\) would do"),
        ({"prompt": b"RIFF"}, r"prompt: is bytes; Prompt\(audio, text\) would do"),
        ({"prompt": Prompt(audio=Path("hello.wav"))}, "prompt: has audio that is PosixPath; a file's bytes would do"),  # type: ignore[arg-type]
        ({"format": "mp3"}, r"format: is always PCM here; leave it out, and Audio\.wav is a whole WAV file"),
    ],
)
def test_what_no_speech_can_come_of_is_told(hear: Hear, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidField, match=words):
        hear(NOWHERE, **options)


def test_a_voice_needs_a_recording_rather_than_its_name() -> None:
    with Client(NOWHERE) as client, pytest.raises(InvalidField, match=r"prompt: is str; Prompt\(audio, text\) would"):
        client.add_voice("me", "hello.wav")  # type: ignore[arg-type]


def test_what_is_none_is_left_to_the_server(hear: Hear) -> None:
    with scripted_server(whole(START, AUDIO, DONE)) as server:
        hear(server.url, prompt=None, format=None)
    assert b"prompt" not in server.requests[0].partition(b"\r\n\r\n")[2]


# Who asks


@CLIENTS
@pytest.mark.parametrize("key", ["ses\name", "ses\x00ame", "ses\ud800ame"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(kind: type[Client | AsyncClient], key: str) -> None:
    with pytest.raises(ConfigError, match="api_key: holds a character that cannot be sent") as caught:
        kind(NOWHERE, api_key=key)
    assert "ses" not in str(caught.value)


def test_a_key_is_sent_without_what_a_file_has_around_it() -> None:
    with scripted_server(whole(START, AUDIO, DONE)) as server, Client(server.url, api_key=" sesame\n") as client:
        client.synthesize("hello")
    assert b"\r\nauthorization: bearer sesame\r\n" in server.requests[0].lower()


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_an_empty_key_is_none(key: str) -> None:
    with scripted_server(whole(START, AUDIO, DONE)) as server, Client(server.url, api_key=key) as client:
        client.synthesize("hello")
    assert b"authorization" not in server.requests[0].lower()


@CLIENTS
@pytest.mark.parametrize("timeout", [0, -1, math.nan, math.inf])
def test_a_timeout_that_is_none_is_refused(kind: type[Client | AsyncClient], timeout: float) -> None:
    with pytest.raises(ConfigError, match=rf"timeout: is {timeout}; a number of seconds above 0 would do"):
        kind(NOWHERE, timeout=timeout)


# What comes of it


def speech() -> Audio:
    start = Start("r1", 24000, engine="script", speaker="anna", seed=7, encoding="base64")
    done = Done("r1", 1, 48000, 2000, 3, 0, 0.5, 0)
    return Audio.join([Chunk(bytes(96000), 24000, 0, 0)], start, done)


def test_printed_speech_tells_its_length_and_not_its_samples() -> None:
    assert "duration_ms=2000" in repr(speech())
    assert len(repr(speech())) < 500
    assert repr(Chunk(bytes(96000), 24000, 0, 0)) == "Chunk(sample_rate=24000, index=0, offset_ms=0)"


def test_a_file_whose_name_says_another_format_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a name ending in \.wav would do"):
        speech().save(tmp_path / "hello.mp3")
    assert not any(tmp_path.iterdir())
