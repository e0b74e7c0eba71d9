"""How the command ends: as a process whose output cannot be written, or that is interrupted."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import COSYSTREAM

SAY = ("say", "two words", "--engine", "tone", "-o", "-")
BENCH = ("bench", "--engine", "tone", "--requests", "1", "--streams", "1")
STUCK = """
import sys, threading
from cosystream.cli.main import main
from cosystream.engines import registry

def build():
    print("loading", flush=True)
    threading.Event().wait()

registry.ENGINES["tone"] = registry.EngineKind(lambda _: None, lambda _: build)
sys.exit(main())
"""
"""An engine that never has loaded."""
INTERRUPTED = """
import sys
from cosystream.cli.main import main

class Finder:
    def find_spec(self, name, path, target=None):
        if name == "cosystream.config":
            raise KeyboardInterrupt

sys.meta_path.insert(0, Finder())
sys.exit(main())
"""
"""Ctrl-C while modules are imported."""


def run(*arguments: str, stdout: int = subprocess.PIPE, **environ: str) -> subprocess.CompletedProcess[bytes]:
    command = [str(COSYSTREAM), *arguments]
    environ = {**os.environ, "PYTHONUNBUFFERED": "", **environ}  # unbuffered, argparse hides what went wrong
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, env=environ, timeout=60, check=False)


@pytest.fixture
def nobody() -> Iterator[int]:
    """A pipe whose reader has left."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


# Output that cannot be written


@pytest.mark.parametrize("arguments", [("doctor",), ("--version",), ("say", "--help"), SAY, BENCH])
def test_a_reader_who_has_left_is_no_reason_for_a_traceback(nobody: int, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, stdout=nobody)
    assert done.returncode == 1
    assert done.stderr in (b"", "measuring 1 stream …\n".encode())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
@pytest.mark.parametrize("arguments", [("doctor",), ("say", "--help"), SAY])
def test_a_full_disk_is_told_in_a_sentence(arguments: tuple[str, ...]) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        done = run(*arguments, stdout=full)
    finally:
        os.close(full)
    assert (done.returncode, done.stderr) == (1, b"cosystream: No space left on device\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_characters_that_an_encoding_lacks_are_escaped(encoding: str) -> None:
    done = run("bench", "--help", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"--streams N,\u2026" in done.stdout


# Ctrl-C


@pytest.fixture
def _heeded() -> Iterator[None]:
    """A shell has what it starts in the background ignore SIGINT, and its children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeded")
@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("arguments", [SAY[:-2], BENCH])
def test_ctrl_c_while_an_engine_loads_ends_it_without_a_word(arguments: tuple[str, ...], times: int) -> None:
    command = [sys.executable, "-c", STUCK, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"loading\n"
        for _ in range(times):
            process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read() == b""


def test_ctrl_c_while_modules_are_imported_ends_it_without_a_word() -> None:
    command = [sys.executable, "-c", INTERRUPTED, "doctor"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def test_hardly_anything_is_imported_before_ctrl_c_is_heeded() -> None:
    program = "import sys; before = set(sys.modules); import cosystream.cli.main; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    ours = {name for name in done.stdout.split() if name.startswith("cosystream")}
    assert ours == {"cosystream", "cosystream.cli", "cosystream.cli.main"}
    assert not {"argparse", "asyncio", "pathlib", "threading"} & set(done.stdout.split())
