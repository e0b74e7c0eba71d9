"""What listeners do: speak a text and hear it to its end, or to the error that it ends with."""

import asyncio
import threading
from collections.abc import AsyncIterable

from cosystream.errors import CosystreamError
from cosystream.runtime.protocol import Engine
from cosystream.types import AudioChunk, SynthesisRequest


async def say(engine: Engine, text: str) -> list[str | None]:
    """The sentences of ``text`` as they were heard."""
    async with engine.stream(SynthesisRequest(text)) as stream:
        return await heard(stream)


async def heard(stream: AsyncIterable[AudioChunk]) -> list[str | None]:
    return [chunk.sentence async for chunk in stream]


async def broken_off(stream: AsyncIterable[AudioChunk]) -> tuple[list[str | None], CosystreamError]:
    """The sentences that were heard, and what came then."""
    sentences = []
    try:
        async for chunk in stream:
            sentences.append(chunk.sentence)  # noqa: PERF401 - kept for the error
    except CosystreamError as error:
        return sentences, error
    raise AssertionError(f"it ended well, after {sentences}")


async def happened(event: threading.Event) -> None:
    """Wait for what another thread does."""
    assert await asyncio.to_thread(event.wait, 20.0)
