import json
from pathlib import Path

import pytest

from cosystream.bench.listeners import Asked
from cosystream.bench.plan import Load
from cosystream.bench.results import CHUNKS, SUMMARY, append_chunks, read_results, write_results
from cosystream.errors import ConfigError
from tests.bench_command.samples import RESULTS
from tests.bench_command.targets import heard


def test_what_was_written_is_read_back_from_the_file_or_its_folder(tmp_path: Path) -> None:
    write_results(RESULTS, tmp_path)
    assert read_results(tmp_path) == read_results(tmp_path / SUMMARY) == RESULTS


def test_every_chunk_is_a_line(tmp_path: Path) -> None:
    asked = [Asked(0, 0, 1.0, heard([(0.25, 1.0), (0.5, 2.0)])), Asked(1, 1, 2.0, heard([(0.25, 4.0)]))]
    append_chunks(Load(streams=2), asked, tmp_path)
    append_chunks(Load(streams=4), asked[:1], tmp_path)
    lines = [json.loads(line) for line in (tmp_path / CHUNKS).read_text("utf-8").splitlines()]
    assert [(line["load"], line["request"], line["chunk"]) for line in lines] == [
        ("2 streams", 0, 0),
        ("2 streams", 0, 1),
        ("2 streams", 1, 0),
        ("4 streams", 0, 0),
        ("4 streams", 0, 1),
    ]
    assert [line["arrived_seconds"] for line in lines[:3]] == [1.25, 1.5, 2.25]
    assert sum(line["audio_seconds"] for line in lines[:3]) == 7.0


def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / SUMMARY).write_text("[]")
    with pytest.raises(ConfigError, match="holds no results of cosystream bench"):
        read_results(tmp_path)
    with pytest.raises(ConfigError, match="nowhere: No such file"):
        read_results(tmp_path / "nowhere")
