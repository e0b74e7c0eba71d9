"""How much of a prompt is left."""

import pytest

from cosystream.engines.cosyvoice.alignment import num_dropped


@pytest.mark.parametrize(
    ("num_tokens", "left"), [(0, 0), (3, 3), (27, 27), (28, 28), (29, 28), (52, 28), (53, 53), (75, 53), (750, 728)]
)
def test_what_is_left_ends_with_blocks_and_what_is_looked_at_behind_them(num_tokens: int, left: int) -> None:
    assert num_tokens - num_dropped(num_tokens, block=25, lookahead=3) == left
