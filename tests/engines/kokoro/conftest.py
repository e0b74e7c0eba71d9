from collections.abc import Iterator
from pathlib import Path

import pytest

from cosystream.engines.kokoro.model import KokoroModel
from cosystream.engines.kokoro.synthesizer import KokoroSynthesizer

NUM_THREADS = 2


@pytest.fixture(scope="session")
def kokoro_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the rewritten graphs are kept: built once, by whoever comes first."""
    return tmp_path_factory.mktemp("kokoro")


@pytest.fixture(scope="session")
def model(kokoro_cache: Path) -> KokoroModel:
    return KokoroModel(kokoro_cache, NUM_THREADS)


@pytest.fixture(scope="session")
def kokoro(kokoro_cache: Path) -> Iterator[KokoroSynthesizer]:
    """The embedded voice itself. It changes nothing in itself when it speaks, so that all tests can share it."""
    synthesizer = KokoroSynthesizer(cache_dir=kokoro_cache, num_threads=NUM_THREADS)
    yield synthesizer
    synthesizer.close()
