"""Every example, as a reader would start it."""

import importlib.util
import re
import shutil
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.server import ServerProcess, running_server

pytestmark = pytest.mark.e2e

EXAMPLES = Path(__file__).parents[2] / "examples"
TEXT = "两个词。Two words."
NUM_FRAMES = 5 * 4800
"""Of the tones of five words."""
SOON_SECONDS = 20.0

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
needs_chromium = pytest.mark.skipif(
    not Path("/usr/bin/chromium").exists() or importlib.util.find_spec("playwright") is None,
    reason="chromium or playwright is not installed",
)
needs_ffplay = pytest.mark.skipif(shutil.which("ffplay") is None, reason="ffplay is not installed")


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    flags = ("--engine", "tone", "--cors-origins", "null")
    with running_server(tmp_path_factory.mktemp("server"), *flags) as server:
        yield server


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60, check=False)


@contextmanager
def running_page(folder: Path) -> Iterator[str]:
    """The origin at which the files of ``folder`` are pages meanwhile."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        announced = re.search(r"port (\d+)", process.stdout.readline())
        assert announced is not None
        try:
            yield f"http://127.0.0.1:{announced[1]}"
        finally:
            process.terminate()


def wait_until_nobody_listens(server: ServerProcess) -> None:
    deadline = time.monotonic() + SOON_SECONDS
    while "cosystream_streams 0.0" not in httpx.get(f"{server.url}/metrics").text:
        assert time.monotonic() < deadline


def num_frames(path: Path) -> int:
    with wave.open(str(path)) as file:
        assert file.getparams()[:3] == (1, 2, 24000)
        return int(file.getnframes())


@pytest.mark.parametrize("name", ["client", "events", "websocket_text_in"])
def test_an_address_may_end_with_a_slash(server: ServerProcess, tmp_path: Path, name: str) -> None:
    done = run(tmp_path, sys.executable, str(EXAMPLES / f"{name}.py"), TEXT, f"{server.url}/")
    assert (done.returncode, done.stderr) == (0, "")
    assert num_frames(tmp_path / f"{name}.wav") == NUM_FRAMES


@pytest.mark.parametrize("name", ["client", "events"])
def test_a_program_writes_a_file_that_plays(server: ServerProcess, tmp_path: Path, name: str) -> None:
    done = run(tmp_path, sys.executable, str(EXAMPLES / f"{name}.py"), TEXT, server.url)
    assert (done.returncode, done.stderr) == (0, "")
    assert num_frames(tmp_path / f"{name}.wav") == NUM_FRAMES
    assert f"'samples': {NUM_FRAMES}" in done.stdout or f"samples={NUM_FRAMES}" in done.stdout


@pytest.mark.parametrize("name", ["client", "events"])
def test_a_program_that_is_refused_says_why_and_writes_nothing(
    server: ServerProcess, tmp_path: Path, name: str
) -> None:
    done = run(tmp_path, sys.executable, str(EXAMPLES / f"{name}.py"), "…", server.url)
    assert done.returncode == 1
    assert "there is nothing to say in it" in done.stderr
    assert list(tmp_path.iterdir()) == []


@needs_curl
def test_curl_shows_the_events_and_writes_a_file(server: ServerProcess, tmp_path: Path) -> None:
    done = run(tmp_path, "sh", str(EXAMPLES / "curl.sh"), TEXT, server.url)
    assert (done.returncode, done.stderr) == (0, "")
    names = [line.removeprefix("event: ") for line in done.stdout.splitlines() if line.startswith("event: ")]
    assert (names[0], names[-1]) == ("start", "done")
    assert num_frames(tmp_path / "curl.wav") == NUM_FRAMES


@needs_curl
def test_curl_is_content_with_an_address_that_ends_with_a_slash(server: ServerProcess, tmp_path: Path) -> None:
    done = run(tmp_path, "sh", str(EXAMPLES / "curl.sh"), TEXT, f"{server.url}/")
    assert (done.returncode, done.stderr) == (0, "")
    assert num_frames(tmp_path / "curl.wav") == NUM_FRAMES


@needs_curl
@needs_ffplay
def test_ffplay_plays_to_the_end(server: ServerProcess, tmp_path: Path) -> None:
    done = run(tmp_path, "sh", str(EXAMPLES / "ffplay.sh"), "word", f"{server.url}/")
    assert (done.returncode, done.stderr) == (0, "")


@needs_chromium
def test_a_page_opened_as_a_file_plays_every_sample(server: ServerProcess) -> None:
    from tests.support.browser import chromium, visit

    with chromium() as browser, visit(browser, (EXAMPLES / "browser.html").as_uri()) as visited:
        page = visited.page
        page.locator("#server").fill(f"{server.url}/")
        page.locator("#text").fill(TEXT)
        page.locator("#speak").click()
        status = page.get_by_role("status")
        status.filter(has_text=f"played {NUM_FRAMES} of {NUM_FRAMES} samples").wait_for()
        page.locator("#text").fill("一 " * 2000)
        page.locator("#speak").click()
        status.filter(has_text="一").wait_for()
        page.locator("#stop").click()
        status.filter(has_text="stopped").wait_for()
        wait_until_nobody_listens(server)
        page.locator("#text").fill("…")
        page.locator("#speak").click()
        status.filter(has_text="there is nothing to say in it").wait_for()
    assert [error for error in visited.errors if "400" not in error] == []


@needs_chromium
def test_a_page_that_the_server_does_not_know_is_told_what_would_help(server: ServerProcess) -> None:
    from tests.support.browser import chromium, visit

    with running_page(EXAMPLES) as origin, chromium() as browser, visit(browser, f"{origin}/browser.html") as visited:
        visited.page.locator("#server").fill(server.url)
        visited.page.locator("#speak").click()
        visited.page.get_by_role("status").filter(has_text="see README.md about cors_origins").wait_for()


def test_each_example_is_named_where_a_reader_looks() -> None:
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    for path in EXAMPLES.iterdir():
        assert path.name == "README.md" or f"[{path.name}]({path.name})" in readme
