"""What a checkpoint's folder holds, file by file, and what that is for: known before anything is loaded."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.config import Version
from cosystream.models.lfs import is_lfs_pointer

QWEN_FOLDER = "CosyVoice-BlankEN"
WEIGHTS = {"llm": "language model", "flow": "flow matching", "hift": "vocoder"}
"""The parts that have a weight file, and what they are."""
TOKENIZERS = {Version.V2: "speech_tokenizer_v2.onnx", Version.V3: "speech_tokenizer_v3.onnx"}
QWEN_FILES = {
    "config.json": "sizes of the language model",
    "vocab.json": "text tokenizer: vocabulary",
    "merges.txt": "text tokenizer: merges",
    "tokenizer_config.json": "text tokenizer: special tokens",
}
VOICES = "spk2info.pt"
OPTIONAL = {
    VOICES: "saved voices",
    "llm.rl.pt": "another llm.pt, tuned by reinforcement learning; used if renamed",
    "*.batch.onnx": "for training; not used",
    "flow.decoder.estimator.*": "the flow's estimator for TensorRT; not used",
    "*.zip": "TorchScript; not used",
    "vllm": "the language model exported for vLLM; not used",
    "configuration.json": "of the model hub; not used",
    "config.json": "of the model hub; not used",
    "README*": "read it",
    "LICENSE*": "read it",
    "asset": "pictures; not used",
    ".*": "of the download; not used",
    f"{QWEN_FOLDER}/model.safetensors": "weights that llm.pt replaces; not used",
    f"{QWEN_FOLDER}/generation_config.json": "not used",
    f"{QWEN_FOLDER}/tokenizer.json": "the same tokenizer in another form; not used",
    f"{QWEN_FOLDER}/README*": "read it",
    f"{QWEN_FOLDER}/LICENSE*": "read it",
    f"{QWEN_FOLDER}/.*": "of the download; not used",
}
"""What official folders hold besides, by pattern; the first that fits counts."""


class State(StrEnum):
    """Of a file."""

    PRESENT = "ok"
    MISSING = "missing"
    EMPTY = "empty"
    POINTER = "LFS pointer"
    OPTIONAL = "optional"
    LEFT_OVER = "left over"


FATAL = (State.MISSING, State.EMPTY, State.POINTER)


@dataclass(frozen=True, slots=True)
class Entry:
    """A file, or a folder that is not looked into."""

    name: str
    """With its path inside the checkpoint."""
    state: State
    purpose: str
    num_bytes: int | None = None
    """None of what is missing, and of folders."""


@dataclass(frozen=True, slots=True)
class Contents:
    """Of a checkpoint's folder: first what is needed, then what else is there."""

    version: Version
    entries: tuple[Entry, ...]


def find_version(folder: Path) -> Version:
    """Which generation the folder holds: there is one YAML file for each, and the folder must have exactly one."""
    if not folder.exists():
        raise CheckpointError(f"{folder}: no such folder")
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: is not a folder")
    there = [name for name in ("cosyvoice", *Version) if (folder / f"{name}.yaml").exists()]
    if not there:
        wanted = " or ".join(f"{version}.yaml" for version in Version)
        is_empty = next(folder.iterdir(), None) is None
        raise CheckpointError(
            f"{folder}: {'is empty' if is_empty else 'is no CosyVoice checkpoint'}; it needs {wanted}"
        )
    if len(there) > 1:
        names = " and ".join(f"{name}.yaml" for name in there)
        raise CheckpointError(f"{folder}: holds {names}; keep the one that the weights belong to")
    if there == ["cosyvoice"]:
        raise CheckpointError(f"{folder / 'cosyvoice.yaml'}: CosyVoice 1 is not supported; CosyVoice 2 and 3 are")
    return Version(there[0])


def weight_file(folder: Path, part: str) -> Path:
    """The file with the weights of ``part``, of ``WEIGHTS``: the official ``.pt``, or ``.safetensors`` in its stead."""
    official, other = folder / f"{part}.pt", folder / f"{part}.safetensors"
    return other if other.exists() and not official.exists() else official


def look_into(folder: Path) -> Contents:
    """Everything in the folder and all that should be. CheckpointError if it is no folder of a known version."""
    version = find_version(folder)
    needed = dict(_needed(folder, version))
    entries = [_needed_entry(folder, name, purpose) for name, purpose in needed.items()]
    entries += [_other_entry(folder, name) for name in _names(folder) if name not in needed]
    return Contents(version, tuple(entries))


def check_folder(folder: Path) -> Version:
    """Refuse a folder that cannot be served, by the first file that is missing or was not downloaded."""
    contents = look_into(folder)
    for entry in contents.entries:
        problem = {
            State.MISSING: f"is missing: {entry.purpose}",
            State.EMPTY: "is empty; download it again",
            State.POINTER: "is a Git LFS pointer, not the file itself; fetch it with: git lfs pull",
        }.get(entry.state)
        if problem is not None:
            raise CheckpointError(f"{folder / entry.name}: {problem}")
    return contents.version


def _needed(folder: Path, version: Version) -> Iterator[tuple[str, str]]:
    yield f"{version}.yaml", "configuration"
    for part, purpose in WEIGHTS.items():
        yield weight_file(folder, part).name, f"weights: {purpose}"
    yield "campplus.onnx", "prompts: the speaker's timbre"
    yield TOKENIZERS[version], "prompts: their speech tokens"
    for name, purpose in QWEN_FILES.items():
        yield f"{QWEN_FOLDER}/{name}", purpose


def _names(folder: Path) -> Iterator[str]:
    for path in sorted(folder.iterdir()):
        if path.name == QWEN_FOLDER and path.is_dir():
            yield from (f"{QWEN_FOLDER}/{below.name}" for below in sorted(path.iterdir()))
        else:
            yield path.name


def _needed_entry(folder: Path, name: str, purpose: str) -> Entry:
    path = folder / name
    if not path.is_file():
        return Entry(name, State.MISSING, purpose)
    num_bytes = path.stat().st_size
    state = State.EMPTY if num_bytes == 0 else State.POINTER if is_lfs_pointer(path) else State.PRESENT
    return Entry(name, state, purpose, num_bytes)


def _other_entry(folder: Path, name: str) -> Entry:
    path = folder / name
    num_bytes = path.stat().st_size if path.is_file() else None
    purpose = next((purpose for pattern, purpose in OPTIONAL.items() if fnmatchcase(name, pattern)), None)
    if name == VOICES and is_lfs_pointer(path):
        return Entry(name, State.POINTER, "saved voices", num_bytes)
    if name in (f"{part}.safetensors" for part in WEIGHTS):
        return Entry(name, State.LEFT_OVER, f"not used beside {name.replace('.safetensors', '.pt')}", num_bytes)
    if name.startswith("speech_tokenizer_v") and purpose is None:
        return Entry(name, State.LEFT_OVER, "of another version; not used", num_bytes)
    if purpose is None:
        return Entry(name, State.LEFT_OVER, "not known, not used", num_bytes)
    return Entry(name, State.OPTIONAL, purpose, num_bytes)
