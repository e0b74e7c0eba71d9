"""``python -m bench``: measures, says what it finds and writes it down."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import uvloop

from bench.embedded_voice import measure_voice
from bench.report import render
from bench.results import Measured, Results, read_results, write_results
from bench.server import ServerFailed
from bench.server_alone import ServerAlone, measure_server
from bench.stages import VERSIONS, StagesFailed, measure_stages
from cosystream.bench.machine import this_machine

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
    versions: tuple[str, ...]
    model: Path | None
    out: Path
    json: Path

    def includes(self, part: str) -> bool:
        return self.what in (part, "all")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 1 if something could not be measured; a goal that is missed is a result like any other."""
    plan = _plan(arguments)
    failures: list[str] = []
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results = runner.run(_measure(plan, read_results(plan.json), failures))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130
    write_results(results, plan.json)
    page = render(results)
    plan.out.write_text(page, encoding="utf-8")
    print(page)
    for failure in failures:
        print(f"not measured: {failure}", file=sys.stderr)
    return 1 if failures else 0


def _plan(arguments: Sequence[str] | None) -> Plan:
    parser = argparse.ArgumentParser(
        "python -m bench",
        description="Measure, and write RESULTS.md. What is not measured stays as it was found before.",
    )
    parser.add_argument("what", nargs="?", choices=("server", "voice", "stages", "all"), default="all")
    parser.add_argument("--seconds", type=_between(1, 120), default=30, help="of each measurement [1 to 120; 30]")
    parser.add_argument("--streams", type=_between(1, 400), default=200, help="that play at once [1 to 400; 200]")
    parser.add_argument(
        "--versions", type=_versions, default=VERSIONS, help=f"whose stages are timed [{','.join(VERSIONS)}]"
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="a checkpoint to time instead of random weights")
    parser.add_argument("--out", type=Path, default=HERE / "RESULTS.md", metavar="FILE", help="the page")
    parser.add_argument("--json", type=Path, default=HERE / "RESULTS.json", metavar="FILE", help="the raw figures")
    return Plan(**vars(parser.parse_args(arguments)))


def _versions(written: str) -> tuple[str, ...]:
    versions = tuple(written.split(","))
    if not set(versions) <= set(VERSIONS):
        raise argparse.ArgumentTypeError(f"{written} is not of {','.join(VERSIONS)}")
    return versions


def _between(least: int, most: int) -> Callable[[str], int]:
    def number(written: str) -> int:
        value = int(written)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{value} is not between {least} and {most}")
        return value

    return number


async def _measure(plan: Plan, results: Results, failures: list[str]) -> Results:
    """``results`` with what could be measured in place of what they held."""
    this_task = asyncio.current_task()
    assert this_task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, this_task.cancel)
    if plan.includes("server"):
        command = f"server --seconds {plan.seconds:g} --streams {plan.streams}"
        server = await _within_reason(command, _measure_server(plan), failures)
        results = replace(results, server=server or results.server)
    if plan.includes("voice"):
        measuring = measure_voice(engine=EMBEDDED_ENGINE, seconds=plan.seconds)
        voice = await _within_reason(f"voice --seconds {plan.seconds:g}", measuring, failures)
        results = replace(results, voice=voice or results.voice)
    if plan.includes("stages"):
        for checkpoint in plan.versions if plan.model is None else (plan.model,):
            flag = "--model" if isinstance(checkpoint, Path) else "--versions"
            stages = await _within_reason(f"stages {flag} {checkpoint}", measure_stages(checkpoint), failures)
            if stages is not None:
                results = replace(results, stages=results.stages | {stages.figures.version: stages})
    return results


async def _measure_server(plan: Plan) -> tuple[ServerAlone, ...]:
    measuring = (measure_server(streams=plan.streams, seconds=plan.seconds, step_ms=step_ms) for step_ms in STEPS_MS)
    return tuple([await one for one in measuring])


async def _within_reason(arguments: str, measuring: Awaitable[T], failures: list[str]) -> Measured[T] | None:
    """What ``python -m bench`` measures with these ``arguments``."""
    command, date = f"python -m bench {arguments}", datetime.now(UTC).date().isoformat()
    print(f"measuring: {command} …", file=sys.stderr, flush=True)
    try:
        async with asyncio.timeout(LONGEST_SECONDS):
            return Measured(command, date, this_machine(), await measuring)
    except ServerFailed as error:
        failures.append(f"{command}: {error}")
        print(error.last_words, file=sys.stderr)
    except StagesFailed as error:
        failures.append(f"{command}: {error}")
    except TimeoutError:
        failures.append(f"{command}: not done within {LONGEST_SECONDS:g} s")
    return None


if __name__ == "__main__":
    sys.exit(main())
