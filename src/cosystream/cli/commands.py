"""The subcommands of ``cosystream``: which there are, and handing over to the one that was asked for."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from cosystream import __version__
from cosystream.cli.bench_flags import add_bench, run_bench
from cosystream.cli.say_flags import add_say, run_say
from cosystream.config import add_flags, load_settings


def run(arguments: Sequence[str] | None) -> int:
    """Run a subcommand; the exit status. Raises CosystreamError, and SystemExit for flags that will not do."""
    parsed = _parser().parse_args(arguments)
    if parsed.command == "fetch":
        from cosystream.cli.fetch import fetch

        return fetch(parsed.name, hub_name=parsed.hub, into=parsed.into, everything=parsed.all, environ=os.environ)
    settings = load_settings(parsed.flags, os.environ)
    if parsed.command == "serve":
        from cosystream.cli.serve import serve

        return serve(settings)
    if parsed.command == "doctor":
        from cosystream.cli.doctor import doctor

        return doctor(settings)
    if parsed.command == "bench":
        return run_bench(parsed, settings)
    return run_say(parsed, settings)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("cosystream", description="Speech that starts at once and never stutters.")
    parser.add_argument("--version", action="version", version=f"cosystream {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        usage="cosystream serve [options]",
        help="serve speech over HTTP",
        description="Serve speech over HTTP. A setting is taken from its flag, else from its COSYSTREAM_ variable, "
        "else from the settings file, else it has the default shown.",
    )
    add_flags(serve)
    add_say(commands)
    doctor = commands.add_parser(
        "doctor",
        usage="cosystream doctor [options]",
        help="say whether a checkpoint can be served here",
        description="Look through a checkpoint's folder, and say what is missing and what it will take.",
    )
    add_flags(doctor)
    add_bench(commands)
    fetch = commands.add_parser(
        "fetch",
        help="bring a CosyVoice checkpoint",
        description="Bring a CosyVoice checkpoint from a hub: what is needed of it, 3 to 4.5 GB. What is there already "
        "is verified and not brought again, an interrupted download goes on where it was. The variables HF_ENDPOINT, "
        "HF_TOKEN, MODELSCOPE_ENDPOINT and MODELSCOPE_API_TOKEN are respected.",
    )
    fetch.add_argument("name", metavar="NAME", help="Fun-CosyVoice3-0.5B, CosyVoice2-0.5B or a repository, org/name")
    fetch.add_argument("--into", type=Path, metavar="DIR", help="the folder [default: pretrained_models/NAME]")
    fetch.add_argument(
        "--hub", choices=["huggingface", "modelscope"], default="huggingface", help="[default: huggingface]"
    )
    fetch.add_argument("--all", action="store_true", help="every file, even if it is not needed")
    return parser
