import unicodedata
from pathlib import Path

import numpy as np
import pytest

from cosystream.audio import wav
from cosystream.audio.decode import decode
from cosystream.audio.pcm import to_pcm
from cosystream.audio.quality import rms_dbfs
from cosystream.engines.cosyvoice.prompts import check_recording
from cosystream.engines.cosyvoice.recordings import BORROWED_TEXT, borrowed, installed
from cosystream.errors import ConfigError
from cosystream.types import Prompt
from tests.support.golden import GOLDEN

SPEECH = (GOLDEN / "v3" / "audio" / "prompt_16k.wav").read_bytes()
SILENCE = wav.encode(to_pcm(np.zeros(24_000, np.float32)), 24_000)


def test_recordings_are_found_with_their_words(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "zoë")
    for name, content in {
        "ann.wav": SPEECH,
        "ann.txt": b"hello there\n",
        "中文女.WAV": SPEECH,
        f"{decomposed}.wav": SPEECH,
        f"{decomposed}.txt": b" ",
        "notes.txt": b"not a voice",
        "picture.png": b"PNG",
        "._ann.wav": b"what an archive leaves behind",
    }.items():
        (tmp_path / name).write_bytes(content)
    recordings = installed(tmp_path)
    assert recordings.prompts == {
        "ann": Prompt(SPEECH, "hello there"),
        "zoë": Prompt(SPEECH, None),
        "中文女": Prompt(SPEECH, None),
    }
    assert recordings.problems == ()
    assert recordings.paths["中文女"] == tmp_path / "中文女.WAV"


def test_without_a_folder_there_are_none(tmp_path: Path) -> None:
    assert installed(tmp_path / "absent").prompts == {}


def test_one_that_cannot_be_learnt_from_is_told_and_the_others_are_there(tmp_path: Path) -> None:
    for name, content in {
        "ann.wav": SPEECH,
        "ann.mp3": SPEECH,
        "bob.wav": b"RIFF",
        "cid.wav": SILENCE,
        "dan.wav": SPEECH,
        "dan.txt": b"\xff\xfe\xff",
    }.items():
        (tmp_path / name).write_bytes(content)
    recordings = installed(tmp_path)
    assert list(recordings.prompts) == ["ann"]
    told = dict(problem.split(": ", 1) for problem in recordings.problems)
    assert told["ann.wav"] == "there is another recording of ann, which is used"
    assert told["bob.wav"].startswith("is damaged or not an audio file")
    assert told["cid.wav"].startswith("is silent")
    assert told["dan.wav"] == "its words in dan.txt are not in UTF-8; save them so"


def test_the_embedded_voice_is_recorded_once_and_good_enough_to_learn_from(tmp_path: Path) -> None:
    recordings = borrowed(("中文女", "中文男"), tmp_path, num_threads=2)
    prompts = recordings.prompts
    assert list(prompts) == ["中文女", "中文男"]
    for prompt in prompts.values():
        assert prompt.text == BORROWED_TEXT
        recording = decode(prompt.audio, max_seconds=31)
        check_recording(recording)
        assert 5 < recording.seconds < 15
        assert -35 < rms_dbfs(recording.waveform, recording.sample_rate) < -10
    woman, man = recordings.paths.values()
    assert (woman, man) == (tmp_path / "voices" / "中文女.wav", tmp_path / "voices" / "中文男.wav")
    man.write_bytes(b"")  # what a full disk might have left
    kept = woman.stat().st_mtime_ns
    assert borrowed(("中文女", "中文男"), tmp_path, num_threads=2) == recordings
    assert woman.stat().st_mtime_ns == kept


def test_where_nothing_can_be_kept_it_cannot_be_recorded(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    with pytest.raises((ConfigError, OSError)):
        borrowed(("中文女",), tmp_path / "cache", num_threads=1)
