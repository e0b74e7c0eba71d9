"""What a file's name says that it holds."""

from os import PathLike
from pathlib import Path

from cosystream.errors import ConfigError

OTHER_FORMATS = frozenset({".aac", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".pcm", ".raw", ".webm"})


def check_name(path: str | PathLike[str]) -> None:
    """Raises ConfigError if whoever opens ``path`` would take the WAV in it for something else."""
    if Path(path).suffix.lower() in OTHER_FORMATS:
        raise ConfigError(f"{path}: a WAV is written, so that a name ending in .wav would do")
