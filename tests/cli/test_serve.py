import asyncio

import pytest

from cosystream.cli.listening import listening
from cosystream.cli.serve import _announce, _announcement, _Server
from cosystream.config import ApiKeys, Settings
from cosystream.engines.registry import core_builder
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.web.app import create_app


async def test_where_it_listens_is_said_when_it_does_though_the_engine_was_ready_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    settings = Settings(engine="tone", host="127.0.0.1", port=0)
    with listening(settings.host, settings.port, longest_wait_seconds=30) as sockets:
        async with ThreadedEngine.running(core_builder(settings)) as engine:
            server = _Server(create_app(engine, settings), settings, engine)
            announcement = asyncio.create_task(_announce(engine, server, settings))
            for _ in range(10):
                await asyncio.sleep(0)
            assert not announcement.done()
            serving = asyncio.create_task(server.serve(sockets))
            assert await announcement == 0
            assert f"speaks on http://127.0.0.1:{server.port} (tone)" in capsys.readouterr().out
            server.should_exit = True
            await serving


@pytest.mark.parametrize(
    ("host", "url", "called"),
    [
        ("0.0.0.0", "http://0.0.0.0:50001 ", "localhost:50001/"),
        ("::", "http://[::]:50001 ", "localhost:50001/"),
        ("localhost", "http://localhost:50001 ", "localhost:50001/"),
        ("127.0.0.2", "http://127.0.0.2:50001 ", "127.0.0.2:50001/"),
        ("::1", "http://[::1]:50001 ", "[::1]:50001/"),
    ],
)
def test_the_command_to_hear_it_calls_where_it_listens(host: str, url: str, called: str) -> None:
    said = _announcement(Settings(host=host), 50001, "tone")
    assert f"speaks on {url}" in said
    assert f"curl -X POST {called}" in said
    assert "X-Api-Key" not in said


def test_the_command_to_hear_it_sends_a_key_where_there_are_keys_and_shows_none() -> None:
    said = _announcement(Settings(api_keys=ApiKeys(["s3cret"])), 50001, "tone")
    assert '-H "X-Api-Key: $KEY"' in said
    assert "s3cret" not in said
