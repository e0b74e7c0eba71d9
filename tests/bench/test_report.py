from dataclasses import replace

from bench.embedded_voice import EmbeddedVoice
from bench.process import CpuTime
from bench.report import render
from bench.results import Results
from bench.server_alone import ServerAlone
from cosystream.bench.figures import spread
from tests.bench.samples import LISTENERS, RESULTS, SERVER, VOICE


def _with(server: tuple[ServerAlone, ...], voice: EmbeddedVoice = VOICE) -> Results:
    assert RESULTS.server is not None
    assert RESULTS.voice is not None
    return replace(RESULTS, server=replace(RESULTS.server, figures=server), voice=replace(RESULTS.voice, figures=voice))


def _row(page: str, name: str) -> list[str]:
    """The cells to the right of ``name``, where it first stands in a table."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_each_part_says_where_its_figures_come_from() -> None:
    page = render(RESULTS)
    for title, facts in {
        "## The server alone": ("`python -m bench server` on 2026-11-20", "Abacus 3000, 2 cores", "cosystream 0.1.0"),
        "## The embedded voice": ("`python -m bench voice` on 2026-11-21", "Abacus 3000, 4 cores", "1.5 cores busy"),
        "### cosyvoice2": ("`python -m bench stages --versions cosyvoice2` on 2026-11-22", "0.5 cores busy"),
        "### cosyvoice3": ("`python -m bench stages --versions cosyvoice3` on 2026-11-23", "0.5 cores busy"),
    }.items():
        part = page.split(f"\n{title}\n")[1].split("\n## ")[0].split("\n### ")[0]
        assert [fact for fact in facts if fact not in part] == []


def test_each_run_of_the_server_is_a_column() -> None:
    page = render(_with(server=(SERVER, replace(SERVER, step_ms=0.0, events=10_000))))
    assert "| goal | a batch every 5 ms | each chunk when due |" in page
    assert _row(page, "events a second") == ["", "2000", "1000"]
    assert _row(page, "processor time of the server") == ["≤ 20% of a core", "15.0%", "15.0%"]
    assert _row(page, "event loop's time per event") == ["", "62 µs", "125 µs"]
    assert _row(page, "listeners who got everything, in order") == ["all", "200 of 200", "200 of 200"]


def test_listeners_are_rows() -> None:
    page = render(RESULTS)
    assert _row(page, "alone: Mandarin, short") == ["5", "0.20 / 0.30 s", "0.30 / 0.40", "42 s", "0", "0.00 s"]
    assert _row(page, "refused with 503 and Retry-After") == ["", "12, told to wait for up to 7 s"]


def test_where_every_goal_is_reached_nothing_is_marked() -> None:
    assert render(RESULTS).count("✗") == 1  # where it is explained


def test_every_missed_goal_is_marked() -> None:
    server = replace(SERVER, server_cpu=CpuTime(2.5, 0.5, 2.0), added_ms=spread([6.0]), whole=199, problems=("lost",))
    listeners = replace(LISTENERS, first_audio_seconds=spread([0.5]), underruns=1)
    voice = replace(VOICE, alone_overall=listeners, saturated=replace(VOICE.saturated, livez_ms=spread([30.0])))
    assert render(_with(server=(server,), voice=voice)).count("✗") == 1 + 4 + 2 + 1


def test_stages_are_rows_and_hops_are_columns() -> None:
    page = render(RESULTS)
    assert _row(page, "prefill of 256 positions") == ["300 ms"]
    assert _row(page, "step of 1, some 270 positions on") == ["10.0 ms"]
    assert _row(page, "step of 4, some 270 positions on") == ["16.0 ms"]
    assert _row(page, "a hop") == ["8 tokens, 22 frames", "25 tokens, 50 frames", "50 tokens, 100 frames"]
    assert _row(page, "Euler step behind 50 tokens of prompt") == ["20.0 ms", "40.0 ms", "80.0 ms"]
    assert _row(page, "vocoder") == ["20.0 ms", "50.0 ms", "75.0 ms"]
    assert "– 30 s on | 7.5 ms | 15.0 ms | 25.0 ms |" in page
    assert "– 30 s on | 22.5 ms | 45.0 ms | 87.5 ms |" in page


def test_what_a_hop_takes_in_all_is_a_share_of_what_it_plays() -> None:
    # 25 x 10 + 15 + 10 x 45 + 50 ms of 1 s, 50 x 10 + 25 + 10 x 87.5 + 75 ms of 2 s
    assert _row(render(RESULTS), "**RTF of all**, 30 s on, listeners: 1") == ["–", "0.77", "0.74"]


def test_listeners_share_the_steps_of_the_language_model_and_nothing_else() -> None:
    # 25 x 16 / 4 + 15 + 10 x 45 + 50 ms of 1 s, 50 x 16 / 4 + 25 + 10 x 87.5 + 75 ms of 2 s
    assert _row(render(RESULTS), "**RTF of all**, 30 s on, listeners: 4") == ["–", "0.61", "0.59"]


def test_the_page_says_in_which_precision_the_stages_were_timed() -> None:
    assert render(RESULTS).count("Products in bfloat16. Loaded in 2.0 s; 3.5 GB were resident then, 4.5 GB") == 2


def test_the_page_says_what_a_solve_would_take_were_nothing_kept() -> None:
    assert "1700 frames for the last of these hops, and take\n10.2 s instead of 0.9 s: 11.3 times" in render(RESULTS)


def test_what_was_never_measured_is_not_on_the_page() -> None:
    assert "\n##" not in render(Results())
