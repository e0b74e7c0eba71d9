from dataclasses import replace
from pathlib import Path

from bench.__main__ import HERE
from bench.report import render
from bench.results import Results, read_results, write_results
from tests.bench.samples import RESULTS


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    write_results(RESULTS, tmp_path / "RESULTS.json")
    assert read_results(tmp_path / "RESULTS.json") == RESULTS


def test_a_lag_beyond_all_bounds_is_read_back(tmp_path: Path) -> None:
    server = RESULTS.server
    assert server is not None
    (run,) = server.figures
    late = replace(server, figures=(replace(run, loop_lag=replace(run.loop_lag, below_ms=None)),))
    write_results(replace(RESULTS, server=late), tmp_path / "RESULTS.json")
    assert read_results(tmp_path / "RESULTS.json").server == late


def test_without_a_file_nothing_was_found_yet(tmp_path: Path) -> None:
    assert read_results(tmp_path / "RESULTS.json") == Results()


def test_the_page_in_the_repository_is_made_of_the_figures_beside_it() -> None:
    assert (HERE / "RESULTS.md").read_text("utf-8") == render(read_results(HERE / "RESULTS.json"))
