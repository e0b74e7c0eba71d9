"""What a checkpoint's folder holds, misses and has too much."""

import subprocess
import sys
from pathlib import Path

import pytest

from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.folder import Contents, State, check_folder, find_version, look_into, weight_file

NEEDED = [
    "cosyvoice3.yaml",
    "llm.pt",
    "flow.pt",
    "hift.pt",
    "campplus.onnx",
    "speech_tokenizer_v3.onnx",
    "CosyVoice-BlankEN/config.json",
    "CosyVoice-BlankEN/vocab.json",
    "CosyVoice-BlankEN/merges.txt",
    "CosyVoice-BlankEN/tokenizer_config.json",
]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1329116148\n"


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    (tmp_path / "CosyVoice-BlankEN").mkdir()
    for name in NEEDED:
        (tmp_path / name).write_bytes(b"content")
    return tmp_path


def state(contents: Contents, name: str) -> State:
    (entry,) = [entry for entry in contents.entries if entry.name == name]
    return entry.state


def test_a_whole_folder_has_every_file_that_is_needed_and_no_other(whole: Path) -> None:
    contents = look_into(whole)
    assert contents.version is check_folder(whole) is Version.V3
    assert [(entry.name, entry.state, entry.num_bytes) for entry in contents.entries] == [
        (name, State.PRESENT, 7) for name in NEEDED
    ]


@pytest.mark.parametrize("name", NEEDED[1:])
def test_each_file_that_is_needed_is_missed_by_name(whole: Path, name: str) -> None:
    (whole / name).unlink()
    contents = look_into(whole)
    assert state(contents, name) is State.MISSING
    with pytest.raises(CheckpointError, match=f"{name}: is missing"):
        check_folder(whole)


@pytest.mark.parametrize("name", NEEDED)
def test_an_empty_file_and_a_pointer_of_git_lfs_are_not_the_file(whole: Path, name: str) -> None:
    (whole / name).write_bytes(b"")
    assert state(look_into(whole), name) is State.EMPTY
    with pytest.raises(CheckpointError, match=f"{name}: is empty"):
        check_folder(whole)
    (whole / name).write_text(POINTER)
    assert state(look_into(whole), name) is State.POINTER
    with pytest.raises(CheckpointError, match=f"{name}: is a Git LFS pointer.*git lfs pull"):
        check_folder(whole)


def test_saved_voices_need_not_be_there_but_must_not_be_a_pointer(whole: Path) -> None:
    (whole / "spk2info.pt").write_bytes(b"content")
    assert check_folder(whole) is Version.V3
    (whole / "spk2info.pt").write_text(POINTER)
    with pytest.raises(CheckpointError, match=r"spk2info\.pt: is a Git LFS pointer"):
        check_folder(whole)


@pytest.mark.parametrize(
    "name",
    [
        "spk2info.pt",
        "llm.rl.pt",
        "speech_tokenizer_v3.batch.onnx",
        "flow.decoder.estimator.fp32.onnx",
        "flow.encoder.fp16.zip",
        "README.md",
        ".gitattributes",
        "configuration.json",
        "CosyVoice-BlankEN/model.safetensors",
        "CosyVoice-BlankEN/generation_config.json",
    ],
)
def test_what_official_folders_hold_besides_is_known(whole: Path, name: str) -> None:
    (whole / name).write_bytes(b"x")
    assert state(look_into(whole), name) is State.OPTIONAL
    assert check_folder(whole) is Version.V3


@pytest.mark.parametrize(
    "name", ["flow.pt.bak", "speech_tokenizer_v2.onnx", "llm.safetensors", "CosyVoice-BlankEN/note"]
)
def test_what_is_of_no_use_is_left_over(whole: Path, name: str) -> None:
    (whole / name).write_bytes(b"x")
    assert state(look_into(whole), name) is State.LEFT_OVER
    assert check_folder(whole) is Version.V3


def test_a_folder_inside_is_named_and_not_looked_into(whole: Path) -> None:
    for name in ("vllm", "asset", "other"):
        (whole / name).mkdir()
        (whole / name / "file").write_bytes(b"x")
    entries = {entry.name: entry for entry in look_into(whole).entries if entry.name not in NEEDED}
    assert {name: (entry.state, entry.num_bytes) for name, entry in entries.items()} == {
        "vllm": (State.OPTIONAL, None),
        "asset": (State.OPTIONAL, None),
        "other": (State.LEFT_OVER, None),
    }


def test_safetensors_may_stand_in_for_a_weight_file_and_lose_to_it(whole: Path) -> None:
    assert weight_file(whole, "llm") == whole / "llm.pt"
    (whole / "llm.safetensors").write_bytes(b"x")
    assert weight_file(whole, "llm") == whole / "llm.pt"
    (whole / "llm.pt").unlink()
    assert weight_file(whole, "llm") == whole / "llm.safetensors"
    assert state(look_into(whole), "llm.safetensors") is State.PRESENT
    assert check_folder(whole) is Version.V3


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ([], "is empty; it needs cosyvoice2.yaml or cosyvoice3.yaml"),
        (["llm.pt"], "is no CosyVoice checkpoint; it needs cosyvoice2.yaml or cosyvoice3.yaml"),
        (["cosyvoice.yaml"], "cosyvoice.yaml: CosyVoice 1 is not supported"),
        (["cosyvoice2.yaml", "cosyvoice3.yaml"], "holds cosyvoice2.yaml and cosyvoice3.yaml; keep the one"),
        (["cosyvoice.yaml", "cosyvoice2.yaml"], "holds cosyvoice.yaml and cosyvoice2.yaml; keep the one"),
    ],
)
def test_a_folder_of_no_one_version_is_refused(tmp_path: Path, names: list[str], problem: str) -> None:
    for name in names:
        (tmp_path / name).write_text("x")
    with pytest.raises(CheckpointError, match=problem):
        find_version(tmp_path)


def test_a_missing_folder_and_a_file_in_its_place_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such folder"):
        look_into(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(CheckpointError, match="file: is not a folder"):
        look_into(tmp_path / "file")


def test_looking_into_a_folder_needs_neither_torch_nor_yaml() -> None:
    program = "import sys, cosystream.models.cosyvoice.folder; sys.exit(bool({'torch', 'yaml'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
