"""The application as a server drives it, from start to end."""

import asyncio

from starlette.types import Message

from cosystream.config import Settings
from cosystream.web.app import create_app
from tests.support.asgi import LONGEST_WAIT_SECONDS
from tests.support.engines import ScriptedEngine


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
