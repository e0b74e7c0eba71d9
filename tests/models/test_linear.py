"""Linear layers laid out anew give what they gave before, as closely as their precision allows."""

import pytest
import torch
from torch import Tensor, nn

from cosystream.models.linear import FastLinear, Precision, fused, quicken

PRECISIONS = pytest.mark.parametrize("precision", list(Precision))
ERRORS = {Precision.FLOAT32: 1e-6, Precision.BFLOAT16: 0.006, Precision.INT8: 0.02}
"""Relative, of the norm."""


def linear(num_in: int = 64, num_out: int = 96, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(num_in + num_out)
    return nn.Linear(num_in, num_out, bias=bias).requires_grad_(requires_grad=False)


def rows(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def error(found: Tensor, expected: Tensor) -> float:
    return float((found.float() - expected).norm() / expected.norm())


@PRECISIONS
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("num_rows", [1, 2, 7, 150])
def test_it_multiplies_as_the_layer_does(precision: Precision, num_rows: int, *, bias: bool) -> None:
    layer, x = linear(bias=bias), rows(num_rows, 64)
    assert error(FastLinear(layer, precision)(x), layer(x)) < ERRORS[precision]


@PRECISIONS
def test_any_leading_dimensions_and_any_dtype_go_in(precision: Precision) -> None:
    layer, x = linear(), rows(2, 3, 5, 64)
    fast = FastLinear(layer, precision)
    for given in (x, x.double(), x.bfloat16(), x.transpose(0, 2)):
        found = fast(given)
        assert found.shape == (*given.shape[:-1], 96)
        assert found.dtype == fast.dtype
        assert error(found, layer(given.float())) < ERRORS[precision]


@PRECISIONS
def test_a_gelu_by_tanh_right_behind_a_layer_is_taken_with_it(precision: Precision) -> None:
    torch.manual_seed(0)
    tanh, erf = nn.GELU(approximate="tanh"), nn.GELU()
    pairs = nn.ModuleList([nn.Sequential(linear(), tanh), nn.Sequential(linear(), erf)])
    x = rows(7, 64)
    expected = [pair(x) for pair in pairs]
    quicken(pairs, precision)
    assert isinstance(pairs[0], FastLinear)
    for pair, wanted in zip(pairs, expected, strict=True):
        assert error(pair(x), wanted) < 2 * ERRORS[precision]


@PRECISIONS
@pytest.mark.parametrize("num_rows", [1, 2, 3, 8, 40])
def test_a_row_comes_out_the_same_whatever_is_beside_it(precision: Precision, num_rows: int) -> None:
    fast, x = FastLinear(linear(), precision), rows(64, 64)
    x[-1] *= 1000
    assert fast(x[:num_rows]).equal(fast(x)[:num_rows])


@PRECISIONS
def test_what_is_no_number_stays_in_its_row(precision: Precision) -> None:
    fast, x = FastLinear(linear(), precision), rows(4, 64)
    expected = fast(x)
    x[2, 5] = torch.nan
    found = fast(x)
    assert found[[0, 1, 3]].equal(expected[[0, 1, 3]])


@PRECISIONS
def test_a_row_of_zeros_gives_the_bias(precision: Precision) -> None:
    layer = linear()
    assert error(FastLinear(layer, precision)(torch.zeros(3, 64)), layer(torch.zeros(3, 64))) < ERRORS[precision]


@PRECISIONS
def test_the_layer_it_was_made_of_may_change_afterwards(precision: Precision) -> None:
    layer, x = linear(), rows(3, 64)
    fast = FastLinear(layer, precision)
    expected = fast(x)
    layer.weight.zero_()
    assert layer.bias is not None
    layer.bias.zero_()
    assert fast(x).equal(expected)


def test_every_linear_layer_of_a_module_is_replaced_and_nothing_else() -> None:
    module = nn.Sequential(linear(64, 32), nn.LayerNorm(32), nn.Sequential(nn.GELU(), linear(32, 16))).requires_grad_(
        requires_grad=False
    )
    x = rows(5, 64)
    expected = module(x)
    quicken(module, Precision.BFLOAT16)
    kinds = [type(child) for child in module.modules() if not isinstance(child, nn.Sequential)]
    assert kinds == [FastLinear, nn.LayerNorm, nn.GELU, FastLinear]
    assert error(module(x), expected) < 0.01
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_layers_side_by_side_are_one_layer() -> None:
    parts, x = [linear(64, 32), linear(64, 8, bias=False), linear(64, 16)], rows(5, 64)
    one = fused(parts)
    torch.testing.assert_close(one(x), torch.cat([part(x) for part in parts], dim=-1))
    assert fused([parts[1], parts[1]]).bias is None


def test_where_nothing_can_be_computed_the_shape_is_right() -> None:
    layer = linear().to("meta")
    assert FastLinear(layer, Precision.INT8)(torch.empty(2, 3, 64, device="meta")).shape == (2, 3, 96)
