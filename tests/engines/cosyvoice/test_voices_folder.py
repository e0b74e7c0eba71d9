import resource
import threading
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from cosystream.engines.cosyvoice.voices_folder import VoicesFolder
from cosystream.errors import NotKept, VoiceExists
from cosystream.types import Prompt
from tests.support.golden import GOLDEN

SPEECH = (GOLDEN / "v3" / "audio" / "prompt_16k.wav").read_bytes()
PROMPT = Prompt(SPEECH, "hello there")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    folder = VoicesFolder(tmp_path / "not" / "yet")
    assert folder.recordings().prompts == {}
    path = folder.keep("中文女", PROMPT)
    folder.keep("zoë", Prompt(SPEECH))
    found = VoicesFolder(tmp_path / "not" / "yet").recordings()
    assert found.prompts == {"中文女": PROMPT, "zoë": Prompt(SPEECH)}
    assert found.paths["中文女"] == path == folder.path / "中文女.wav"
    folder.remove(path)
    folder.remove(path)
    assert content(folder.path) == {"zoë.wav": SPEECH}


@pytest.mark.parametrize("there", ["ann.wav", "ann.mp3", "ann.WAV", f"{unicodedata.normalize('NFD', 'zoë')}.flac"])
def test_a_recording_that_is_there_is_never_overwritten_even_if_it_is_none(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_bytes(b"RIFF")
    folder = VoicesFolder(tmp_path)
    with pytest.raises(VoiceExists, match="already, which is not served"):
        folder.keep("zoë" if there.startswith("z") else "ann", PROMPT)
    assert content(tmp_path) == {there: b"RIFF"}


def test_words_that_belonged_to_another_recording_do_not_stay(tmp_path: Path) -> None:
    (tmp_path / "ann.txt").write_bytes(b"of somebody else")
    VoicesFolder(tmp_path).keep("ann", Prompt(SPEECH))
    assert content(tmp_path) == {"ann.wav": SPEECH}


def test_of_many_who_keep_one_name_at_once_one_does(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def keep(number: int) -> bool:
        together.wait()
        try:
            VoicesFolder(tmp_path).keep("ann", Prompt(SPEECH, f"words {number}"))
        except VoiceExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        kept = list(pool.map(keep, range(8)))
    assert kept.count(True) == 1
    assert content(tmp_path) == {"ann.wav": SPEECH, "ann.txt": f"words {kept.index(True)}".encode()}


def test_where_nothing_can_be_written_it_is_said_without_a_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotKept, match=r"^the voice cannot be kept in .* \(voices_dir\): ") as caught:
        VoicesFolder(tmp_path / "file").keep("ann", PROMPT)
    assert str(tmp_path) not in str(caught.value)


@contextmanager
def files_of_at_most(num_bytes: int) -> Iterator[None]:
    """As if the disk were full behind that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_recording_that_does_not_fit_leaves_nothing(tmp_path: Path) -> None:
    with files_of_at_most(1_000), pytest.raises(NotKept, match="File too large"):
        VoicesFolder(tmp_path).keep("ann", PROMPT)
    assert content(tmp_path) == {}
