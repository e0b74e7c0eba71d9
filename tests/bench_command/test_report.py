from dataclasses import replace

from cosystream.bench.plan import Load
from cosystream.bench.report import compare, render, table
from cosystream.bench.vitals import Vitals
from tests.bench_command.samples import RESULTS, level, results


def test_a_load_is_a_line_and_says_everything() -> None:
    lines = render(RESULTS).splitlines()
    assert lines[0] == "kokoro with Kokoro-82M, http://abacus:50000, on 2026-11-23; Abacus 3000, 2 cores"
    (line,) = (line for line in lines if line.startswith("1 stream "))
    cells = line.split()[2:]
    assert cells == [
        *"5 4 1".split(),
        *"250/250/250 ms".split(),
        *"100/100/100/100 %".split(),
        *"125/125 ms".split(),
        "0.50/0.50",
        "2.50",
        *"≤ 50 ms".split(),
        *"2.5 ms".split(),
    ]
    assert lines[-1].endswith(": 1")


def test_what_is_not_known_is_a_dash() -> None:
    unknown = replace(RESULTS.levels[0], vitals=Vitals())
    assert render(results(unknown)).splitlines()[4].split()[-2:] == ["–", "–"]


def test_what_broke_off_is_told_below() -> None:
    broken = replace(RESULTS.levels[0], served=2, problems=("no answer", "the answer breaks off"))
    assert render(results(broken)).splitlines()[-1] == (
        "1 stream: 2 broke off or got no answer: no answer; the answer breaks off"
    )


def test_n_at_99_needs_listeners_who_ask_again() -> None:
    assert "N@99: not measured" in render(results(level(Load(rate=1.0))))


def test_two_results_are_compared_where_they_have_a_load_in_common() -> None:
    after = results(level(Load(streams=2)), level(Load(streams=4), first_audio_seconds=0.5))
    text = compare(RESULTS, after)
    assert "2 streams" not in text
    (line,) = (line for line in text.splitlines() if line.startswith("4 streams"))
    assert line.split()[-3:] == ["1000", "500", "0.50"]
    assert text.splitlines()[-1] == "N@99: A 1, B 4"
    assert "no load in common" in compare(RESULTS, results(level(Load(rate=1.0))))


def test_the_columns_of_a_table_are_flush() -> None:
    assert table(("name", "n"), [("a", "100"), ("longer", "1")]) == [
        "name      n",
        "-----------",
        "a       100",
        "longer    1",
    ]
