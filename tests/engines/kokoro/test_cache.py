import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from cosystream.engines.kokoro.cache import cached_graph
from cosystream.engines.kokoro.model import KokoroModel
from cosystream.errors import ConfigError


@pytest.fixture
def front(kokoro_cache: Path, tmp_path: Path) -> Path:
    """A copy of a sound graph, alone in a cache of its own."""
    sound = cached_graph("front", kokoro_cache)
    copy = tmp_path / sound.name
    copy.write_bytes(sound.read_bytes())
    return copy


def test_what_is_cached_is_not_made_again(front: Path) -> None:
    made = front.stat().st_mtime_ns
    assert cached_graph("front", front.parent) == front
    assert front.stat().st_mtime_ns == made


def test_a_cached_graph_is_an_onnx_model(front: Path) -> None:
    assert [entry.key for entry in onnx.load(front).metadata_props] == ["sha256"]


@pytest.mark.parametrize("size", [0, 40, 1_000_000])
def test_a_graph_that_was_cut_short_is_made_again(front: Path, size: int) -> None:
    sound = front.read_bytes()
    front.write_bytes(sound[:size])
    cached_graph("front", front.parent)
    assert front.read_bytes() == sound


def test_a_damaged_graph_is_made_again(front: Path) -> None:
    sound = front.read_bytes()
    front.write_bytes(sound[:1_000_000] + b"\xff" + sound[1_000_001:])
    cached_graph("front", front.parent)
    assert front.read_bytes() == sound


def test_nothing_unfinished_is_left_behind(front: Path) -> None:
    front.unlink()
    cached_graph("front", front.parent)
    assert list(front.parent.iterdir()) == [front]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    occupied = tmp_path / "occupied"
    occupied.touch()
    with pytest.raises(ConfigError, match="occupied, which cannot be written: "):
        cached_graph("front", occupied)


def test_processes_that_start_together_all_find_a_sound_graph(front: Path) -> None:
    sound = front.read_bytes()
    front.unlink()
    code = f"from cosystream.engines.kokoro.cache import *; cached_graph('front', Path({str(front.parent)!r}))"
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert list(front.parent.iterdir()) == [front]
    assert front.read_bytes() == sound


def test_with_a_warm_cache_the_tool_that_rewrites_is_not_even_loaded(model: KokoroModel, kokoro_cache: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from cosystream.engines.kokoro.model import KokoroModel
KokoroModel(Path({str(kokoro_cache)!r}), num_threads=1)
assert "onnx" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
