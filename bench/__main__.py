"""``python -m bench``: measures, says what it finds and writes it down."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import orjson
import uvloop

from bench.embedded_voice import measure_voice
from bench.machine import this_machine
from bench.report import render
from bench.results import Results
from bench.server import ServerFailed
from bench.server_alone import measure_server

T = TypeVar("T")

HERE = Path(__file__).parent
STEPS_MS = (5.0, 0.0)
"""How the emulated model works: in batches, and chunk by chunk."""
LONGEST_SECONDS = 900.0
"""Of one measurement, whatever happens."""
EMBEDDED_ENGINE = "kokoro"


@dataclass(frozen=True, slots=True)
class Plan:
    what: str
    seconds: float
    streams: int
    out: Path
    json: Path

    @property
    def command(self) -> str:
        return f"python -m bench {self.what} --seconds {self.seconds:g} --streams {self.streams}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 if something could not be measured; a goal that is missed is a result like any other."""
    plan = _plan(arguments)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results = runner.run(_measure(plan))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    plan.out.write_text(render(results), encoding="utf-8")
    plan.json.write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2) + b"\n")
    print(render(results))
    return 1 if results.failures else 0


def _plan(arguments: Sequence[str] | None) -> Plan:
    parser = argparse.ArgumentParser("python -m bench", description="Measure the server, and write RESULTS.md.")
    parser.add_argument("what", nargs="?", choices=("server", "voice", "all"), default="all")
    parser.add_argument("--seconds", type=_between(1, 120), default=30, help="of each measurement [1 to 120; 30]")
    parser.add_argument("--streams", type=_between(1, 400), default=200, help="that play at once [1 to 400; 200]")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md", metavar="FILE", help="the page")
    parser.add_argument("--json", type=Path, default=HERE / "RESULTS.json", metavar="FILE", help="the raw figures")
    return Plan(**vars(parser.parse_args(arguments)))


def _between(least: int, most: int) -> Callable[[str], int]:
    def number(written: str) -> int:
        value = int(written)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not between {least} and {most}")
        return value

    return number


async def _measure(plan: Plan) -> Results:
    this_task = asyncio.current_task()
    assert this_task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this_task.cancel)
    date = datetime.now(UTC).date().isoformat()
    failures: list[str] = []
    server, voice = [], None
    if plan.what in ("server", "all"):
        for step_ms in STEPS_MS:
            measuring = measure_server(streams=plan.streams, seconds=plan.seconds, step_ms=step_ms)
            server.append(await _within_reason("the server", measuring, failures))
    if plan.what in ("voice", "all"):
        measuring_voice = measure_voice(engine=EMBEDDED_ENGINE, seconds=plan.seconds)
        voice = await _within_reason("the embedded voice", measuring_voice, failures)
    return Results(
        command=plan.command,
        date=date,
        machine=this_machine(),
        server=tuple(run for run in server if run is not None),
        voice=voice,
        failures=tuple(failures),
    )


async def _within_reason(name: str, measuring: Awaitable[T], failures: list[str]) -> T | None:
    print(f"measuring {name} …", file=sys.stderr, flush=True)
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            return await measuring
    except ServerFailed as error:
        failures.append(f"{name}: {error}")
        print(error.last_words, file=sys.stderr)
    except TimeoutError:
        failures.append(f"{name}: not done within {LONGEST_SECONDS:g} s")
    return None


if __name__ == "__main__":
    sys.exit(main())
