from collections.abc import AsyncIterator

import pytest
from starlette.types import ASGIApp

from cosystream.config import Settings
from cosystream.engines.tone import ToneSynthesizer
from cosystream.runtime.interleave import InterleavedCore
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.web.app import create_app


@pytest.fixture
async def tone() -> AsyncIterator[ASGIApp]:
    """The application over the real thing: a worker thread that plays tones."""
    async with ThreadedEngine.running(lambda: InterleavedCore(ToneSynthesizer())) as engine:
        yield create_app(engine, Settings())
