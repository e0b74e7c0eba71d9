"""Is it alive, does it take requests."""

import pytest

from cosystream.config import Settings
from cosystream.errors import NotReady
from cosystream.runtime.protocol import EngineState
from cosystream.web.app import create_app
from tests.support.asgi import ask
from tests.support.engines import ScriptedEngine


async def test_readiness_follows_the_engine() -> None:
    engine = ScriptedEngine(state=EngineState.LOADING)
    app = create_app(engine, Settings())
    for state in (EngineState.LOADING, EngineState.READY, EngineState.DEAD, EngineState.READY, EngineState.DRAINING):
        engine.state = state
        answer = await ask(app, "GET", "/readyz")
        if state is EngineState.READY:
            assert (answer.status, answer.json) == (
                200,
                {"status": "ready", "engine": "scripted", "model": "a script"},
            )
        else:
            problem = {"type": "not_ready", "message": f"the engine is {state}", "field": None}
            assert (answer.status, answer.json) == (503, {"error": problem})
            assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("state", EngineState)
async def test_the_process_lives_whatever_the_engine_does(state: EngineState) -> None:
    app = create_app(ScriptedEngine(state=state, info=NotReady("loading", retry_after_seconds=1.0)), Settings())
    answer = await ask(app, "GET", "/livez")
    assert (answer.status, answer.json) == (200, {"status": "ok"})
    assert (await ask(app, "GET", "/metrics")).status == 200
    assert (await ask(app, "GET", "/openapi.json")).status == 200
