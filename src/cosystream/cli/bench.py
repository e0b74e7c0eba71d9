"""``cosystream bench``: listeners in any number, and what they met with as figures, records and pictures."""

import asyncio
import importlib.util
import shlex
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from cosystream.bench.level import Level, sum_up
from cosystream.bench.listeners import Asked, listen_under
from cosystream.bench.machine import this_machine
from cosystream.bench.plan import Load, Plan
from cosystream.bench.report import compare, render
from cosystream.bench.results import CHUNKS, Results, append_chunks, read_results, write_results
from cosystream.bench.target import Target
from cosystream.cli.hosting import SWITCH_INTERVAL_SECONDS, limits_of
from cosystream.cli.leaving import CLOSING_SECONDS
from cosystream.config import Settings
from cosystream.errors import ConfigError

SETTLE_SECONDS = 0.2
"""Between two loads, that none is charged with the end of the one before."""


def bench(
    settings: Settings,
    *,
    url: str | None,
    loads: Sequence[Load],
    plan: Plan,
    out: Path | None,
    command: Sequence[str],
) -> int:
    """Measure each of ``loads``, print the figures and keep them in ``out``; the exit status, 1 if a request failed.

    ``command`` is how the user asked for it, for the record. Raises ConfigError for what cannot be measured or kept.
    """
    if out is not None:
        _make_room(out)
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        results, asked = runner.run(_measure(settings, url, loads, plan, out, shlex.join(command)))
    print(render(results))
    if out is not None:
        _draw(results, asked, out)
        print(f"\nin {out}: {', '.join(sorted(path.name for path in out.iterdir()))}")
    return 1 if any(level.failed for level in results.levels) else 0


def compare_files(before: Path, after: Path) -> int:
    """Print two results beside each other. Raises ConfigError for a file that holds none."""
    print(compare(read_results(before), read_results(after)))
    return 0


async def _measure(
    settings: Settings, url: str | None, loads: Sequence[Load], plan: Plan, out: Path | None, command: str
) -> tuple[Results, list[Sequence[Asked]]]:
    """The figures of all loads, and what stands behind those of each. What is known is kept as soon as it is."""
    everything: list[Sequence[Asked]] = []
    levels: list[Level] = []
    date = datetime.now(UTC).date().isoformat()
    async with _target(settings, url) as target:
        await _warm_up(target, plan)
        for load in loads:
            print(f"measuring {load} …", file=sys.stderr, flush=True)
            await asyncio.sleep(SETTLE_SECONDS)
            await target.vitals()
            asked = await listen_under(load, target, plan)
            levels.append(sum_up(load, asked, await target.vitals()))
            everything.append(asked)
            results = Results(command, date, this_machine(), target.info, tuple(levels))
            if out is not None:
                append_chunks(load, asked, out)
                write_results(results, out)
    return results, everything


@asynccontextmanager
async def _target(settings: Settings, url: str | None) -> AsyncIterator[Target]:
    if url is not None:
        if importlib.util.find_spec("httptools") is None:
            raise ConfigError("httptools is not installed; pip install -e '.[bench]'")
        from cosystream.bench.http_target import HttpTarget

        yield await HttpTarget.reach(url, next(iter(settings.api_keys), None))
        return
    from cosystream.bench.engine_target import EngineTarget
    from cosystream.engines.registry import core_builder

    build = core_builder(settings)
    limits = replace(limits_of(settings), closing_seconds=CLOSING_SECONDS)
    async with EngineTarget.running(build, limits, settings.default_speaker or None) as target:
        yield target


async def _warm_up(target: Target, plan: Plan) -> None:
    """One request that is not measured, so that what would fail always is told at once. Raises ConfigError."""
    heard = await target.listen(plan.request(0))
    if not heard.served:
        raise ConfigError(f"a first request was not served: {heard.problem or 'told to come back later'}")


def _make_room(out: Path) -> None:
    """A folder to write into, without the records of an earlier run."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / CHUNKS).unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{out}: {error.strerror}") from None


def _draw(results: Results, asked: Sequence[Sequence[Asked]], out: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        print("no pictures without matplotlib; pip install -e '.[bench]'", file=sys.stderr)
        return
    from cosystream.bench.plots import FIRST_AUDIO, plot_first_audio, plot_timeline, timeline_name

    plot_first_audio(results.levels, out / FIRST_AUDIO)
    for level, one in zip(results.levels, asked, strict=True):
        plot_timeline(level.load, one, out / timeline_name(level.load))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The loop that a server runs on, where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    import uvloop

    return uvloop.new_event_loop
