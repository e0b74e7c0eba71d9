import json
from pathlib import Path

import pytest

from cosystream.bench.results import read_results
from cosystream.cli.main import main
from tests.support.server import running_server

TONE = ("bench", "--engine", "tone", "--seconds", "0.5", "--requests", "6")


@pytest.fixture
def text(tmp_path: Path) -> str:
    path = tmp_path / "text"
    path.write_text("one\ntwo\n", encoding="utf-8")
    return str(path)


def test_an_engine_in_this_process_is_measured_and_everything_is_kept(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "chunks.jsonl").write_text("of an earlier run\n")
    assert main((*TONE, "--streams", "2,1", "--text", text, "--out", str(out))) == 0
    results = read_results(out)
    assert [str(level.load) for level in results.levels] == ["1 stream", "2 streams"]
    assert all(level.served == level.requests > 0 for level in results.levels)
    chunks = [json.loads(line) for line in (out / "chunks.jsonl").read_text("utf-8").splitlines()]
    audio_seconds = sum(chunk["audio_seconds"] for chunk in chunks)
    assert audio_seconds == pytest.approx(sum(level.audio_seconds for level in results.levels))
    pictures = {"first-audio.png", "timeline-1-stream.png", "timeline-2-streams.png"}
    assert {path.name for path in out.iterdir()} == {"summary.json", "chunks.jsonl", *pictures}
    assert "N@99" in capsys.readouterr().out
    assert main(("bench", "--compare", str(out), str(out / "summary.json"))) == 0
    assert "1.00" in capsys.readouterr().out


@pytest.mark.e2e
def test_a_server_is_measured_with_a_key_that_is_not_kept(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with running_server(tmp_path, "--engine", "tone", "--api-keys", "secret") as server:
        asking = ("bench", server.url, "--rate", "20", "--seconds", "0.5", "--text", text)
        assert main(asking) == 2
        assert "COSYSTREAM_API_KEYS may hold it" in capsys.readouterr().err
        assert main((*asking, "--api-keys", "secret", "--out", str(out))) == 0
        monkeypatch.setenv("COSYSTREAM_API_KEYS", "secret")
        assert main((*asking, "--speaker", "nobody")) == 2
        assert "no voice 'nobody'" in capsys.readouterr().err
    assert "secret" not in (out / "summary.json").read_text("utf-8")
    (level,) = read_results(out).levels
    assert level.served == level.requests > 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--streams", "1,0"), "'0' is not a whole number from 1 to 4096"),
        (("--streams", "2.5"), "'2.5' is not a whole number"),
        (("--rate", "often"), "'often' is not a number"),
        (("--rate", "1", "--streams", "1"), "not allowed with argument"),
        (("--compare", "one"), "expected 2 arguments"),
    ],
)
def test_flags_that_will_not_do_are_refused(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(("bench", *arguments))
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("http://localhost:1", "--engine", "tone"), "--engine would set up an engine here"),
        (("--port", "50000"), "--port would set up a server; to measure one, give its URL"),
        (("--rate", "1", "--eager"), "leave one of them out"),
        (("--engine", "organ"), "engine is 'organ'"),
        (("--text", "/nowhere"), "/nowhere: No such file"),
        (("--engine", "tone", "--out", "/dev/null/out"), "/dev/null/out: Not a directory"),
        (("--compare", "/nowhere", "/nowhere"), "/nowhere: No such file"),
    ],
)
def test_what_cannot_be_measured_is_told_before_anything_starts(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(("bench", *arguments)) == 2
    assert words in capsys.readouterr().err
