"""The tensors of a weight file, by name, and their way into a module: nothing executed, nothing left over."""

import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from cosystream.errors import CheckpointError
from cosystream.models.lfs import is_lfs_pointer

WEIGHT_NORM_FORMS = (
    (".parametrizations.weight.original0", ".parametrizations.weight.original1"),
    (".weight_g", ".weight_v"),
)
"""How a magnitude and its direction are named: by today's parametrization, and by the hook before it."""
BOOKKEEPING = ("epoch", "step")
"""What a training run writes beside its tensors."""
NUM_SHOWN = 3
"""Of many wrong parameters, how many a message names."""
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    SafetensorError,
)
"""The ways in which reading a damaged file can end."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pt`` or ``.safetensors`` file by name, mapped rather than read where that can be.

    Weight norm is folded, its product taken and given back in float64: float32 does not keep what the pitch hears.
    """
    try:
        with path.open("rb"):  # an OSError later is torch seeking where a damaged file says
            pass
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _load_pickle(path)
    except DAMAGE as error:
        raise CheckpointError(f"{path}: {_why_unreadable(path, error)}") from None
    return _fold_weight_norm(_of_generator(_flat_tensors(content, path), path), path)


def mismatches(module: nn.Module, weights: Mapping[str, Tensor], *, prefix: str = "") -> list[str]:
    """What keeps ``weights`` under ``prefix`` from being the parameters of ``module``, a sentence each."""
    expected = module.state_dict(prefix=prefix)
    found = {name: tensor for name, tensor in weights.items() if name.startswith(prefix)}
    return [
        *(f"{name} {tuple(t.shape)} is missing" for name, t in expected.items() if name not in found),
        *(f"{name} {tuple(t.shape)} is left over" for name, t in found.items() if name not in expected),
        *(
            f"{name} should have shape {tuple(t.shape)}, but has {tuple(found[name].shape)}"
            for name, t in expected.items()
            if name in found and found[name].shape != t.shape
        ),
    ]


def check_fit(module: nn.Module, weights: Mapping[str, Tensor], file: str, *, prefix: str = "") -> None:
    """Raise CheckpointError if ``weights`` under ``prefix`` cannot be the parameters of ``module``."""
    wrong = mismatches(module, weights, prefix=prefix)
    if wrong:
        more = f"; and {len(wrong) - NUM_SHOWN} more" if len(wrong) > NUM_SHOWN else ""
        raise CheckpointError(f"{file}: {'; '.join(wrong[:NUM_SHOWN])}{more}")


def load_strict(module: nn.Module, weights: Mapping[str, Tensor], file: str, *, prefix: str = "") -> None:
    """Make ``weights`` under ``prefix`` the parameters of ``module``, which may be on meta, in the dtypes that it has.

    Every parameter must be there, in its shape, and nothing else. The module ends in eval mode, without gradients, and
    with copies: what the weights are mapped from may change or be slow to read, and nobody is to wait for that later.
    """
    check_fit(module, weights, file, prefix=prefix)
    parameters = module.state_dict()
    cast = {
        name: weights[prefix + name].to(parameter.dtype, copy=True).contiguous()
        for name, parameter in parameters.items()
    }
    module.load_state_dict(cast, assign=True)
    module.requires_grad_(requires_grad=False).eval()


def _load_pickle(path: Path) -> object:
    with warnings.catch_warnings():  # of formats that have aged
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_mappable(path))


def _is_mappable(path: Path) -> bool:
    """Whether the tensors lie in the file as they will in memory: not in the oldest format, nor if zipped by hand."""
    try:
        with zipfile.ZipFile(path) as archive:
            return all(entry.compress_type == zipfile.ZIP_STORED for entry in archive.infolist())
    except zipfile.BadZipFile:
        return False


def _why_unreadable(path: Path, error: BaseException) -> str:
    if is_lfs_pointer(path):
        return "is a Git LFS pointer, not the weights themselves; fetch them with: git lfs pull"
    if path.stat().st_size == 0:
        return "is empty; download it again"
    forbidden = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
    if forbidden is not None:
        return f"would have run {forbidden[1]} and was not read; save a plain dict of tensors (a state_dict)"
    return "is damaged or not a weight file; download it again"


def _flat_tensors(content: object, path: Path) -> dict[str, Tensor]:
    if not isinstance(content, Mapping):
        raise CheckpointError(f"{path}: holds a {type(content).__name__}, not a dict of tensors (a state_dict)")
    tensors = {name: tensor for name, tensor in content.items() if name not in BOOKKEEPING}
    for name, tensor in tensors.items():
        if not isinstance(name, str):
            raise CheckpointError(f"{path}: {name!r}: the name of a tensor must be a string")
        if not isinstance(tensor, Tensor):
            raise CheckpointError(f"{path}: {name}: expected a tensor, found a {type(tensor).__name__}")
        if tensor.layout != torch.strided or not tensor.is_floating_point():
            raise CheckpointError(f"{path}: {name}: expected plain floating-point numbers, found {tensor.dtype}")
    return {name: tensor.detach() for name, tensor in tensors.items()}


def _of_generator(weights: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The vocoder alone, out of a file that holds it as the generator of its adversarial training."""
    if not any("generator." in name for name in weights):
        return weights
    kept: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name.startswith("discriminator."):
            continue
        bare = name.replace("generator.", "")  # wherever it stands, as the reference does
        if bare in kept:
            raise CheckpointError(f"{path}: {bare} is there twice, with generator. and without")
        kept[bare] = tensor
    return kept


def _fold_weight_norm(weights: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    folded = dict(weights)
    for magnitude_end, direction_end in WEIGHT_NORM_FORMS:
        ends = (magnitude_end, direction_end)
        stems = [name.removesuffix(end) for name in weights for end in ends if name.endswith(end)]
        for stem in dict.fromkeys(stems):
            magnitude, direction = folded.pop(stem + magnitude_end, None), folded.pop(stem + direction_end, None)
            if magnitude is None or direction is None:
                lost = stem + (magnitude_end if magnitude is None else direction_end)
                raise CheckpointError(f"{path}: {lost} is missing; the other half of its weight norm is there")
            if direction.dim() < 2 or magnitude.shape != (len(direction),) + (1,) * (direction.dim() - 1):
                found, other = tuple(magnitude.shape), tuple(direction.shape)
                raise CheckpointError(f"{path}: {stem}{magnitude_end} of shape {found} does not fit {other}")
            if f"{stem}.weight" in folded:
                raise CheckpointError(f"{path}: {stem}.weight is there twice, in two forms")
            folded[f"{stem}.weight"] = _product(magnitude.double(), direction.double())
    return folded


def _product(magnitude: Tensor, direction: Tensor) -> Tensor:
    """Magnitude times direction, the latter made of length one over all dimensions but the first."""
    dims = tuple(range(1, direction.dim()))
    length: Tensor = torch.linalg.vector_norm(direction, dim=dims, keepdim=True)
    return direction * (magnitude / length)
