import contextlib
import os
import sys

import pytest

from bench.process import cpu_time
from bench.server import Server, ServerFailed

SLEEPS = (sys.executable, "-c", "import time; time.sleep(60)")


def test_leaving_the_context_however_ends_the_process() -> None:
    class Interrupted(Exception):
        pass

    with contextlib.suppress(Interrupted), Server.running(SLEEPS) as server:
        os.kill(server.pid, 0)  # it is there
        raise Interrupted
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)


async def test_a_server_that_ends_by_itself_is_not_waited_for() -> None:
    with Server.running((sys.executable, "-c", "raise SystemExit('no model')")) as server:
        with pytest.raises(ServerFailed, match="ended with status 1") as failed:
            await server.ready()
        assert failed.value.last_words == "no model"


def test_processor_time_grows_as_it_is_used() -> None:
    before = cpu_time(os.getpid())
    while (used := cpu_time(os.getpid()).since(before)).total < 0.05:
        sum(range(10_000))
    assert used.main_thread == pytest.approx(used.total, abs=0.021)  # the kernel rounds each to hundredths
    assert used.kernel <= used.total
