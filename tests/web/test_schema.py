"""What ``/openapi.json`` says against what a server on a socket answers, as schemathesis finds out."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from prometheus_client.parser import text_string_to_metric_families
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from cosystream.config import Settings
from cosystream.engines.tone import ToneSynthesizer
from cosystream.runtime.interleave import InterleavedCore
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.web.app import create_app

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

WAYS = ("sft", "zero_shot", "cross_lingual", "instruct", "instruct2")
SPEAKING = [
    ("/synthesize/stream", "POST"),
    ("/synthesize/stream", "GET"),
    ("/synthesize", "POST"),
    ("/synthesize_complete", "POST"),
    ("/v1/audio/speech", "POST"),
    ("/v1/t2a_v2", "POST"),
    ("/v1/voices", "POST"),
    *[(f"/inference_{way}", method) for way in WAYS for method in ("GET", "POST")],
]
TELLING = [
    ("/requests/{request_id}", "DELETE"),
    ("/v1/audio/voices", "GET"),
    ("/v1/models", "GET"),
    ("/v1/models/{model}", "GET"),
    ("/v1/voices", "GET"),
    ("/v1/voices/{name}", "GET"),
    ("/v1/voices/{name}", "DELETE"),
    ("/v1/voices/{name}/sample", "GET"),
    ("/", "GET"),
    ("/docs", "GET"),
    ("/speakers", "GET"),
    ("/model_info", "GET"),
    ("/health", "GET"),
    ("/livez", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
    ("/openapi.json", "GET"),
]


@pytest.fixture(scope="module", name="url")
def _url() -> Iterator[str]:
    """A server of tones on a thread."""
    listening = socket.create_server(("127.0.0.1", 0))  # whoever comes early waits
    server: uvicorn.Server | None = None

    async def serve() -> None:
        nonlocal server
        async with ThreadedEngine.running(lambda: InterleavedCore(ToneSynthesizer())) as engine:
            server = uvicorn.Server(uvicorn.Config(create_app(engine, Settings()), log_config=None))
            await server.serve(sockets=[listening])

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    assert server is not None
    server.should_exit = True
    thread.join()


@pytest.fixture(name="described")
def _described(url: str) -> schemathesis.BaseSchema:
    described = schemathesis.openapi.from_url(f"{url}/openapi.json")
    described.validate()
    return described


def examine(described: schemathesis.BaseSchema, path: str, method: str, mode: GenerationMode) -> None:
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(described[path][method].as_strategy(generation_mode=mode))
    def answers_as_described(case: schemathesis.Case[Any]) -> None:
        case.call_and_validate(checks=CHECKS)

    answers_as_described()


def test_every_route_is_asked(described: schemathesis.BaseSchema) -> None:
    asked = {(path, method) for path, method in [*SPEAKING, *TELLING]}
    assert {(path, method.upper()) for path, methods in described.items() for method in methods} == asked


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("path", "method"), SPEAKING)
def test_routes_that_speak_answer_as_described(
    described: schemathesis.BaseSchema, path: str, method: str, mode: GenerationMode
) -> None:
    examine(described, path, method, mode)


@pytest.mark.parametrize(("path", "method"), TELLING)
def test_routes_that_tell_answer_as_described(described: schemathesis.BaseSchema, path: str, method: str) -> None:
    examine(described, path, method, GenerationMode.POSITIVE)


def test_it_serves_on_and_has_watched_its_event_loop(url: str) -> None:
    assert requests.post(f"{url}/synthesize", json={"text": "hello"}, timeout=10).json()["duration_ms"] == 200
    families = text_string_to_metric_families(requests.get(f"{url}/metrics", timeout=10).text)
    seen = {sample.name: sample.value for family in families for sample in family.samples}
    assert seen["cosystream_streams"] == 0
    assert seen["cosystream_loop_lag_seconds_count"] >= 1
