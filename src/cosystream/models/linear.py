# ruff: noqa: SLF001 - the kernels that torch.compile chooses have no public name
"""Linear layers for inference: their weights laid out once, as the device multiplies them fastest."""

import warnings
from collections.abc import Callable, Sequence
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - its name everywhere

_Product = Callable[[Tensor], Tensor]
"""Of rows (R, I) in a dtype that it takes: (R, O)."""

_BATCH_HINT = 8
"""Rows for which the packed layout is chosen; it serves any number of them."""

_FEWEST_ROWS = 4
"""Fewer are filled up: two take a quarter longer than four, and one in bfloat16 a hundred times as long."""


class Precision(StrEnum):
    """What the products of a linear layer are taken in."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    INT8 = "int8"
    """Weights with a scale for each output, rows with a scale for each row. Where the device cannot, bfloat16."""


class FastLinear(nn.Module):
    """A linear layer whose products are taken in its own precision, whatever comes in.

    It is made where the layer lies and stays there: what the device has laid out is no parameter, neither moved nor
    saved. In packed layouts each row comes out the same to the bit, whatever rows are beside it.

    Shapes: I what goes in, O what comes out, R rows.
    """

    def __init__(self, linear: nn.Linear, precision: Precision, *, gelu: bool = False) -> None:
        """With ``gelu``, what comes out goes through a GELU, by tanh as the models have it."""
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        weight, bias = linear.weight.detach(), None if linear.bias is None else linear.bias.detach()
        if precision is Precision.INT8 and not (weight.is_cpu and _can_multiply_int8()):
            precision = Precision.BFLOAT16
        self.precision = precision
        """In which the products are taken."""
        self.dtype = torch.bfloat16 if precision is Precision.BFLOAT16 else torch.float32
        """Of what comes out."""
        self._product = self._laid_out(weight, bias, gelu=gelu)

    def _laid_out(self, weight: Tensor, bias: Tensor | None, *, gelu: bool) -> _Product:
        if self.precision is Precision.INT8:
            product = _int8(weight, bias)
        else:
            weight = weight.to(self.dtype, copy=True)
            bias = None if bias is None else bias.to(self.dtype, copy=True)
            if weight.is_cpu and _can_pack(self.dtype):
                return _packed(weight, bias, gelu=gelu)
            product = _plain(weight, bias)
        return (lambda rows: F.gelu(product(rows), approximate="tanh")) if gelu else product

    def forward(self, x: Tensor) -> Tensor:
        """(..., O) in ``dtype`` of ``x`` (..., I), of any float dtype."""
        rows = x.reshape(-1, self.in_features).to(self.dtype)
        return self._product(rows).view(*x.shape[:-1], self.out_features)


def quicken(module: nn.Module, precision: Precision) -> None:
    """Replace each ``nn.Linear`` below ``module``, in place; everything else stays as it is.

    A pair of a linear layer and a GELU by tanh becomes one.
    """
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, FastLinear(child, precision))
        elif (linear := _linear_before_gelu(child)) is not None:
            setattr(module, name, FastLinear(linear, precision, gelu=True))
        else:
            quicken(child, precision)


def _linear_before_gelu(module: nn.Module) -> nn.Linear | None:
    if not isinstance(module, nn.Sequential) or len(module) != 2:
        return None
    linear, gelu = module
    is_pair = isinstance(gelu, nn.GELU) and gelu.approximate == "tanh"
    return linear if is_pair and isinstance(linear, nn.Linear) else None


def fused(linears: Sequence[nn.Linear]) -> nn.Linear:
    """One layer whose output is theirs side by side; a missing bias counts as zeros if another has one."""
    weight = torch.cat([linear.weight.detach() for linear in linears])
    has_bias = any(linear.bias is not None for linear in linears)
    with torch.device("meta"):
        one = nn.Linear(weight.size(1), weight.size(0), bias=has_bias)
    one.weight = nn.Parameter(weight, requires_grad=False)
    if has_bias:
        biases = [weight.new_zeros(n.out_features) if n.bias is None else n.bias.detach() for n in linears]
        one.bias = nn.Parameter(torch.cat(biases), requires_grad=False)
    return one


def _plain(weight: Tensor, bias: Tensor | None) -> _Product:
    return lambda rows: F.linear(rows, weight, bias)


def _can_pack(dtype: torch.dtype) -> bool:
    is_available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not (is_available and hasattr(torch.ops.mkldnn, "_linear_pointwise")):
        return False
    return dtype is torch.float32 or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _packed(weight: Tensor, bias: Tensor | None, *, gelu: bool) -> _Product:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, _BATCH_HINT)
    then: tuple[str, list[float], str] = ("gelu", [], "tanh") if gelu else ("none", [], "")

    def product(rows: Tensor) -> Tensor:
        num_rows = rows.size(0)
        if num_rows < _FEWEST_ROWS:
            rows = F.pad(rows, (0, 0, 0, _FEWEST_ROWS - num_rows))
        out: Tensor = torch.ops.mkldnn._linear_pointwise(rows, packed, bias, *then)
        return out[:num_rows]

    return product


def _can_multiply_int8() -> bool:
    return "fbgemm" in torch.backends.quantized.supported_engines


def _int8(weight: Tensor, bias: Tensor | None) -> _Product:
    weight, bias = weight.float(), None if bias is None else bias.float().clone()
    scales = (weight.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*quantized tensor", category=UserWarning)
        zeros = torch.zeros(len(scales), dtype=torch.long)
        steps = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(steps, None)
    # The product takes one scale for all rows, from the least to the greatest of them. With every row brought to a
    # peak of 1, and one more that has both 1 and -1, that scale is always the same: no row feels what is beside it.
    bounds = torch.zeros(1, weight.size(1)).index_fill(1, torch.tensor([0]), 1.0)
    bounds[0, -1] = -1.0

    def product(rows: Tensor) -> Tensor:
        peaks = rows.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        out: Tensor = torch.ops.quantized.linear_dynamic(torch.cat([rows / peaks, bounds]), packed)[:-1] * peaks
        return out if bias is None else out + bias

    return product
