"""Many listeners at once."""

import asyncio
from collections.abc import Iterable

from cosystream.bench.connection import Address, listen
from cosystream.bench.heard import Heard
from cosystream.bench.player import AudioHandler
from cosystream.types import SynthesisRequest


async def listen_together(
    address: Address, texts: Iterable[str], *, every_seconds: float = 0.0, on_audio: AudioHandler | None = None
) -> list[Heard]:
    """One listener for each text, the next one ``every_seconds`` after the one before."""

    async def listener(text: str, delay_seconds: float) -> Heard:
        await asyncio.sleep(delay_seconds)
        return await listen(address, SynthesisRequest(text), on_audio)

    return await asyncio.gather(*(listener(text, index * every_seconds) for index, text in enumerate(texts)))


def problems_of(listeners: Iterable[Heard]) -> tuple[str, ...]:
    """What went wrong, each thing once. Being told to come back later is not wrong."""
    return tuple(sorted({one.problem for one in listeners if one.problem is not None}))
