import asyncio

import pytest

from cosystream.cli.serve import _announce, _Server
from cosystream.config import Settings
from cosystream.engines.registry import core_builder
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.web.app import create_app


async def test_where_it_listens_is_said_when_it_does_though_the_engine_was_ready_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = Settings(engine="tone", host="127.0.0.1", port=0)
    async with ThreadedEngine.running(core_builder(settings)) as engine:
        server = _Server(create_app(engine, settings), settings, engine)
        announcement = asyncio.create_task(_announce(engine, server, settings))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not announcement.done()
        serving = asyncio.create_task(server.serve())
        assert await announcement == 0
        assert f"speaks on http://127.0.0.1:{server.port} (tone)" in capsys.readouterr().out
        server.should_exit = True
        await serving
