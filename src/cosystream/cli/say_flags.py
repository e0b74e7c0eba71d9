"""The command line of ``cosystream say``."""

import argparse
import asyncio
import sys

from cosystream.config import Settings, add_flags
from cosystream.errors import ConfigError

OF_LISTENERS = ("api_keys", "config", "log_level")
"""Settings that make sense where the engine is a server's; a key is sent along."""


def add_say(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Let ``commands`` know the command ``say``."""
    parser = commands.add_parser(
        "say",
        help="speak a text, with or without a server",
        description="Speak a text, here and now; or have a server do it, with --server. Without -o it is played, and "
        "written to speech.wav where there is no player.",
    )
    parser.add_argument("text", help="what to say; - reads standard input")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-o", "--output", metavar="FILE", help="write a WAV instead of playing; - writes it to standard output"
    )
    where.add_argument("--play", action="store_true", help="play, and fail where there is no player")
    parser.add_argument("--server", metavar="URL", help="let this server speak, such as http://localhost:50000")
    parser.add_argument("--speaker", metavar="NAME", help="a voice's name [default: the engine's own]")
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="0.5 to 2.0 [default: 1]")
    add_flags(parser)


def run_say(parsed: argparse.Namespace, settings: Settings) -> int:
    """Do what ``parsed`` asks for; the exit status. Raises ConfigError for what cannot go together or be read."""
    from cosystream.cli.say import Wish, say

    needless = [name for name in parsed.flags if name not in OF_LISTENERS]
    if parsed.server is not None and needless:
        written = ", ".join(f"--{name.replace('_', '-')}" for name in needless)
        raise ConfigError(f"{written} would set up an engine here, but {parsed.server} has its own; leave one out")
    text = _standard_input() if parsed.text == "-" else parsed.text
    wish = Wish(text, parsed.speaker, parsed.speed)
    return asyncio.run(say(settings, wish, output=parsed.output, must_play=parsed.play, server=parsed.server))


def _standard_input() -> str:
    """Raises ConfigError for what is no text."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"standard input is not UTF-8: {error.reason} at byte {error.start}") from None
