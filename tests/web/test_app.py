"""The application as a server drives it, from start to end."""

import asyncio

import orjson
import pytest
from starlette.types import Message

from cosystream.config import Settings
from cosystream.web.app import create_app
from tests.support.asgi import LONGEST_WAIT_SECONDS, ask
from tests.support.engines import ScriptedEngine
from tests.support.sockets import SocketClient


async def test_it_starts_and_stops_and_leaves_no_task_behind() -> None:
    before = asyncio.all_tasks()
    sent: list[Message] = []
    requests: asyncio.Queue[Message] = asyncio.Queue()

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "lifespan.startup.complete":
            requests.put_nowait({"type": "lifespan.shutdown"})

    requests.put_nowait({"type": "lifespan.startup"})
    app = create_app(ScriptedEngine(), Settings())
    async with asyncio.timeout(LONGEST_WAIT_SECONDS):
        await app({"type": "lifespan", "state": {}}, requests.get, send)
        left_behind = asyncio.all_tasks() - before
        await asyncio.gather(*left_behind, return_exceptions=True)  # a cancelled task ends one step later
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert all(task.cancelled() for task in left_behind)


@pytest.mark.parametrize("path", ["/nowhere", "/v1/stream/", "/synthesize/stream", "/"])
async def test_a_web_socket_of_no_route_is_refused_and_hears_which_there_are(path: str) -> None:
    app = create_app(ScriptedEngine(), Settings())
    client = SocketClient(app, path)
    assert (await client.answered())["status"] == 404
    await client.ended()
    error = orjson.loads(client.refusal)["error"]
    said = f"there is no WebSocket {path}; there are /api-ws/v1/inference, /ws/v1/t2a_v2, /v1/stream"
    assert error == {"type": "unknown_request", "message": said, "field": None}
    figures = (await ask(app, "GET", "/metrics")).body.decode()
    assert 'cosystream_requests_total{outcome="unknown_request",route="unknown"} 1.0' in figures


@pytest.mark.parametrize("path", ["/api-ws/v1/inference", "/ws/v1/t2a_v2", "/v1/stream"])
async def test_who_asks_a_web_socket_for_a_page_hears_that_it_is_one(path: str) -> None:
    answer = await ask(create_app(ScriptedEngine(), Settings()), "GET", path)
    assert answer.status == 404
    assert answer.json["error"]["message"] == f"{path} is a WebSocket; open it with ws:// or wss://"
