"""``python -m bench.paced_server``: ``cosystream serve``, with the paced core for an engine."""

import argparse
import sys

from bench.paced import PacedCore
from cosystream.bench.connection import LOOPBACK
from cosystream.cli.serve import serve
from cosystream.config import Settings
from cosystream.engines.tone import Melody, ToneSynthesizer


def main() -> int:
    parser = argparse.ArgumentParser("python -m bench.paced_server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--step-ms", type=float, required=True)
    given = parser.parse_args()

    def build() -> PacedCore[Melody]:
        return PacedCore(ToneSynthesizer(), streams_at_once=given.streams, step_seconds=given.step_ms / 1000)

    return serve(Settings(host=LOOPBACK, port=given.port, max_streams=given.streams), choose=lambda _: build)


if __name__ == "__main__":
    sys.exit(main())
