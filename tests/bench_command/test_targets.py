import asyncio
from pathlib import Path

import pytest

from cosystream.bench.engine_target import EngineTarget
from cosystream.bench.http_target import HttpTarget
from cosystream.config import Settings
from cosystream.engines.registry import core_builder
from cosystream.runtime.admission import Limits
from cosystream.types import SynthesisRequest
from tests.support.cores import ScriptedCore
from tests.support.server import running_server

TEXTS = ("one", "one two three", "一 二")


@pytest.mark.e2e
async def test_a_server_and_its_engine_in_this_process_say_the_same(tmp_path: Path) -> None:
    here = EngineTarget.running(core_builder(Settings(engine="tone")), Limits(), None)
    with running_server(tmp_path, "--engine", "tone") as server:
        there = await HttpTarget.reach(server.url, None)
        async with here as engine:
            assert (there.info.engine, there.info.model) == (engine.info.engine, engine.info.model)
            for text in TEXTS:
                request = SynthesisRequest(text, seed=1)
                of_server, of_engine = await there.listen(request), await engine.listen(request)
                assert of_server.served
                assert of_engine.served
                assert [one.audio_seconds for one in of_server.arrivals] == [
                    one.audio_seconds for one in of_engine.arrivals
                ]
            for vitals in (await there.vitals(), await engine.vitals()):
                assert vitals.step is not None
                assert vitals.step.count > 0


async def test_vitals_are_of_what_came_since_they_were_last_asked_for() -> None:
    async with EngineTarget.running(core_builder(Settings(engine="tone")), Limits(), None) as target:
        await target.vitals()
        await target.listen(SynthesisRequest("one two three"))
        assert (await target.vitals()).step is not None
        assert (await target.vitals()).step is None


@pytest.mark.parametrize(("text", "heard_seconds"), [("one fail", 0.1), ("refuse", 0.0)])
async def test_what_goes_wrong_in_this_process_is_in_what_was_heard(text: str, heard_seconds: float) -> None:
    async with EngineTarget.running(ScriptedCore, Limits(), None) as target:
        heard = await target.listen(SynthesisRequest(text))
    assert heard.problem
    assert not heard.served
    assert heard.audio_seconds == pytest.approx(heard_seconds)


async def test_who_finds_the_engine_full_is_refused() -> None:
    async with EngineTarget.running(ScriptedCore, Limits(max_streams=1, max_queue=0), None) as target:
        first, second = await asyncio.gather(*(target.listen(SynthesisRequest(text)) for text in ("one", "two")))
    assert first.served
    assert second.refused
    assert second.retry_after_seconds
    assert second.problem is None
