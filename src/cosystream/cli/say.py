"""``cosystream say``: speak a text here and now, or have a server do it."""

import asyncio
import importlib.util
import os
import select
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cosystream.audio import wav
from cosystream.audio.naming import check_name
from cosystream.cli.leaving import CLOSING_SECONDS
from cosystream.cli.players import PLAYERS, Sound, installed_player, play, required_player
from cosystream.cli.progress import Progress
from cosystream.config import Settings
from cosystream.errors import ConfigError, SynthesisFailed
from cosystream.wire.fields import parse_call

if TYPE_CHECKING:
    from cosystream.engines.registry import CoreBuilder

DEFAULT_FILE = Path("speech.wav")
STANDARD = "-"
Speaking = AbstractAsyncContextManager[AsyncIterator[Sound]]


@dataclass(frozen=True, slots=True)
class Wish:
    """What to say, and how."""

    text: str
    speaker: str | None = None
    speed: float = 1.0


def say(settings: Settings, wish: Wish, *, output: str | None, must_play: bool, server: str | None) -> int:
    """Speak into a file, to standard output (``-``) or, without ``output``, through a player; the exit status.

    Raises ConfigError for what can be told before anything is spoken: no player, no such folder, no server.
    """
    _check_output(output)
    player = required_player() if must_play else installed_player() if output is None else None
    progress = Progress(sys.stderr)
    if server is None:
        from cosystream.engines.registry import core_builder

        # Before there is an event loop: it would hold Ctrl-C up while modules are imported.
        speaking = _here(core_builder(settings), settings, wish, progress)
    else:
        speaking = _at(server, settings, wish, progress)
    return asyncio.run(_hear(speaking, player, output, progress))


async def _hear(speaking: Speaking, player: str | None, output: str | None, progress: Progress) -> int:
    """Play what is spoken, or write it; the exit status."""
    with progress:
        async with speaking as sounds:
            heard = _something(sounds)
            if player is not None:
                return await play(player, heard)
            if output == STANDARD:
                return await _write_out(_as_wav(heard))
            whole = [sound async for sound in heard]
    path = DEFAULT_FILE if output is None else Path(output)
    pcm, sample_rate = b"".join(sound.pcm for sound in whole), whole[0].sample_rate
    try:
        path.write_bytes(wav.encode(pcm, sample_rate))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    why = "" if output else f" (to hear it at once, install one of {', '.join(PLAYERS)})"
    print(f"{progress.audio_seconds:.1f} s in {path}{why}", file=sys.stderr)
    return 0


def _check_output(output: str | None) -> None:
    """Raise ConfigError for where nothing can be written."""
    if output == STANDARD:
        if sys.stdout.isatty():
            raise ConfigError("standard output is a terminal; send it to a player or a file, or name one with -o FILE")
    elif output is not None:
        if Path(output).is_dir():
            raise ConfigError(f"{output}: is a folder; name a file in it")
        if not Path(output).absolute().parent.is_dir():
            raise ConfigError(f"{output}: there is no such folder")
        check_name(output)


@asynccontextmanager
async def _here(
    build: "CoreBuilder", settings: Settings, wish: Wish, progress: Progress
) -> AsyncIterator[AsyncIterator[Sound]]:
    """By an engine in this process."""
    from cosystream.runtime.admission import Limits
    from cosystream.runtime.threaded import ThreadedEngine

    fields = {"text": wish.text, "speaker": wish.speaker, "speed": wish.speed}
    request = parse_call(fields, max_text_chars=settings.max_text_chars, typed=True).request
    limits = Limits(closing_seconds=CLOSING_SECONDS)
    running = ThreadedEngine.running(build, limits, default_speaker=settings.default_speaker or None)
    progress.note("loading …")
    async with running as engine:
        progress.asked()
        async with engine.stream(request) as stream:

            async def sounds() -> AsyncIterator[Sound]:
                async for chunk in stream:
                    progress.made(chunk.num_samples, engine.info.sample_rate)
                    yield Sound(chunk.pcm, engine.info.sample_rate)
                progress.done(stream.report.rtf)

            yield sounds()


@asynccontextmanager
async def _at(server: str, settings: Settings, wish: Wish, progress: Progress) -> AsyncIterator[AsyncIterator[Sound]]:
    """By a server."""
    if importlib.util.find_spec("httpx") is None:
        raise ConfigError("httpx is not installed; pip install -e '.[client]'")
    from cosystream.client import AsyncClient, Chunk, Done, Queued

    async with (
        AsyncClient(server, api_key=next(iter(settings.api_keys), None)) as client,
        client.stream(wish.text, speaker=wish.speaker, speed=wish.speed) as speech,
    ):

        async def sounds() -> AsyncGenerator[Sound, None]:
            progress.asked()
            async with aclosing(speech.events()) as events:
                async for event in events:
                    match event:
                        case Queued():
                            seconds = event.eta_ms / 1000
                            progress.note(f"place {event.position} in the queue, for about {seconds:.0f} s …")
                        case Chunk():
                            progress.made(event.num_samples, event.sample_rate)
                            yield Sound(event.pcm, event.sample_rate)
                        case Done():
                            progress.done(event.rtf)

        async with aclosing(sounds()) as heard:
            yield heard


async def _something(sounds: AsyncIterator[Sound]) -> AsyncIterator[Sound]:
    """The same; at least one. Raises SynthesisFailed."""
    is_silent = True
    async for sound in sounds:
        yield sound
        is_silent = False
    if is_silent:
        raise SynthesisFailed("nothing was spoken")


async def _as_wav(sounds: AsyncIterator[Sound]) -> AsyncIterator[bytes]:
    is_begun = False
    async for sound in sounds:
        if not is_begun:
            yield wav.header(sound.sample_rate, None)
            is_begun = True
        yield sound.pcm


async def _write_out(pieces: AsyncIterator[bytes]) -> int:
    """Write to standard output; the exit status, 1 if the reader has left.

    A pipe takes only so much: what it would not take at once would hold up the event loop, and with it Ctrl-C.
    """
    descriptor = sys.stdout.fileno()
    try:
        async for piece in pieces:
            rest = memoryview(piece)
            while rest:
                await _is_writable(descriptor)
                rest = rest[os.write(descriptor, rest[: select.PIPE_BUF]) :]
    except BrokenPipeError:
        return 1
    return 0


async def _is_writable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    writable = asyncio.Event()
    try:
        loop.add_writer(descriptor, writable.set)
    except PermissionError:
        return  # a file, which always is
    try:
        await writable.wait()
    finally:
        loop.remove_writer(descriptor)
