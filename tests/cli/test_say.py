"""``cosystream say`` as a process: where speech goes, what is said meanwhile, and how it ends."""

import os
import pty
import re
import signal
import subprocess
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.server import COSYSTREAM, ServerProcess, running_server

TEXT = "two words"
NUM_FRAMES = 9600
LONG = "一 " * 2000
"""400 s of tones, more than a pipe holds."""
HERE = ("--engine", "tone")


@pytest.fixture(scope="module", name="server")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with running_server(tmp_path_factory.mktemp("server"), "--engine", "tone") as server:
        yield server


@pytest.fixture(params=["here", "server"])
def where(request: pytest.FixtureRequest, server: ServerProcess) -> tuple[str, ...]:
    """Flags that say who speaks."""
    return HERE if request.param == "here" else ("--server", server.url)


def without_players(folder: Path) -> dict[str, str]:
    (folder / "bin").mkdir(exist_ok=True)
    return {**os.environ, "PATH": str(folder / "bin")}


def with_player(folder: Path, program: str) -> dict[str, str]:
    """An environment whose only player is ``program``, a shell's."""
    environ = without_players(folder)
    player = folder / "bin" / "aplay"
    player.write_text(f"#!/bin/sh\nPATH=/usr/bin:/bin\n{program}\n")
    player.chmod(0o755)
    return environ


def say(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    command = [str(COSYSTREAM), "say", *arguments]
    return subprocess.run(command, capture_output=True, cwd=folder, timeout=60, env=env, check=False)


def frames(path: Path) -> bytes:
    with wave.open(str(path), "rb") as file:
        return bytes(file.readframes(file.getnframes()))


def test_a_file_holds_the_whole_with_true_sizes(where: tuple[str, ...], tmp_path: Path) -> None:
    done = say(tmp_path, TEXT, "-o", "two.wav", *where)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"0.4 s in two.wav\n")
    assert (tmp_path / "two.wav").stat().st_size == 44 + 2 * NUM_FRAMES
    assert len(frames(tmp_path / "two.wav")) == 2 * NUM_FRAMES


def test_standard_output_gets_a_wav_as_it_is_made(where: tuple[str, ...], tmp_path: Path) -> None:
    say(tmp_path, TEXT, "-o", "two.wav", *where)
    done = say(tmp_path, TEXT, "-o", "-", *where)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout[:4] == b"RIFF"
    assert done.stdout[44:] == frames(tmp_path / "two.wav")


def test_standard_output_may_be_a_file(tmp_path: Path) -> None:
    with (tmp_path / "two.wav").open("wb") as file:
        command = [str(COSYSTREAM), "say", TEXT, "-o", "-", *HERE]
        subprocess.run(command, stdout=file, cwd=tmp_path, timeout=60, check=True)
    assert (tmp_path / "two.wav").stat().st_size == 44 + 2 * NUM_FRAMES


def test_a_text_may_come_from_standard_input(where: tuple[str, ...], tmp_path: Path) -> None:
    command = [str(COSYSTREAM), "say", "-", "-o", "two.wav", *where]
    subprocess.run(command, input=TEXT.encode(), cwd=tmp_path, timeout=60, check=True)
    assert len(frames(tmp_path / "two.wav")) == 2 * NUM_FRAMES


@pytest.mark.parametrize("flags", [(), ("--play",)])
def test_a_player_is_given_the_same(where: tuple[str, ...], tmp_path: Path, flags: tuple[str, ...]) -> None:
    done = say(tmp_path, TEXT, *flags, *where, env=with_player(tmp_path, 'echo "$@" > arguments; cat > played.pcm'))
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / "played.pcm").read_bytes() == say(tmp_path, TEXT, "-o", "-", *where).stdout[44:]
    assert "--rate=24000" in (tmp_path / "arguments").read_text()


def test_a_player_that_fails_is_told(tmp_path: Path) -> None:
    done = say(tmp_path, LONG, *HERE, env=with_player(tmp_path, "echo no sound card >&2; exit 3"))
    assert done.returncode == 1
    words = done.stderr.decode().splitlines()
    assert words[0] == "no sound card"
    assert words[1].endswith("aplay ended with status 3; -o FILE writes a file")
    assert len(words) == 2


def test_without_a_player_it_writes_a_file_and_says_so(where: tuple[str, ...], tmp_path: Path) -> None:
    done = say(tmp_path, TEXT, *where, env=without_players(tmp_path))
    assert done.returncode == 0
    assert done.stderr == b"0.4 s in speech.wav (to hear it at once, install one of aplay, ffplay, play)\n"
    assert len(frames(tmp_path / "speech.wav")) == 2 * NUM_FRAMES


def test_play_insists_on_a_player_and_says_what_to_install(tmp_path: Path) -> None:
    done = say(tmp_path, TEXT, "--play", *HERE, env=without_players(tmp_path))
    assert done.returncode == 2
    assert b"install aplay (package alsa-utils), ffplay (ffmpeg) or play (sox)" in done.stderr
    assert not (tmp_path / "speech.wav").exists()


# What is told before anything is spoken


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((TEXT, "-o", "nowhere/two.wav", *HERE), b"nowhere/two.wav: there is no such folder"),
        ((TEXT, "-o", ".", *HERE), b".: is a folder; name a file in it"),
        ((TEXT, "-o", "x.mp3", *HERE), b"x.mp3: a WAV is written, so that a name ending in .wav would do"),
        ((TEXT, "-o", "x.wav", "--play"), b"not allowed with argument"),
        ((TEXT, "--server", "http://localhost:1", "--engine", "tone"), b"--engine would set up an engine here"),
        ((TEXT, "--server", "ftp://localhost"), b"no address of a server; http://localhost:50000 would do"),
    ],
)
def test_flags_that_will_not_do_are_told(tmp_path: Path, arguments: tuple[str, ...], words: bytes) -> None:
    done = say(tmp_path, *arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert b"Traceback" not in done.stderr


def test_standard_input_that_is_no_text_is_told(where: tuple[str, ...], tmp_path: Path) -> None:
    command = [str(COSYSTREAM), "say", "-", "-o", "x.wav", *where]
    done = subprocess.run(command, input=b"caf\xe9 noir", capture_output=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 2
    assert b"standard input is not UTF-8: invalid continuation byte at byte 3" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_text_that_is_not_utf_8_is_told(where: tuple[str, ...], tmp_path: Path) -> None:
    command = [str(COSYSTREAM).encode(), b"say", b"caf\xe9 noir", b"-o", b"x.wav", *map(str.encode, where)]
    done = subprocess.run(command, capture_output=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr == b"cosystream: the text is not UTF-8: invalid continuation byte at byte 3\n"


def test_a_text_in_utf_8_is_spoken_though_the_locale_knows_only_ascii(where: tuple[str, ...], tmp_path: Path) -> None:
    environ = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = say(tmp_path, "两个 字", "-o", "x.wav", *where, env=environ)
    assert (done.returncode, done.stderr) == (0, b"0.6 s in x.wav\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((TEXT, "--speaker", "bob"), "no voice 'bob'"),
        (("…",), "there is nothing to say in it"),
        ((TEXT, "--speed", "9"), "speed: is 9.0; a number from 0.5 to 2.0 would do"),
        ((TEXT, "--speed", "nan"), "speed: is nan; a "),
    ],
)
def test_a_refusal_is_the_same_here_and_from_a_server(
    where: tuple[str, ...], tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    done = say(tmp_path, *arguments, "-o", "x.wav", *where)
    assert done.returncode == 1
    assert done.stderr.decode().startswith("cosystream: ")
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_where_no_server_is_the_words_say_what_to_do(tmp_path: Path) -> None:
    done = say(tmp_path, TEXT, "--server", "localhost:1", "-o", "x.wav")
    assert done.returncode == 1
    assert b"nobody answers" in done.stderr
    assert b"cosystream serve starts a server" in done.stderr


def test_a_server_that_wants_a_key_gets_the_one_in_the_settings(tmp_path: Path) -> None:
    with running_server(tmp_path, "--engine", "tone", "--api-keys", "one,two") as server:
        refused = say(tmp_path, TEXT, "--server", server.url, "-o", "x.wav")
        environ = {**os.environ, "COSYSTREAM_API_KEYS": "two"}
        done = say(tmp_path, TEXT, "--server", server.url, "-o", "x.wav", env=environ)
        wrong = say(tmp_path, TEXT, "--server", server.url, "-o", "x.wav", env={**environ, "COSYSTREAM_API_KEYS": "3"})
    assert (refused.returncode, wrong.returncode, done.returncode) == (2, 2, 0)
    assert b": it wants an API key; COSYSTREAM_API_KEYS may hold it\n" in refused.stderr
    assert b": it wants another API key than the one given; COSYSTREAM_API_KEYS may hold it\n" in wrong.stderr


# The terminal


def on_a_terminal(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status, and what standard error shows on a terminal."""
    try:
        terminal, side = pty.openpty()
    except OSError:
        pytest.skip("there are no pseudo-terminals here (/dev/pts)")
    command = [str(COSYSTREAM), "say", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=side, cwd=folder) as process:
        os.close(side)
        shown = b""
        while True:
            try:
                shown += os.read(terminal, 65536)
            except OSError:  # nobody has it open any more
                break
        status = process.wait(60)
    os.close(terminal)
    return status, shown.decode()


def test_a_terminal_shows_how_it_goes_on_one_line_that_ends(where: tuple[str, ...], tmp_path: Path) -> None:
    status, shown = on_a_terminal(tmp_path, TEXT, "-o", "two.wav", *where)
    assert status == 0
    progress, told, rest = shown.split("\r\n")
    last = progress.rpartition("\r\x1b[K")[2]
    assert re.fullmatch(r"0\.4 s of speech, the first after \d+ ms, [\d.]+ times as fast as it plays", last)
    assert (told, rest) == ("0.4 s in two.wav", "")


def test_an_error_stands_on_a_line_of_its_own(tmp_path: Path) -> None:
    status, shown = on_a_terminal(tmp_path, "…", "-o", "x.wav", *HERE)
    assert status == 1
    assert shown.split("\r\n")[-2].startswith("cosystream: text: there is nothing to say")


@pytest.fixture
def _heeded() -> Iterator[None]:
    """A shell has what it starts in the background ignore SIGINT, and its children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heeded")
@pytest.mark.parametrize("flags", [("-o", "-"), ("--play",)])
def test_ctrl_c_stops_it_though_nobody_takes_what_it_says(
    where: tuple[str, ...], tmp_path: Path, flags: tuple[str, ...]
) -> None:
    os.mkfifo(tmp_path / "begun")
    environ = with_player(tmp_path, "head -c 44 > /dev/null; echo > begun; exec tail -f /dev/null")
    command = [str(COSYSTREAM), "say", LONG, *flags, *where]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environ
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        if flags == ("--play",):
            (tmp_path / "begun").read_text()
        else:
            assert process.stdout.read(44)[:4] == b"RIFF"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b""


def test_a_reader_who_leaves_ends_it_without_a_traceback(tmp_path: Path) -> None:
    command = [str(COSYSTREAM), "say", LONG, "-o", "-", *HERE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(44)
        process.stdout.close()
        assert process.wait(20) == 1
        assert process.stderr.read() == b""


def test_a_wrong_flag_is_answered_with_a_line_of_usage_rather_than_all_settings(tmp_path: Path) -> None:
    done = say(tmp_path, TEXT, "--speed", "fast")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == b"usage: cosystream say [options] TEXT"
    assert len(done.stderr.splitlines()) == 2
