from dataclasses import replace

from bench.embedded_voice import EmbeddedVoice, Listeners, Saturated
from bench.figures import spread
from bench.loop_lag import LoopLag
from bench.machine import Machine
from bench.process import CpuTime
from bench.report import render
from bench.results import Results
from bench.server_alone import ServerAlone

SERVER = ServerAlone(
    streams=200,
    step_ms=5.0,
    window_seconds=10.0,
    events=20_000,
    server_cpu=CpuTime(total=1.5, kernel=0.5, main_thread=1.25),
    client_cpu=CpuTime(total=1.0, kernel=0.5, main_thread=1.0),
    added_ms=spread([1.0, 2.0]),
    loop_lag=LoopLag(count=20, mean_ms=0.25, below_ms=5.0),
    client_lag_ms=spread([0.5]),
    whole=200,
    problems=(),
    neighbour_cores=0.25,
)
LISTENERS = Listeners(
    served=5,
    first_audio_seconds=spread([0.2, 0.3]),
    underruns=0,
    starved_seconds=0.0,
    audio_seconds=42.0,
    rtf=spread([0.3, 0.4]),
    problems=(),
    each=(),
)
VOICE = EmbeddedVoice(
    engine="kokoro",
    alone={"Mandarin, short": LISTENERS},
    alone_overall=LISTENERS,
    two=LISTENERS,
    saturated=Saturated(
        listeners=16,
        max_queue=4,
        served=LISTENERS,
        refused=12,
        longest_retry_after_seconds=7.0,
        livez_ms=spread([1.0, 3.0]),
        livez_failures=0,
    ),
    neighbour_cores=1.5,
)
RESULTS = Results(
    command="python -m bench all",
    date="2026-11-22",
    machine=Machine("Abacus 3000", 2, "3.11.7", {"cosystream": "0.1.0"}),
    server=(SERVER,),
    voice=VOICE,
    failures=(),
)


def _row(page: str, name: str) -> list[str]:
    (line,) = [line for line in page.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_the_page_says_where_its_figures_come_from() -> None:
    page = render(RESULTS)
    for fact in (
        "`python -m bench all`",
        "2026-11-22",
        "Abacus 3000, 2 cores",
        "kept 1.5 cores busy",
        "cosystream 0.1.0",
    ):
        assert fact in page


def test_each_run_of_the_server_is_a_column() -> None:
    page = render(replace(RESULTS, server=(SERVER, replace(SERVER, step_ms=0.0, events=10_000))))
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
    assert render(replace(RESULTS, server=(server,), voice=voice)).count("✗") == 1 + 4 + 2 + 1


def test_what_was_not_measured_is_said() -> None:
    page = render(replace(RESULTS, server=(), voice=None, failures=("the server: it ended with status 1",)))
    assert "## Not measured\n\n- the server: it ended with status 1\n" in page
    assert "## The server alone" not in page
