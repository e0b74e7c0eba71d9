import subprocess
import sys
from pathlib import Path

import pytest

from cosystream.models import torchaudio_import

THREADS = """
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module

sys.path.insert(0, sys.argv[1])
with ThreadPoolExecutor(4) as pool:
    found = {id(pool.submit(import_module, sys.argv[2]).result().torchaudio.work) for _ in range(4)}
print(len(found), getattr(sys.modules["torchaudio._extension"], "_IS_TORCHAUDIO_EXT_AVAILABLE"))
"""
"""Four threads import it from a folder of fakes; nothing is warned of."""


@pytest.mark.parametrize(
    ("extension", "is_available"),
    [
        ("_IS_TORCHAUDIO_EXT_AVAILABLE = True", True),
        ("raise OSError('libcudart.so.13: cannot open shared object file')", False),
        ("raise RuntimeError('PyTorch has CUDA version 12.8 whereas TorchAudio has CUDA version 13.0')", False),
    ],
)
def test_the_stand_in_is_for_an_extension_that_does_not_load(
    tmp_path: Path, extension: str, is_available: bool
) -> None:
    package = tmp_path / "torchaudio"
    package.mkdir()
    (package / "_extension.py").write_text(extension)
    (package / "__init__.py").write_text("from torchaudio import _extension, work")
    (package / "work.py").write_text("from torchaudio._extension import _IS_TORCHAUDIO_EXT_AVAILABLE")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", THREADS, str(tmp_path), torchaudio_import.__name__],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.split(), done.stderr) == (["1", str(is_available)], "")
