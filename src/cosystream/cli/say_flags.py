"""The command line of ``cosystream say``."""

import argparse
import os
import sys

from cosystream.config import Settings, add_flags
from cosystream.errors import ConfigError, Unauthorized

OF_LISTENERS = ("api_keys", "config", "log_level")
"""Settings that make sense where the engine is a server's; a key is sent along."""


def add_say(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Let ``commands`` know the command ``say``."""
    parser = commands.add_parser(
        "say",
        usage="cosystream say [options] TEXT",
        help="speak a text, with or without a server",
        description="Speak a text, here and now; or have a server do it, with --server. Without -o it is played, and "
        "written to speech.wav where there is no player.",
    )
    parser.add_argument("text", metavar="TEXT", help="what to say; - reads standard input")
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "-o", "--output", metavar="FILE", help="write a WAV instead of playing; - writes it to standard output"
    )
    where.add_argument("--play", action="store_true", help="play, and fail where there is no player")
    parser.add_argument(
        "--server",
        metavar="URL",
        help="let this server speak, such as http://localhost:50000; a key is taken from COSYSTREAM_API_KEYS",
    )
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
    text = _standard_input() if parsed.text == "-" else _argument(parsed.text)
    wish = Wish(text, parsed.speaker, parsed.speed)
    try:
        return say(settings, wish, output=parsed.output, must_play=parsed.play, server=parsed.server)
    except Unauthorized:
        which = "another API key than the one given" if settings.api_keys else "an API key"
        raise ConfigError(f"{parsed.server}: it wants {which}; COSYSTREAM_API_KEYS may hold it") from None


def _standard_input() -> str:
    return _decoded(sys.stdin.buffer.read(), "standard input")


def _argument(text: str) -> str:
    """``text``, whatever the locale: bytes that it could not read are surrogates, and may be UTF-8 all the same."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return _decoded(os.fsencode(text), "the text")
    return text


def _decoded(text: bytes, source: str) -> str:
    """Raises ConfigError for what is no text."""
    try:
        return text.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source} is not UTF-8: {error.reason} at byte {error.start}") from None
