"""Attention, whole and block by block, in either dtype."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its name everywhere

from cosystream.models.attention import MOST_QUERIES, attend, attend_by_block
from cosystream.models.streaming import block_mask


def vectors(num_queries: int, num_keys: int) -> list[Tensor]:
    """q, k, v of two rows and three heads."""
    torch.manual_seed(0)
    return [torch.randn(2, 3, num, 8) for num in (num_queries, num_keys, num_keys)]


@pytest.mark.parametrize("num_queries", [1, 50, 2 * MOST_QUERIES + 3])
@pytest.mark.parametrize("is_masked", [False, True])
def test_in_bfloat16_it_is_nearly_what_it_is_in_float32(num_queries: int, *, is_masked: bool) -> None:
    q, k, v = vectors(num_queries, 200)
    visible = torch.rand(2, 1, num_queries, 200) < 0.5 if is_masked else None
    expected = attend(q, k, v, visible)
    torch.testing.assert_close(expected, F.scaled_dot_product_attention(q, k, v, visible), rtol=1e-5, atol=1e-5)
    rough = attend(q.bfloat16(), k.bfloat16(), v.bfloat16(), visible)
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("num_past", "num_new"), [(0, 7), (0, 10), (0, 33), (20, 5), (20, 30), (10, 41)])
def test_block_by_block_is_what_a_mask_of_blocks_gives(num_past: int, num_new: int, dtype: torch.dtype) -> None:
    q, k, v = (x.to(dtype) for x in vectors(num_new, num_past + num_new))
    expected = attend(q, k, v, block_mask(num_past, num_new, 10, q.device))
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    torch.testing.assert_close(attend_by_block(q, k, v, 10), expected, rtol=tolerance, atol=tolerance)
