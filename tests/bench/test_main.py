from dataclasses import replace
from pathlib import Path

import pytest

from bench import __main__ as bench
from bench.embedded_voice import EmbeddedVoice
from bench.report import render
from bench.results import read_results, write_results
from bench.stages import Stages, StagesFailed
from tests.bench.samples import RESULTS, STAGES, VOICE


class Run:
    """``python -m bench`` with pages of its own, on which all that is in ``RESULTS`` stands already."""

    def __init__(self, folder: Path) -> None:
        self.page, self.figures = folder / "RESULTS.md", folder / "RESULTS.json"
        write_results(RESULTS, self.figures)

    def __call__(self, *arguments: str) -> int:
        return bench.main((*arguments, "--out", str(self.page), "--json", str(self.figures)))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


async def _timed(checkpoint: Path | str) -> Stages:
    version = "cosyvoice3" if isinstance(checkpoint, Path) else f"cosyvoice{checkpoint[1:]}"
    return replace(STAGES, version=version, load_seconds=7.0)


async def _fail(checkpoint: Path | str) -> Stages:
    if checkpoint == "v2":
        raise StagesFailed("python -m bench.stopwatch ended with status 1")
    return await _timed(checkpoint)


def test_a_part_that_is_measured_anew_leaves_the_others_as_they_were(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def voice(engine: str, seconds: float) -> EmbeddedVoice:
        return replace(VOICE, engine=f"{engine} for {seconds:g} s")

    monkeypatch.setattr(bench, "measure_voice", voice)
    assert run("voice", "--seconds", "5") == 0
    results = read_results(run.figures)
    assert results.voice is not None
    assert results.voice.figures.engine == "kokoro for 5 s"
    assert results.voice.command == "python -m bench voice --seconds 5"
    assert replace(results, voice=RESULTS.voice) == RESULTS
    assert run.page.read_text("utf-8") == render(results)


@pytest.mark.parametrize(
    ("arguments", "commands"),
    [
        ((), {2: "python -m bench stages --versions v2", 3: "python -m bench stages --versions v3"}),
        (("--versions", "v3"), {3: "python -m bench stages --versions v3"}),
        (("--model", "some/folder"), {3: "python -m bench stages --model some/folder"}),
    ],
)
def test_stages_are_kept_version_by_version(
    arguments: tuple[str, ...], commands: dict[int, str], run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench, "measure_stages", _timed)
    assert run("stages", *arguments) == 0
    results = read_results(run.figures)
    anew = {int(version[-1]): one.command for version, one in results.stages.items() if one.figures.load_seconds == 7}
    assert anew == commands
    assert len(results.stages) == 2


def test_what_could_not_be_measured_is_said_and_stays_as_it_was(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "measure_stages", _fail)
    assert run("stages") == 1
    results = read_results(run.figures)
    assert results.stages["cosyvoice2"] == RESULTS.stages["cosyvoice2"]
    assert results.stages["cosyvoice3"].figures.load_seconds == 7
    problem = "python -m bench stages --versions v2: python -m bench.stopwatch ended with status 1"
    assert f"not measured: {problem}" in capsys.readouterr().err


def test_an_unknown_version_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("stages", "--versions", "v2,v1")
    assert "v2,v1 is not of v2,v3" in capsys.readouterr().err
