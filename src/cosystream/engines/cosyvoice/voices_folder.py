"""The folder that recordings are kept in: one change at a time, whichever thread or process makes it."""

import fcntl
import logging
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cosystream.engines.cosyvoice.recordings import SUFFIXES, Recordings, installed
from cosystream.engines.files import write_whole
from cosystream.errors import NotKept, VoiceExists
from cosystream.types import Prompt

logger = logging.getLogger(__name__)


class VoicesFolder:
    """``voices_dir``. It is made when there is something to be kept in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def recordings(self) -> Recordings:
        with self._alone():
            return installed(self.path)

    def keep(self, name: str, prompt: Prompt) -> Path:
        """Write ``NAME.wav``, which ``prompt`` holds, and ``NAME.txt``. Raises VoiceExists or NotKept."""
        recording, words = self.path / f"{name}.wav", self.path / f"{name}.txt"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with self._alone():
                self._refuse_if_there(name)
                words.unlink(missing_ok=True)  # of a recording that is there no more
                if prompt.text is not None:
                    write_whole(words, prompt.text.encode())
                try:
                    write_whole(recording, prompt.audio)
                except OSError:
                    words.unlink(missing_ok=True)
                    raise
        except OSError as error:
            raise self._failure("kept in", error) from error
        return recording

    def remove(self, recording: Path) -> None:
        """Remove a recording and its words; what is gone already is well gone. Raises NotKept."""
        try:
            with self._alone():
                recording.unlink(missing_ok=True)
                recording.with_suffix(".txt").unlink(missing_ok=True)
        except OSError as error:
            raise self._failure("removed from", error) from error

    def _refuse_if_there(self, name: str) -> None:
        for path in self.path.iterdir():
            if path.suffix.lower() in SUFFIXES and unicodedata.normalize("NFC", path.stem) == name:
                raise VoiceExists(
                    f"there is a recording {path.name} already, which is not served; choose another name, "
                    "or look through voices_dir"
                )

    def _failure(self, what: str, error: OSError) -> NotKept:
        logger.error("a voice cannot be %s %s: %s", what, self.path, error)
        return NotKept(f"the voice cannot be {what} the server's folder of voices (voices_dir): {error.strerror}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """While nobody else changes the folder; where there is none, or no lock to be had, without further ado."""
        descriptor: int | None = None
        with suppress(OSError):
            descriptor = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)
