"""Many listeners at once."""

import asyncio
from collections.abc import Iterable

from bench.connection import listen
from bench.player import AudioHandler, Heard


async def listen_together(
    port: int, texts: Iterable[str], *, every_seconds: float = 0.0, on_audio: AudioHandler | None = None
) -> list[Heard]:
    """One listener for each text, the next one ``every_seconds`` after the one before."""

    async def listener(text: str, delay_seconds: float) -> Heard:
        await asyncio.sleep(delay_seconds)
        return await listen(port, text, on_audio)

    return await asyncio.gather(*(listener(text, index * every_seconds) for index, text in enumerate(texts)))


def problems_of(listeners: Iterable[Heard]) -> tuple[str, ...]:
    """What went wrong, each thing once. Being told to come back later is not wrong."""
    wrong = (one for one in listeners if not (one.served or one.refused))
    return tuple(sorted({one.problem or f"status {one.status}" for one in wrong}))
