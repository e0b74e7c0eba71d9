import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.reference import NEEDED, Sides, main, speech, take_turns
from bench.reference_protocol import BLOCK, MENDED, PUBLISHED, SMALL, About, Arrival, Speech


class Told:
    """A side that takes down who is asked for what."""

    about = About({}, 1, "float32")

    def __init__(self, asked: list[tuple[str, int]]) -> None:
        self._asked = asked

    def speak(self, way: str, _speech: Speech, num_streams: int) -> Sequence[Sequence[Arrival]]:
        self._asked.append((way, num_streams))
        return [[Arrival(0.5, 1.0)]] * num_streams

    def chunk_seconds(self, _way: str, _speech: Speech, behind: Sequence[int]) -> Sequence[float]:
        return [1.0 for _ in behind]


def test_the_sides_take_turns_and_every_way_is_run_as_often() -> None:
    asked: list[tuple[str, int]] = []
    runs = list(take_turns(Sides(Told(asked), Told(asked)), speech(10, 5), num_streams=4, repetitions=2))
    assert [(run.way, len(run.streams)) for run in runs] == asked
    theirs = [way in (PUBLISHED, MENDED) for way, _ in asked[:7]]
    assert theirs == [True, False, True, False, True, False, True]
    alone = [(way, 1) for way in (PUBLISHED, MENDED, BLOCK, SMALL)]
    together = [(way, 4) for way in (PUBLISHED, MENDED, SMALL)]
    assert sorted(asked) == sorted(2 * [*alone, *together])


def test_what_is_spoken_has_as_many_tokens_as_were_asked_for() -> None:
    what = speech(250, 75)
    assert (what.num_tokens, len(what.prompt_speech), len(what.text)) == (250, 75, 50)


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--streams", "1"], "2 or more"),
        (["--model", "/nowhere"], "there is no cosyvoice3.yaml"),
        (["--tokens", "0"], "at least 1"),
        (["--late-second", "none"], "invalid"),
    ],
)
def test_a_flag_that_cannot_be_is_an_error_before_anything_runs(
    flags: list[str], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--reference", str(_checkout(tmp_path)), *flags])
    assert problem in capsys.readouterr().err


def test_a_checkout_without_its_submodule_is_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (_checkout(tmp_path) / NEEDED[1]).unlink()
    with pytest.raises(SystemExit, match="2"):
        main(["--reference", str(tmp_path)])
    assert "third_party/Matcha-TTS" in capsys.readouterr().err


def test_a_side_that_cannot_begin_is_told_with_its_last_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cosyvoice3.yaml").touch()
    flags = ["--reference", str(_checkout(tmp_path)), "--python", sys.executable, "--model", str(tmp_path)]
    assert main(flags) == 1
    error = capsys.readouterr().err
    assert "No package metadata was found for transformers" in error
    assert "not measured: it ended with status 1" in error


def _checkout(folder: Path) -> Path:
    """What looks like one, and holds nothing."""
    for needed in NEEDED:
        (folder / needed).parent.mkdir(parents=True, exist_ok=True)
        (folder / needed).touch()
    return folder
