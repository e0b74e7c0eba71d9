"""``cosystream say``: speak a text here and now, without a server."""

import asyncio
import shutil
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from pathlib import Path

from cosystream.audio import wav
from cosystream.config import Settings
from cosystream.engines.registry import core_builder
from cosystream.errors import ConfigError
from cosystream.runtime.job import Job
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.wire.fields import parse_call

PLAYERS = {
    "aplay": ("--quiet", "-"),
    "ffplay": ("-nodisp", "-autoexit", "-loglevel", "error", "-"),
    "play": ("-q", "-t", "wav", "-"),
}
"""Programs that play a WAV from their standard input while it is being written, and how to tell them to."""
DEFAULT_FILE = Path("speech.wav")


async def say(settings: Settings, text: str, speaker: str | None, speed: float, output: str | None) -> int:
    """Speak into a file, to standard output (``-``) or, without ``output``, through a player; the exit status."""
    fields = {"text": sys.stdin.read() if text == "-" else text, "speaker": speaker, "speed": speed}
    request = parse_call(fields, max_text_chars=settings.max_text_chars, typed=True).request
    player = next(filter(None, map(shutil.which, PLAYERS)), None) if output is None else None
    default_speaker = settings.default_speaker or None
    async with (
        ThreadedEngine.running(core_builder(settings), default_speaker=default_speaker) as engine,
        engine.stream(request) as stream,
    ):
        sample_rate = engine.info.sample_rate
        if player is not None:
            return await _play(stream, sample_rate, player)
        if output == "-":
            async for piece in _as_wav(stream, sample_rate):
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
            return 0
        path = DEFAULT_FILE if output is None else Path(output)
        pcm = b"".join([chunk.pcm async for chunk in stream])
    try:
        path.write_bytes(wav.encode(pcm, sample_rate))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    why = "" if output else f" (to hear it at once, install one of {', '.join(PLAYERS)})"
    print(f"{len(pcm) / 2 / sample_rate:.1f} s in {path}{why}", file=sys.stderr)
    return 0


async def _play(stream: Job, sample_rate: int, player: str) -> int:
    process = await asyncio.create_subprocess_exec(player, *PLAYERS[Path(player).name], stdin=PIPE, stdout=DEVNULL)
    assert process.stdin is not None
    try:
        async for piece in _as_wav(stream, sample_rate):
            process.stdin.write(piece)
            await process.stdin.drain()
        process.stdin.close()
    except ConnectionError:
        pass  # the player has gone, and says why by itself
    status = await process.wait()
    if status != 0:
        print(f"cosystream: {player} ended with status {status}; -o FILE writes a file", file=sys.stderr)
    return 1 if status else 0


async def _as_wav(stream: Job, sample_rate: int) -> AsyncIterator[bytes]:
    yield wav.header(sample_rate, None)
    async for chunk in stream:
        yield chunk.pcm
