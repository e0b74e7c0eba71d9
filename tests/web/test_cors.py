"""What a browser is told when a page of another origin asks."""

import httpx
import pytest

from cosystream.config import ApiKeys, Origins, Settings
from cosystream.errors import Overloaded
from cosystream.web.app import create_app
from tests.support.asgi import ask
from tests.support.engines import ScriptedEngine, chunk
from tests.support.sockets import SocketClient

PAGE = "https://example.org"
ALLOWED = "access-control-allow-origin"


async def preflight(settings: Settings, origin: str = PAGE, method: str = "POST") -> tuple[int, httpx.Headers]:
    headers = {
        "origin": origin,
        "access-control-request-method": method,
        "access-control-request-headers": "authorization,content-type",
    }
    answer = await ask(create_app(ScriptedEngine(), settings), "OPTIONS", "/synthesize/stream", headers=headers)
    return answer.status, answer.headers


async def test_without_a_setting_no_other_page_may_read_an_answer() -> None:
    answer = await ask(
        create_app(ScriptedEngine(chunk()), Settings()),
        "POST",
        "/synthesize/stream",
        json={"text": "hello"},
        headers={"origin": PAGE},
    )
    assert answer.status == 200
    assert ALLOWED not in answer.headers
    status, headers = await preflight(Settings())
    assert status == 405
    assert ALLOWED not in headers


async def test_a_page_that_is_named_may_ask_and_read_and_another_may_not() -> None:
    settings = Settings(cors_origins=Origins([PAGE]), api_keys=ApiKeys(["one"]))
    status, headers = await preflight(settings)
    assert (status, headers[ALLOWED]) == (200, PAGE)
    assert headers["access-control-allow-methods"] == "GET, POST, DELETE"
    status, headers = await preflight(settings, origin="https://example.com")
    assert status == 400
    assert ALLOWED not in headers
    status, headers = await preflight(settings, method="PUT")
    assert status == 400


@pytest.mark.parametrize("origins", [[PAGE], ["*"], ["null", PAGE]])
async def test_events_and_errors_can_be_read_alike(origins: list[str]) -> None:
    settings = Settings(cors_origins=Origins(origins))
    for engine in (ScriptedEngine(chunk()), ScriptedEngine(refusal=Overloaded("full", retry_after_seconds=1))):
        answer = await ask(
            create_app(engine, settings),
            "POST",
            "/synthesize/stream",
            json={"text": "hello"},
            headers={"origin": PAGE},
        )
        assert answer.headers[ALLOWED] == ("*" if origins == ["*"] else PAGE)
        assert {"X-Request-Id", "Retry-After"} <= set(answer.headers["access-control-expose-headers"].split(", "))
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_key_that_is_missing_can_be_read_too() -> None:
    settings = Settings(cors_origins=Origins([PAGE]), api_keys=ApiKeys(["one"]))
    answer = await ask(create_app(ScriptedEngine(), settings), "GET", "/speakers", headers={"origin": PAGE})
    assert (answer.status, answer.headers[ALLOWED]) == (401, PAGE)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),  # no browser
        ({"origin": "http://here:50000"}, 101),
        ({"origin": "https://here:50000"}, 101),
        ({"origin": PAGE}, 101),
        ({"origin": "http://here"}, 403),
        ({"origin": "http://here:50000.example.com"}, 403),
        ({"origin": "https://example.com"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "here:50000"}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "http://a\u2100b"}, 403),  # what urlsplit refuses as well
    ],
)
@pytest.mark.parametrize("path", ["/v1/stream", "/ws/v1/t2a_v2", "/api-ws/v1/inference"])
async def test_a_socket_is_open_to_our_own_pages_and_to_those_that_are_named(
    path: str, headers: dict[str, str], status: int
) -> None:
    app = create_app(ScriptedEngine(), Settings(cors_origins=Origins([PAGE])))
    client = SocketClient(app, path, headers={"host": "here:50000", **headers})
    answer = await client.answered()
    assert answer.get("status", 101) == status
    client.leave()
    await client.ended()
