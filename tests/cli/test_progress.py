import io

import pytest

from cosystream.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def lines(self) -> list[str]:
        """Whatever stood there, one after another."""
        return self.getvalue().split("\r\x1b[K")[1:]


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")


def test_it_says_when_the_first_audio_came_how_much_there_is_and_how_fast_it_is_made() -> None:
    terminal, clock = Terminal(), Clock()
    with Progress(terminal, clock) as progress:
        progress.note("loading …")
        clock.now += 5
        progress.asked()
        clock.now += 0.25
        progress.made(24_000, 24_000)
        clock.now += 0.25
        progress.made(24_000, 24_000)
        progress.done(rtf=0.2)
    assert terminal.lines() == [
        "loading …",
        "1.0 s of speech, the first after 250 ms, 4.0 times as fast as it plays",
        "2.0 s of speech, the first after 250 ms, 4.0 times as fast as it plays",
        "2.0 s of speech, the first after 250 ms, 5.0 times as fast as it plays\n",
    ]


def test_it_is_drawn_ten_times_a_second_at_most_but_the_end_always() -> None:
    terminal, clock = Terminal(), Clock()
    with Progress(terminal, clock) as progress:
        for _ in range(100):
            clock.now += 0.01
            progress.made(2400, 24_000)
        progress.done(rtf=0.1)
    assert len(terminal.lines()) <= 12
    assert terminal.lines()[-1].startswith("10.0 s of speech")


def test_a_narrow_terminal_keeps_it_on_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    with Progress(terminal) as progress:
        progress.note("place 3 in the queue, for about 4 s …")
    assert terminal.lines() == ["place 3 in the queu\n"]


def test_an_exception_finds_the_line_ended() -> None:
    terminal = Terminal()
    progress = Progress(terminal)
    progress.note("loading …")
    progress.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert terminal.getvalue().endswith("loading …\n")


def test_where_nobody_would_see_it_nothing_is_written() -> None:
    out = io.StringIO()
    with Progress(out) as progress:
        progress.note("loading …")
        progress.made(24_000, 24_000)
        progress.done(rtf=0.5)
    assert out.getvalue() == ""
    assert progress.audio_seconds == 1.0


def test_what_has_said_nothing_leaves_no_line() -> None:
    terminal = Terminal()
    with Progress(terminal):
        pass
    assert terminal.getvalue() == ""
