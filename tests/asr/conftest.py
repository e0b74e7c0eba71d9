from collections.abc import Iterator
from pathlib import Path

import pytest

from cosystream.engines.kokoro.synthesizer import KokoroSynthesizer
from tests.support.recogniser import Recogniser

NUM_THREADS = 2


def cache_folder(config: pytest.Config, name: str) -> Path:
    """A folder that outlives the run: what is built there takes 140 MB and some seconds."""
    assert config.cache is not None
    return config.cache.mkdir(name)


@pytest.fixture(scope="session")
def recogniser(pytestconfig: pytest.Config) -> Recogniser:
    return Recogniser(cache_folder(pytestconfig, "whisper-base"), num_threads=NUM_THREADS)


@pytest.fixture(scope="session")
def kokoro(pytestconfig: pytest.Config) -> Iterator[KokoroSynthesizer]:
    synthesizer = KokoroSynthesizer(cache_dir=cache_folder(pytestconfig, "kokoro"), num_threads=NUM_THREADS)
    yield synthesizer
    synthesizer.close()
