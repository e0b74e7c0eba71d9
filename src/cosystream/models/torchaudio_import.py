"""torchaudio, wherever its plain-Python parts can be imported: its compiled part is made for one version of CUDA only.

Beside any other, a torch for the CPU among them, ``import torchaudio`` fails, although nothing compiled is used here.
Then, and only then, a stand-in takes the place of the module that loads the compiled part, and says that there is none.
It is done while this module is imported, so that the import lock keeps threads apart.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_LOADER = "torchaudio._extension"


def _import_torchaudio() -> Any:  # noqa: ANN401 - it has no types of its own
    try:
        return import_module("torchaudio")
    except (OSError, RuntimeError):  # the library does not load; or it does, and finds another CUDA
        sys.modules[_LOADER] = _stand_in()
        return import_module("torchaudio")


def _stand_in() -> ModuleType:
    module = ModuleType(_LOADER)
    vars(module).update(_IS_TORCHAUDIO_EXT_AVAILABLE=False, _IS_ALIGN_AVAILABLE=False, fail_if_no_align=lambda f: f)
    return module


torchaudio = _import_torchaudio()
