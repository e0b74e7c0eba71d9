"""The doctor finds what ails a checkpoint, says it in words, and dies of nothing."""

import contextlib
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from cosystream.cli.main import main
from cosystream.cores import usable_cores
from cosystream.models.cosyvoice.config import Version
from cosystream.models.devices import multiplies_bfloat16
from tests.support.checkpoints import write_checkpoint

Examine = Callable[..., tuple[int, str]]


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("healthy") / "model"
    write_checkpoint(folder, Version.V3)
    return folder


@pytest.fixture
def model(healthy: Path, tmp_path: Path) -> Path:
    """A healthy checkpoint to do harm to."""
    return Path(shutil.copytree(healthy, tmp_path / "model"))


@pytest.fixture
def examine(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Examine]:
    """Exit status and output of the doctor."""

    def run(folder: Path) -> tuple[int, str]:
        status = main(["doctor", "--model", str(folder), "--voices-dir", str(tmp_path / "voices")])
        captured = capsys.readouterr()
        assert captured.err == ""
        return status, captured.out

    yield run
    assert not (tmp_path / "trace").exists(), "something has been executed"


def bomb(folder: Path) -> Any:
    """Leaves a trace when it is unpickled."""

    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(folder.parent / "trace"),)

    return Bomb()


@pytest.mark.parametrize("version", list(Version))
def test_a_healthy_checkpoint_can_be_served(version: Version, tmp_path: Path, examine: Examine) -> None:
    write_checkpoint(tmp_path / "model", version)
    status, output = examine(tmp_path / "model")
    assert status == 0
    assert f"model: {version}" in output
    assert output.count("  fits\n") == 3
    assert "voices in spk2info.pt: 中文女, 中文男" in output
    assert "missing" not in output
    assert "left over" not in output
    assert "It can be served: cosystream serve --model" in output


def test_it_tells_of_the_machine_and_its_packages(model: Path, examine: Examine) -> None:
    _, output = examine(model)
    assert f"machine: {usable_cores()} cores, " in output
    assert f"torch {torch.__version__}" in output
    assert "GPUs: " in output


def test_what_a_second_of_speech_takes_follows_from_the_layers(model: Path, examine: Examine) -> None:
    path = model / "cosyvoice3.yaml"
    assert path.read_text().count("depth: 2\n") == 1
    _, output = examine(model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # 2 layers of K and V of width 64, for 2 rows and 10 steps, 50 frames a second, 2 or 4 bytes each
    size = "512.0 kB" if multiplies_bfloat16(device) else "1.0 MB"
    assert f"and {size} for each second" in output


def test_voices_that_callers_ask_for_are_missed(model: Path, examine: Examine) -> None:
    (model / "spk2info.pt").unlink()
    status, output = examine(model)
    assert status == 0
    assert "voices in spk2info.pt: none" in output
    assert "missing: 中文女, 中文男" in output
    assert "they are learnt from the embedded voice" in output


def test_what_is_left_over_is_named_and_does_no_harm(model: Path, examine: Examine) -> None:
    (model / "notes.txt").write_text("x")
    status, output = examine(model)
    assert status == 0
    assert [line.split()[0] for line in output.splitlines() if "left over" in line] == ["notes.txt"]


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def replace(name: str, content: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        (folder / name).write_bytes(content((folder / name).read_bytes()))

    return harm


def change_weights(name: str, change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        weights = torch.load(folder / name)
        change(weights)
        torch.save(weights, folder / name)

    return harm


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (remove("llm.pt"), "llm.pt: missing\n"),
        (remove("campplus.onnx"), "campplus.onnx: missing\n"),
        (remove("speech_tokenizer_v3.onnx"), "speech_tokenizer_v3.onnx: missing\n"),
        (remove("CosyVoice-BlankEN/merges.txt"), "CosyVoice-BlankEN/merges.txt: missing\n"),
        (remove("CosyVoice-BlankEN/config.json"), "CosyVoice-BlankEN/config.json: missing\n"),
        (remove("cosyvoice3.yaml"), "is no CosyVoice checkpoint; it needs cosyvoice2.yaml or cosyvoice3.yaml"),
        (replace("flow.pt", lambda content: content[:-1000]), "flow.pt: is damaged"),
        (replace("hift.pt", lambda content: content[: len(content) // 2]), "hift.pt: is damaged"),
        (replace("llm.pt", lambda _: b""), "llm.pt: empty\n"),
        (replace("llm.pt", lambda _: b"version https://git-lfs.github.com/spec/v1\n"), "llm.pt: LFS pointer\n"),
        (replace("spk2info.pt", lambda content: content[:100]), "spk2info.pt: "),
        (replace("cosyvoice3.yaml", lambda yaml: yaml.replace(b"depth: 2", b"depth: 3")), "transformer_blocks.2."),
        (replace("cosyvoice3.yaml", lambda yaml: yaml.replace(b"depth: 2", b"")), "estimator.depth: is missing"),
        (replace("cosyvoice3.yaml", lambda yaml: yaml.replace(b"llm.CosyVoice3LM", b"llm.Qwen2LM")), "llm: is Qwen2LM"),
        (change_weights("flow.pt", lambda w: w.popitem()), "flow.pt: decoder.estimator.proj_out.bias (80,) is missing"),
        (change_weights("llm.pt", lambda w: w.update(x=torch.ones(3))), "llm.pt: x (3,) is left over"),
    ],
)
def test_each_ailment_is_named(model: Path, examine: Examine, harm: Callable[[Path], None], problem: str) -> None:
    harm(model)
    status, output = examine(model)
    assert status == 2
    verdict = output.partition("It cannot be served:\n")[2]
    assert problem in verdict
    assert "It can be served" not in output


def test_a_file_that_is_missing_is_told_once(model: Path, examine: Examine) -> None:
    (model / "llm.pt").unlink()
    _, output = examine(model)
    assert output.partition("It cannot be served:\n")[2] == "  llm.pt: missing\n"


def test_of_many_tensors_that_do_not_fit_some_are_told(model: Path, examine: Examine) -> None:
    torch.save({}, model / "hift.pt")
    _, output = examine(model)
    told = [line for line in output.partition("It cannot be served:\n")[2].splitlines() if "hift.pt" in line]
    assert len(told) == 21
    assert told[-1].endswith("tensors more")


@pytest.mark.parametrize("name", ["llm.pt", "flow.pt", "hift.pt", "spk2info.pt"])
@pytest.mark.parametrize("is_plain", [False, True])
def test_a_bomb_does_not_go_off(model: Path, examine: Examine, name: str, is_plain: bool) -> None:
    content = {"x": bomb(model)}
    if is_plain:
        (model / name).write_bytes(pickle.dumps(content))
    else:
        torch.save(content, model / name)
    status, output = examine(model)
    assert status == 2
    assert name in output.partition("It cannot be served:\n")[2]


def test_a_yaml_that_names_a_class_to_construct_does_not_get_it(model: Path, examine: Examine) -> None:
    with (model / "cosyvoice3.yaml").open("a") as file:
        file.write(f"x: !!python/object/apply:os.mkdir ['{model.parent / 'trace'}']\n")
    status, output = examine(model)
    assert status == 2
    assert "os.mkdir is not allowed" in output


@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        (lambda path: None, "no such folder"),
        (lambda path: path.mkdir(), "is empty; it needs"),
        (lambda path: path.write_text("x"), "is not a folder"),
        (lambda path: (path.mkdir(), (path / "cosyvoice.yaml").write_text("x")), "CosyVoice 1 is not supported"),
    ],
)
def test_what_is_no_checkpoint_is_told(
    tmp_path: Path, examine: Examine, prepare: Callable[[Path], object], problem: str
) -> None:
    prepare(tmp_path / "x")
    status, output = examine(tmp_path / "x")
    assert status == 2
    assert problem in output
    assert "machine: " in output


@pytest.mark.parametrize("engine", ["auto", "kokoro", "tone"])
def test_where_there_is_no_checkpoint_it_says_what_is_served_without_one(
    engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with contextlib.chdir(tmp_path):
        assert main(["doctor", "--engine", engine]) == 2
    verdict = capsys.readouterr().out.partition("No checkpoint can be served:\n")[2]
    assert "cosystream fetch Fun-CosyVoice3-0.5B brings one" in verdict
    assert verdict.endswith("Without one, cosystream serve speaks with its embedded voice.\n")


def test_without_torch_it_says_what_it_can_and_what_would_help(model: Path) -> None:
    program = (
        "import sys; sys.modules.update(dict.fromkeys(('torch', 'yaml', 'safetensors')));"
        f"from cosystream.cli.main import main; sys.exit(main(['doctor', '--model', {str(model)!r}]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "")
    assert "cosyvoice3.yaml" in done.stdout
    assert "machine: " in done.stdout
    assert "torch, safetensors, pyyaml not installed; pip install -e '.[cosyvoice]' would help" in done.stdout
