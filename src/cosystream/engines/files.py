"""Files that are there whole or not at all."""

import os
import uuid
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` in place of what is there, whatever happens meanwhile. Raises OSError, and leaves no rest."""
    unfinished = path.with_name(f".{uuid.uuid4().hex}")  # no longer than any name that a file can have
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # else a power cut may leave the name without the content
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
