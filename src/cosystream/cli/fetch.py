"""``cosystream fetch``: a checkpoint from a hub into a folder, resumed where it was interrupted, and verified."""

import hashlib
import re
import shutil
import sys
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path

from cosystream.cli.hubs import HUBS, Hub, HubFile
from cosystream.cli.sizes import readable
from cosystream.engines.registry import CHECKPOINTS
from cosystream.errors import ConfigError
from cosystream.models.cosyvoice.config import Version

REPOSITORIES = {
    "Fun-CosyVoice3-0.5B": {
        "huggingface": "FunAudioLLM/Fun-CosyVoice3-0.5B-2512",
        "modelscope": "FunAudioLLM/Fun-CosyVoice3-0.5B-2512",
    },
    "CosyVoice2-0.5B": {"huggingface": "FunAudioLLM/CosyVoice2-0.5B", "modelscope": "iic/CosyVoice2-0.5B"},
}
"""The repositories of the checkpoints that have a name, by hub."""
UNNEEDED = (
    "llm.rl.pt",
    "*.batch.onnx",
    "flow.decoder.estimator*.onnx",
    "*.zip",
    "asset/*",
    "vllm/*",
    "*/model.safetensors",
    ".*",
)
"""Other weights for the same parts, parts in other formats and pictures: more than half of the bytes."""
CONFIGS = tuple(f"{version}.yaml" for version in Version)


def fetch(name: str, *, hub_name: str, into: Path | None, everything: bool, environ: Mapping[str, str]) -> int:
    """Bring the checkpoint ``name`` into a folder; the exit status. What is there and intact is not fetched again."""
    repository = _repository(name, hub_name)
    folder = CHECKPOINTS / name.rpartition("/")[2] if into is None else into
    hub = HUBS[hub_name].from_environment(environ)
    _say(f"{repository} on {hub.name} ({hub.endpoint})")
    try:
        files = hub.files(repository)
        if not any(file.path in CONFIGS for file in files):
            raise ConfigError(
                f"{repository} has no {' or '.join(CONFIGS)}: it is not a checkpoint that cosystream reads"
            )
        files = [file for file in files if everything or not any(fnmatch(file.path, each) for each in UNNEEDED)]
        missing = [file for file in files if not _is_there(folder / file.path, file)]
        _check_space(folder, sum(file.size - _num_received(_part(folder, file)) for file in missing))
        for file in missing:
            _bring(hub, file, folder)
    except OSError as error:
        raise ConfigError(f"{error.filename or folder}: {error.strerror or error}") from None
    _say(f"{folder}: {len(files)} files, {readable(sum(file.size for file in files))}, complete and verified")
    return 0


def _repository(name: str, hub_name: str) -> str:
    if name in REPOSITORIES:
        return REPOSITORIES[name][hub_name]
    if re.fullmatch(r"\w[\w.-]*/\w[\w.-]*", name, re.ASCII):
        return name
    raise ConfigError(f"no checkpoint {name!r}; there are {', '.join(REPOSITORIES)}, or give a repository: org/name")


def _part(folder: Path, file: HubFile) -> Path:
    """Where a file is while it is not complete: another version of it never goes on with this one."""
    path = folder / file.path
    return path.with_name(f"{path.name}.{file.digest[:12]}.part")


def _num_received(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _is_there(path: Path, file: HubFile) -> bool:
    if not path.exists():
        return False
    if _is_intact(path, file):
        return True
    _say(f"{file.path} is not what the hub has: it is fetched again")
    return False


def _is_intact(path: Path, file: HubFile) -> bool:
    """Whether what is at ``path`` is ``file``, as far as the hub says what that is."""
    if path.stat().st_size != file.size:
        return False
    if not file.digest:
        return True
    digest = hashlib.sha256() if len(file.digest) == 64 else hashlib.sha1(f"blob {file.size}\0".encode())  # noqa: S324 - git's
    with path.open("rb") as content:
        while chunk := content.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest() == file.digest


def _check_space(folder: Path, num_bytes: int) -> None:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if num_bytes > free:
        raise ConfigError(f"{folder} needs {readable(num_bytes)} more, but {readable(free)} are free there")


def _bring(hub: Hub, file: HubFile, folder: Path) -> None:
    part = _part(folder, file)
    part.parent.mkdir(parents=True, exist_ok=True)
    with part.open("ab") as content:
        hub.append_rest(file, content)
    if not _is_intact(part, file):
        part.unlink()
        raise ConfigError(
            f"{file.path} does not have the checksum that {hub.name} states: run this again to fetch it anew"
        )
    part.replace(folder / file.path)
    _say(f"{file.path}: {readable(file.size)}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
