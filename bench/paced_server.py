"""``python -m bench.paced_server``: the product around the paced core, put together as ``cosystream serve`` does it."""

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable

import uvicorn
from sse_starlette.sse import AppStatus

from bench.connection import HOST
from bench.paced import PacedCore
from cosystream.cli.serve import SWITCH_INTERVAL_SECONDS
from cosystream.config import Settings
from cosystream.engines.tone import Melody, ToneSynthesizer
from cosystream.runtime.admission import Limits
from cosystream.runtime.threaded import ThreadedEngine
from cosystream.web.app import create_app


def main() -> None:
    parser = argparse.ArgumentParser("python -m bench.paced_server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--step-ms", type=float, required=True)
    given = parser.parse_args()
    settings = Settings(host=HOST, port=given.port, max_streams=given.streams)
    logging.basicConfig(level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sys.setswitchinterval(SWITCH_INTERVAL_SECONDS)
    AppStatus.disable_automatic_graceful_drain()  # type: ignore[no-untyped-call]

    def build() -> PacedCore[Melody]:
        return PacedCore(ToneSynthesizer(), streams_at_once=given.streams, step_seconds=given.step_ms / 1000)

    with asyncio.Runner(loop_factory=uvicorn.Config("", log_config=None).get_loop_factory()) as runner:
        runner.run(_serve(build, settings))


async def _serve(build: Callable[[], PacedCore[Melody]], settings: Settings) -> None:
    async with ThreadedEngine.running(build, Limits(max_streams=settings.max_streams), wait_ready=False) as engine:
        config = uvicorn.Config(
            create_app(engine, settings),
            host=settings.host,
            port=settings.port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    main()
