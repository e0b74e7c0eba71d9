"""A line about how speaking goes, rewritten in place while it does; nothing where nobody would see it."""

import shutil
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self, TextIO

REDRAW_SECONDS = 0.1
_BEGIN_LINE = "\r\x1b[K"
"""Back to the first column, and whatever stood there is gone."""


class Progress:
    """Knows how much speech has come, and shows it on ``out`` if that is a terminal. The line ends with the context."""

    def __init__(self, out: TextIO, now: Callable[[], float] = time.monotonic) -> None:
        self._out = out
        self._is_shown = out.isatty()
        self._now = now
        self._asked = now()
        self._drawn = -REDRAW_SECONDS
        self._is_begun = False
        self._first_audio_seconds: float | None = None
        self.audio_seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_begun:
            self._out.write("\n")
            self._out.flush()

    def note(self, words: str) -> None:
        """Say what is going on before there is audio."""
        self._draw(words)

    def asked(self) -> None:
        """From now on the listener waits."""
        self._asked = self._now()

    def made(self, num_samples: int, sample_rate: int) -> None:
        """A chunk has come."""
        now = self._now()
        if self._first_audio_seconds is None:
            self._first_audio_seconds = now - self._asked
        self.audio_seconds += num_samples / sample_rate
        if now - self._drawn >= REDRAW_SECONDS:
            self._draw(self._figures((now - self._asked) / self.audio_seconds if self.audio_seconds else 0.0))

    def done(self, rtf: float) -> None:
        """All has come. ``rtf`` is the speaker's own figure: here a slow player may have held it up."""
        self._draw(self._figures(rtf))

    def _figures(self, rtf: float) -> str:
        words = f"{self.audio_seconds:.1f} s of speech"
        if self._first_audio_seconds is not None:
            words += f", the first after {self._first_audio_seconds * 1000:.0f} ms"
        return f"{words}, {1 / rtf:.1f} times as fast as it plays" if rtf > 0 else words

    def _draw(self, words: str) -> None:
        if not self._is_shown:
            return
        self._is_begun = True
        self._drawn = self._now()
        columns = shutil.get_terminal_size().columns
        self._out.write(_BEGIN_LINE + words[: columns - 1])
        self._out.flush()
