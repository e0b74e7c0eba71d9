"""Both clients, asked in one way."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cosystream.client import AsyncClient, Client, Event

Hear = Callable[..., list[Event]]


def hear_blocking(
    url: str, text: str = "hello", *, retries: int = 0, timeout: float = 20.0, **options: Any
) -> list[Event]:
    with Client(url, retries=retries, timeout=timeout) as client:
        return list(client.stream(text, **options).events())


def hear_on_a_loop(
    url: str, text: str = "hello", *, retries: int = 0, timeout: float = 20.0, **options: Any
) -> list[Event]:
    async def heard() -> list[Event]:
        async with AsyncClient(url, retries=retries, timeout=timeout) as client:
            return [event async for event in client.stream(text, **options).events()]

    return asyncio.run(heard())


@pytest.fixture(params=[hear_blocking, hear_on_a_loop], ids=["Client", "AsyncClient"])
def hear(request: pytest.FixtureRequest) -> Hear:
    """All events of a stream, from either client."""
    chosen: Hear = request.param
    return chosen
