"""Programs that play samples from their standard input while these are being made."""

import asyncio
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cosystream.errors import ConfigError

PLAYERS = {
    "aplay": "--quiet --file-type=raw --format=S16_LE --channels=1 --rate={sample_rate} -",
    "ffplay": "-nodisp -autoexit -loglevel error -probesize 32 -f s16le -sample_rate {sample_rate} -",
    "play": "-q -t raw -e signed-integer -b 16 -L -c 1 -r {sample_rate} -",
}
"""By name, how to tell them to. A WAV would do too, but ffplay takes four seconds of one before it begins."""
PACKAGES = "aplay (package alsa-utils), ffplay (ffmpeg) or play (sox)"


@dataclass(frozen=True, slots=True)
class Sound:
    """A piece of speech, wherever it was made."""

    pcm: bytes
    sample_rate: int


def installed_player() -> str | None:
    """The first of them that is there."""
    return next(filter(None, map(shutil.which, PLAYERS)), None)


def required_player() -> str:
    """The same. Raises ConfigError if there is none."""
    player = installed_player()
    if player is None:
        raise ConfigError(f"there is no player here; install {PACKAGES}, or write a file with -o FILE")
    return player


async def play(player: str, sounds: AsyncIterator[Sound]) -> int:
    """Play; the exit status. Sounds are taken as fast as they are made, and a player that still plays ends with us."""
    process: Process | None = None
    try:
        async for sound in sounds:
            if process is None:
                process = await _start(player, sound.sample_rate)
            assert process.stdin is not None
            if process.stdin.is_closing() or process.returncode is not None:
                break  # the player has gone, and says why by itself
            process.stdin.write(sound.pcm)
        assert process is not None
        assert process.stdin is not None
        process.stdin.close()
        status = await process.wait()
    finally:
        if process is not None:
            if process.returncode is None:
                process.kill()
                await process.wait()
            assert process.stdin is not None
            process.stdin.close()
            with suppress(ConnectionError):  # what it has not taken is nobody's any more
                await process.stdin.wait_closed()
    if status != 0:
        print(f"cosystream: {player} ended with status {status}; -o FILE writes a file", file=sys.stderr)
    return 1 if status else 0


async def _start(player: str, sample_rate: int) -> Process:
    """In a session of its own, since Ctrl-C is for us."""
    arguments = PLAYERS[Path(player).name].format(sample_rate=sample_rate).split()
    return await asyncio.create_subprocess_exec(player, *arguments, stdin=PIPE, stdout=DEVNULL, start_new_session=True)
