"""What Prometheus reads, and that it is what happened."""

from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp

from cosystream.config import Settings
from cosystream.errors import Overloaded, SynthesisFailed
from cosystream.runtime.protocol import EngineState, Place
from cosystream.web.app import create_app
from cosystream.web.metrics import Metrics
from tests.support.asgi import ask, exchange
from tests.support.engines import ScriptedEngine, chunk

STREAM = "/synthesize/stream"


def read(exposition: bytes) -> dict[str, float]:
    """Each sample by its name and labels, as the exposition writes them."""
    return {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(exposition.decode())
        for sample in family.samples
    }


async def figures(app: ASGIApp) -> dict[str, float]:
    answer = await ask(app, "GET", "/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return read(answer.body)


async def test_what_a_listener_got_is_counted() -> None:
    app = create_app(ScriptedEngine(chunk(2400), chunk(2400), chunk(1200)), Settings())
    await ask(app, "POST", STREAM, json={"text": "hello"})
    await ask(app, "POST", "/synthesize", json={"text": "hello"})
    await ask(app, "POST", "/synthesize", data={"text": "hello"})
    seen = await figures(app)
    assert seen["cosystream_requests_total{outcome=finished}{route=/synthesize/stream}"] == 1
    assert seen["cosystream_requests_total{outcome=finished}{route=/synthesize}"] == 2
    assert seen["cosystream_audio_seconds_total"] == 0.75
    assert seen["cosystream_underruns_total"] == 3
    assert (seen["cosystream_queue_seconds_count"], seen["cosystream_queue_seconds_sum"]) == (3, 0.75)
    assert (seen["cosystream_first_audio_seconds_count"], seen["cosystream_first_audio_seconds_sum"]) == (3, 1.5)
    assert seen["cosystream_chunk_gap_seconds_count"] == 6
    assert (seen["cosystream_rtf_count"], seen["cosystream_rtf_sum"]) == (3, 0.375)
    assert seen["cosystream_first_audio_seconds_bucket{le=0.4}"] == 0
    assert seen["cosystream_first_audio_seconds_bucket{le=0.6}"] == 3


async def test_outcomes_are_counted_by_route() -> None:
    engine = ScriptedEngine(chunk(), SynthesisFailed("lost my voice"))
    app = create_app(engine, Settings())
    await ask(app, "POST", STREAM, json={"text": "hello"})
    await ask(app, "POST", STREAM, json={"text": "hello", "format": "pcm"})
    await ask(app, "POST", STREAM, json={"text": ""})
    await ask(app, "GET", "/livez")
    await ask(app, "GET", "/a-path-that-somebody-made-up")
    await ask(app, "GET", "/synthesize")
    engine.refusal = Overloaded("full", retry_after_seconds=1.0)
    await ask(app, "POST", STREAM, json={"text": "hello"})
    seen = await figures(app)
    assert {name: value for name, value in seen.items() if name.startswith("cosystream_requests_total")} == {
        "cosystream_requests_total{outcome=synthesis_failed}{route=/synthesize/stream}": 2,
        "cosystream_requests_total{outcome=invalid_request}{route=/synthesize/stream}": 1,
        "cosystream_requests_total{outcome=overloaded}{route=/synthesize/stream}": 1,
        "cosystream_requests_total{outcome=invalid_request}{route=/synthesize}": 1,
        "cosystream_requests_total{outcome=200}{route=/livez}": 1,
        "cosystream_requests_total{outcome=unknown_request}{route=unknown}": 1,
    }


async def test_a_job_that_brought_no_audio_has_no_figures() -> None:
    app = create_app(ScriptedEngine(places=(Place(1, 0.1), SynthesisFailed("no"))), Settings())
    await ask(app, "POST", STREAM, json={"text": "hello"})
    seen = await figures(app)
    assert seen["cosystream_queue_seconds_count"] == seen["cosystream_rtf_count"] == 0
    assert seen["cosystream_underruns_total"] == 0


async def test_the_engine_is_shown_as_it_is_at_the_moment() -> None:
    engine = ScriptedEngine(chunk(), chunk())
    app = create_app(engine, Settings())
    async with exchange(app, "POST", STREAM, json={"text": "hello"}, reads=3) as listener:
        for _ in range(3):
            await listener.next()
        seen = await figures(app)
    assert {name: value for name, value in seen.items() if name.count("_") <= 5 and "{" not in name}.items() >= {
        "cosystream_ready": 1,
        "cosystream_streams": 1,
        "cosystream_streams_running": 1,
        "cosystream_streams_at_once": 8,
        "cosystream_queue_depth": 3,
        "cosystream_worker_step_age_seconds": 0.001,
        "cosystream_engine_rtf": 0.5,
        "cosystream_engine_deaths": 2,
        "cosystream_pages": 7,
        "cosystream_pages_free": 5,
        "cosystream_retries_total": 3,
    }.items()
    for seconds in (0.01, 0.05, 3.0):
        engine.step_times.observe(seconds)
    seen = await figures(app)
    assert [seen[f"cosystream_step_seconds_bucket{{le={bound}}}"] for bound in ("0.01", "0.1", "+Inf")] == [1, 2, 3]
    assert seen["cosystream_step_seconds_sum"] == 3.06
    engine.state = EngineState.DEAD
    assert (await figures(app))["cosystream_ready"] == 0


async def test_every_figure_of_the_interface_is_there_from_the_start() -> None:
    seen = await figures(create_app(ScriptedEngine(), Settings()))
    for name in ("underruns_total", "audio_seconds_total", "queue_depth", "streams", "worker_step_age_seconds"):
        assert f"cosystream_{name}" in seen
    for name in ("first_audio_seconds", "queue_seconds", "chunk_gap_seconds", "rtf", "loop_lag_seconds"):
        assert seen[f"cosystream_{name}_count"] == 0


def test_the_event_loops_lag_is_a_histogram() -> None:
    metrics = Metrics(ScriptedEngine())
    for seconds in (0.0, 0.007, 0.007, 20.0):
        metrics.loop_lagged(seconds)
    seen = read(metrics.exposition())
    assert seen["cosystream_loop_lag_seconds_bucket{le=0.005}"] == 1
    assert seen["cosystream_loop_lag_seconds_bucket{le=0.01}"] == 3
    assert seen["cosystream_loop_lag_seconds_bucket{le=10.0}"] == 3
    assert seen["cosystream_loop_lag_seconds_bucket{le=+Inf}"] == 4


async def test_two_applications_count_apart() -> None:
    one, other = (create_app(ScriptedEngine(chunk()), Settings()) for _ in range(2))
    await ask(one, "POST", STREAM, json={"text": "hello"})
    assert (await figures(one))["cosystream_audio_seconds_total"] == 0.1
    assert (await figures(other))["cosystream_audio_seconds_total"] == 0
