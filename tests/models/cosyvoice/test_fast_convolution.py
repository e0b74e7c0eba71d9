"""Convolutions with fewer products, against those they stand for."""

import pytest
import torch
from torch import Tensor, nn

from cosystream.models.cosyvoice.convolution import RepeatConv, TimeConv
from cosystream.models.cosyvoice.fast_convolution import PhaseConv, TiledConv, quicken


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def random_signal(num_rows: int, num_steps: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(num_rows, num_steps, 8, dtype=dtype)


@pytest.mark.parametrize(("num_taps", "size"), [(3, 4), (7, 16), (7, 15), (11, 32), (11, 11)])
@pytest.mark.parametrize("dilation", [1, 3, 5])
@pytest.mark.parametrize("num_steps", [1, 20, 97])
def test_tiles_give_the_convolution_whatever_its_length(
    num_taps: int, size: int, dilation: int, num_steps: int
) -> None:
    conv = TimeConv(8, 8, num_taps, dilation=dilation).double()
    x = random_signal(3, num_steps + (num_taps - 1) * dilation)
    torch.testing.assert_close(TiledConv(conv, size)(x), conv(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("num_taps", "size"), [(7, 16), (11, 32)])
def test_tiles_round_no_more_than_the_convolution_does(num_taps: int, size: int) -> None:
    conv, x = TimeConv(8, 8, num_taps), random_signal(2, 500, torch.float32)
    tiled = TiledConv(conv, size)
    plain, fast = conv(x), tiled(x)
    exact = conv.double()(x.double())
    assert (fast - exact).abs().max() < 2 * (plain - exact).abs().max()


@pytest.mark.parametrize(("num_taps", "rate"), [(16, 8), (11, 5), (7, 3), (4, 2), (2, 3), (5, 1)])
def test_phases_give_the_convolution_of_what_was_repeated(num_taps: int, rate: int) -> None:
    conv = RepeatConv(8, 6, num_taps, rate).double()
    x = random_signal(2, conv.num_past + 9)
    repeated = x.repeat_interleave(rate, dim=1)[:, conv.num_past * rate - (num_taps - 1) :]
    expected = nn.functional.conv1d(repeated.transpose(1, 2), conv.weight, conv.bias).transpose(1, 2)
    assert expected.size(1) == 9 * rate
    torch.testing.assert_close(conv(x), expected)
    torch.testing.assert_close(PhaseConv(conv)(x), expected)


@pytest.mark.parametrize(("num_taps", "dilation", "stride"), [(3, 1, 1), (7, 5, 1), (4, 1, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_convolution_over_time_is_torch_s(num_taps: int, dilation: int, stride: int, dtype: torch.dtype) -> None:
    conv = TimeConv(8, 5, num_taps, dilation=dilation, stride=stride).to(dtype)
    x = random_signal(2, 60, dtype)
    torch.testing.assert_close(conv(x).transpose(1, 2), nn.Conv1d.forward(conv, x.transpose(1, 2)))


def test_only_long_kernels_become_tiles() -> None:
    layers = {"short": TimeConv(8, 8, 3), "long": TimeConv(8, 8, 7), "narrowing": TimeConv(8, 4, 7)}
    network = nn.ModuleDict({"inner": nn.ModuleDict(layers), "up": RepeatConv(8, 8, 4, 2)})
    quicken(network)
    kinds = {name: type(module) for name, module in network.named_modules()}
    assert kinds["inner.short"] is kinds["inner.narrowing"] is TimeConv
    assert (kinds["inner.long"], kinds["up"]) == (TiledConv, PhaseConv)
