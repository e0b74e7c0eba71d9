"""What a weight file holds, and what becomes of one that holds something else."""

import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from cosystream.errors import CheckpointError
from cosystream.models.weights import load_strict, mismatches, read_weights

LINEAR = {"weight": torch.ones(3, 2), "bias": torch.zeros(3)}


def save(path: Path, content: object, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


class Bomb:
    """Makes a folder when it is unpickled by whoever lets it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("in_zip", [True, False])
def test_tensors_come_by_name_from_either_format_of_torch(tmp_path: Path, in_zip: bool) -> None:
    path = save(tmp_path / "a.pt", LINEAR, _use_new_zipfile_serialization=in_zip)
    torch.testing.assert_close(read_weights(path), LINEAR)


def test_tensors_come_from_safetensors_too(tmp_path: Path) -> None:
    save_file(LINEAR, tmp_path / "a.safetensors")
    torch.testing.assert_close(read_weights(tmp_path / "a.safetensors"), LINEAR)


def test_a_file_zipped_again_by_hand_is_read_and_not_mapped(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", LINEAR)
    again = tmp_path / "b.pt"
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(again, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    torch.testing.assert_close(read_weights(again), LINEAR)


def test_what_training_writes_beside_the_tensors_is_dropped(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {**LINEAR, "epoch": 3, "step": 100})
    assert set(read_weights(path)) == set(LINEAR)


def test_a_parameter_is_read_as_a_tensor_without_a_gradient(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"weight": nn.Parameter(torch.ones(3))})
    assert not read_weights(path)["weight"].requires_grad


def test_of_adversarial_training_the_generator_is_kept(tmp_path: Path) -> None:
    content = {
        "generator.conv_pre.bias": torch.zeros(4),
        "generator.ups.0.bias": torch.ones(2),
        "discriminator.mpd.discriminators.0.convs.0.weight_g": torch.zeros(1),
    }
    path = save(tmp_path / "hift.pt", content)
    assert set(read_weights(path)) == {"conv_pre.bias", "ups.0.bias"}


def test_a_discriminator_is_not_dropped_from_a_file_without_a_generator(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"discriminator.weight": torch.zeros(1)})
    assert set(read_weights(path)) == {"discriminator.weight"}


def test_a_tensor_with_the_prefix_and_without_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", {"generator.bias": torch.zeros(1), "bias": torch.ones(1)})
    with pytest.raises(CheckpointError, match="bias is there twice"):
        read_weights(path)


@pytest.mark.parametrize("transposed", [False, True])
def test_weight_norm_is_folded_to_what_torch_computes(tmp_path: Path, transposed: bool) -> None:
    torch.manual_seed(0)
    plain = (nn.ConvTranspose1d if transposed else nn.Conv1d)(4, 6, 3).double()
    conv = parametrizations.weight_norm(plain)
    with torch.no_grad():
        conv.parametrizations["weight"].original0.mul_(1.7)
    today = {name: t.detach() for name, t in conv.state_dict().items()}
    before = {
        name.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): t
        for name, t in today.items()
    }
    assert set(before) == {"bias", "weight_g", "weight_v"}
    for form in (today, before):
        path = save(tmp_path / "a.pt", {f"conv_pre.{name}": t for name, t in form.items()})
        folded = read_weights(path)
        assert set(folded) == {"conv_pre.weight", "conv_pre.bias"}
        torch.testing.assert_close(folded["conv_pre.weight"], conv.weight.detach(), rtol=1e-14, atol=0)


def test_weight_norm_of_float32_is_multiplied_in_float64(tmp_path: Path) -> None:
    torch.manual_seed(0)
    g, v = torch.rand(4, 1, 1), torch.randn(4, 5, 3)
    folded = read_weights(save(tmp_path / "a.pt", {"x.weight_g": g, "x.weight_v": v}))["x.weight"]
    assert folded.dtype == torch.float64
    exact = g.double() * v.double() / (v.double() ** 2).sum((1, 2), keepdim=True).sqrt()
    torch.testing.assert_close(folded, exact, rtol=1e-14, atol=0)


@pytest.mark.parametrize("lost", ["weight_g", "weight_v"])
def test_half_a_weight_norm_is_refused(tmp_path: Path, lost: str) -> None:
    halves = {"x.weight_g": torch.ones(4, 1, 1), "x.weight_v": torch.ones(4, 5, 3)}
    del halves[f"x.{lost}"]
    with pytest.raises(CheckpointError, match=rf"a\.pt: x\.{lost} is missing"):
        read_weights(save(tmp_path / "a.pt", halves))


def test_halves_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    halves = {"x.weight_g": torch.ones(5, 1, 1), "x.weight_v": torch.ones(4, 5, 3)}
    with pytest.raises(CheckpointError, match="does not fit"):
        read_weights(save(tmp_path / "a.pt", halves))


def test_a_weight_folded_and_unfolded_is_refused(tmp_path: Path) -> None:
    content = {"x.weight": torch.ones(4, 5), "x.weight_g": torch.ones(4, 1), "x.weight_v": torch.ones(4, 5)}
    with pytest.raises(CheckpointError, match="twice"):
        read_weights(save(tmp_path / "a.pt", content))


def test_a_bomb_is_refused_and_does_not_go_off(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    bombs = [
        save(tmp_path / "zip.pt", {"weight": Bomb(trace)}),
        save(tmp_path / "old.pt", {"weight": Bomb(trace)}, _use_new_zipfile_serialization=False),
        tmp_path / "plain.pt",
    ]
    bombs[2].write_bytes(pickle.dumps({"weight": Bomb(trace)}))
    for bomb, problem in zip(
        bombs, [r"would have run \w+\.mkdir", r"would have run \w+\.mkdir", "damaged"], strict=True
    ):
        with pytest.raises(CheckpointError, match=f"{bomb.name}: .*{problem}"):
            read_weights(bomb)
    assert not trace.exists()
    pickle.loads(bombs[2].read_bytes())
    assert trace.exists(), "the bomb was a dud"


@pytest.mark.parametrize("kept", [0, 1, 3, 100, 0.5, 0.9, -1])
@pytest.mark.parametrize("in_zip", [True, False])
def test_a_truncated_file_is_refused_by_name(tmp_path: Path, kept: float, in_zip: bool) -> None:
    path = save(tmp_path / "a.pt", {"weight": torch.ones(1000)}, _use_new_zipfile_serialization=in_zip)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    with pytest.raises(CheckpointError, match=r"a\.pt: .*(empty|damaged)"):
        read_weights(path)


def test_truncated_safetensors_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(LINEAR, path)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(CheckpointError, match=r"a\.safetensors: is damaged"):
        read_weights(path)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_a_missing_file_and_a_folder_are_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError, match=f"{name}: No such file"):
        read_weights(tmp_path / name)
    (tmp_path / name).mkdir()
    with pytest.raises(CheckpointError, match=f"{name}: "):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_a_pointer_of_git_lfs_says_how_to_get_the_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 2023316821\n")
    with pytest.raises(CheckpointError, match="git lfs pull"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ([torch.ones(1)], "holds a list"),
        (torch.ones(1), "holds a Tensor"),
        ({"state_dict": {"weight": torch.ones(1)}}, "state_dict: expected a tensor, found a dict"),
        ({"model": None}, "found a NoneType"),
        ({1: torch.ones(1)}, "1: the name"),
        ({"weight": torch.ones(1, dtype=torch.int64)}, "weight: expected plain floating-point numbers"),
        ({"weight": torch.eye(2).to_sparse()}, "weight: expected plain floating-point numbers"),
    ],
)
def test_anything_but_a_dict_of_tensors_is_refused(tmp_path: Path, content: object, problem: str) -> None:
    with pytest.raises(CheckpointError, match=problem):
        read_weights(save(tmp_path / "a.pt", content))


def test_no_warning_escapes(tmp_path: Path) -> None:
    path = save(tmp_path / "a.pt", LINEAR, pickle_protocol=4)  # torch has its doubts about that
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(CheckpointError):
            read_weights(path)
    assert caught == []


def linear(dtype: torch.dtype = torch.float32) -> nn.Linear:
    with torch.device("meta"):
        return nn.Linear(2, 3, dtype=dtype)


def test_what_becomes_of_the_weights_afterwards_does_not_touch_the_module() -> None:
    module, weights = linear(), {name: tensor.clone() for name, tensor in LINEAR.items()}
    load_strict(module, weights, "a.pt")
    weights["weight"].zero_()
    assert torch.equal(module.weight, LINEAR["weight"])
    assert not module.training
    assert not module.weight.requires_grad
    torch.testing.assert_close(module(torch.ones(1, 2)), torch.full((1, 3), 2.0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_each_tensor_is_cast_to_the_dtype_of_its_parameter(dtype: torch.dtype) -> None:
    module = linear(dtype)
    load_strict(module, {"weight": LINEAR["weight"].double(), "bias": LINEAR["bias"]}, "a.pt")
    assert {module.weight.dtype, module.bias.dtype} == {dtype}


def test_of_a_prefix_only_what_is_below_it_is_taken() -> None:
    module = linear()
    load_strict(
        module, {f"f0.{name}": t for name, t in LINEAR.items()} | {"other": torch.ones(1)}, "a.pt", prefix="f0."
    )
    torch.testing.assert_close(module.weight.detach(), LINEAR["weight"])


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"bias": None}, r"hift\.pt: x\.bias \(3,\) is missing"),
        ({"scale": torch.ones(4)}, r"hift\.pt: x\.scale \(4,\) is left over"),
        ({"weight": torch.ones(2, 3)}, r"hift\.pt: x\.weight should have shape \(3, 2\), but has \(2, 3\)"),
    ],
)
def test_a_parameter_missing_left_over_or_misshapen_is_named(change: dict[str, Tensor | None], problem: str) -> None:
    weights = {f"x.{name}": t for name, t in (LINEAR | change).items() if t is not None}
    with pytest.raises(CheckpointError, match=problem):
        load_strict(linear(), weights, "hift.pt", prefix="x.")


def test_of_many_mismatches_the_message_shows_a_few() -> None:
    weights = {f"scale{index}": torch.ones(1) for index in range(10)}
    assert len(mismatches(linear(), weights)) == 12
    with pytest.raises(CheckpointError, match=r"weight .* bias .* scale0 .*; and 9 more$"):
        load_strict(linear(), weights, "a.pt")
