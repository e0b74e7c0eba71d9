import pytest

from bench.server_alone import measure_server


@pytest.mark.e2e
async def test_every_listener_of_the_paced_server_gets_everything() -> None:
    figures = await measure_server(streams=4, seconds=1.0, step_ms=5.0)
    assert figures.problems == ()
    assert figures.whole == 4
    assert figures.events > 0
    assert figures.added_ms.count == figures.events
    assert figures.added_ms.p50 > 0  # the stamp and the arrival are of one clock
