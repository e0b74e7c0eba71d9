"""The command line of ``cosystream bench``: read and checked before anything is loaded."""

import argparse
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from cosystream.bench.plan import Load, Plan, read_texts
from cosystream.config import Settings, add_flags
from cosystream.errors import ConfigError

DEFAULT_STREAMS = (1, 2, 4, 8)
MOST_STREAMS = 4096
OF_SERVERS = ("host", "port")
"""Settings that make no sense where there is none."""
OF_LISTENERS = ("api_keys", "config", "log_level")
"""Settings that make sense where the engine is a server's; a key is sent along."""


def add_bench(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Let ``commands`` know the command ``bench``."""
    parser = commands.add_parser(
        "bench",
        usage="cosystream bench [options] [URL]",
        help="measure a server, or an engine without one",
        description="Measure a server, or an engine in this process, as its listeners meet it: emulated players ask, "
        "and play in real time what they hear. Without a URL the settings below choose the engine. See "
        "docs/benchmarks.md for what each figure means.",
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="of a server, such as http://localhost:50000")
    loads = parser.add_mutually_exclusive_group()
    loads.add_argument(
        "--streams",
        type=_numbers(int, 1, MOST_STREAMS),
        metavar="N,…",
        help=f"listeners at once, each asking again when it has heard all [{','.join(map(str, DEFAULT_STREAMS))}]",
    )
    loads.add_argument(
        "--rate",
        type=_numbers(float, 1e-3, 1e4),
        metavar="R,…",
        help="instead, new listeners a second, who come at random (Poisson) whether or not others are served",
    )
    loads.add_argument(
        "--compare", nargs=2, type=Path, metavar="FILE", help="measure nothing; show two results beside each other"
    )
    parser.add_argument("--seconds", type=_number(float, 0.1, 86_400), metavar="S", help="to ask for, each load [30]")
    parser.add_argument("--requests", type=_number(int, 1, 10**7), metavar="N", help="to make at most, each load")
    parser.add_argument("--eager", action="store_true", help="ask again when all has arrived, before it is played")
    parser.add_argument("--text", type=Path, metavar="FILE", help="what to say, a text a line [sentences of its own]")
    parser.add_argument("--speaker", metavar="NAME", help="a voice's name [the engine's own]")
    parser.add_argument("--seed", type=_number(int, 0, 2**32), default=0, metavar="N", help="of all that is random [0]")
    parser.add_argument("--out", type=Path, metavar="DIR", help="keep figures, chunks and pictures there")
    add_flags(parser)


def run_bench(parsed: argparse.Namespace, settings: Settings) -> int:
    """Do what ``parsed`` asks for; the exit status. Raises ConfigError for flags that do not go together."""
    from cosystream.cli.bench import bench, compare_files

    if parsed.compare is not None:
        return compare_files(*parsed.compare)
    _check_settings(parsed.url, parsed.flags)
    if parsed.eager and parsed.rate is not None:
        raise ConfigError("--eager is for listeners who ask again, which with --rate none does; leave one of them out")
    return bench(
        settings,
        url=parsed.url,
        loads=_loads(parsed),
        plan=_plan(parsed),
        out=parsed.out,
        command=_command(parsed),
    )


def _check_settings(url: str | None, flags: Iterable[str]) -> None:
    """Raise ConfigError for flags that would set up what is not there."""
    needless = [name for name in flags if name in OF_SERVERS or (url is not None and name not in OF_LISTENERS)]
    written = ", ".join(f"--{name.replace('_', '-')}" for name in needless)
    if needless and url is None:
        raise ConfigError(f"{written} would set up a server; to measure one, give its URL: http://localhost:50000")
    if needless:
        raise ConfigError(f"{written} would set up an engine here, but {url} has its own; leave one of them out")


def _loads(parsed: argparse.Namespace) -> list[Load]:
    if parsed.rate is not None:
        return [Load(rate=rate) for rate in parsed.rate]
    return [Load(streams=streams, is_eager=parsed.eager) for streams in parsed.streams or DEFAULT_STREAMS]


def _plan(parsed: argparse.Namespace) -> Plan:
    """With a number of requests alone, however long they take."""
    given: dict[str, Any] = {} if parsed.text is None else {"texts": read_texts(parsed.text)}
    if parsed.seconds is not None or parsed.requests is not None:
        given["seconds"] = math.inf if parsed.seconds is None else parsed.seconds
    return Plan(requests=parsed.requests, speaker=parsed.speaker, seed=parsed.seed, **given)


def _command(parsed: argparse.Namespace) -> list[str]:
    """What the user said, without keys."""
    command = ["cosystream", "bench", *([] if parsed.url is None else [parsed.url])]
    for name in ("streams", "rate"):
        if (values := getattr(parsed, name)) is not None:
            command += [f"--{name}", ",".join(f"{value:g}" for value in values)]
    for name in ("seconds", "requests", "text", "speaker", "seed"):
        if (value := getattr(parsed, name)) not in (None, 0):
            command += [f"--{name}", str(value)]
    command += ["--eager"] if parsed.eager else []
    for name, value in parsed.flags.items():
        if name != "api_keys":
            command += [f"--{name.replace('_', '-')}", str(value)]
    return command


def _number(kind: Callable[[str], Any], least: float, most: float) -> Callable[[str], Any]:
    """A flag's type: a number in a range."""

    def number(written: str) -> Any:  # noqa: ANN401 - of that kind
        try:
            value = kind(written)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            what = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{written!r} is not {what} from {least:g} to {most:g}")
        return value

    return number


def _numbers(kind: Callable[[str], Any], least: float, most: float) -> Callable[[str], Sequence[Any]]:
    """A flag's type: numbers in a range with commas between them, each of them once and the smallest first."""
    number = _number(kind, least, most)
    return lambda written: sorted({number(one) for one in written.split(",")})
