"""v2's flow encoder, fed whole and in pieces."""

import math
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import ConformerConfig
from cosystream.models.cosyvoice.conformer import RelativeAttention, UpsampleConformer, position_table
from cosystream.models.cosyvoice.lookahead import EncoderState
from cosystream.models.streaming import Past, block_mask

CONFIG = ConformerConfig(input_size=12, output_size=16, num_heads=2, linear_units=24, num_blocks=2)
LOOKAHEAD = 3
CHUNK = 25


@pytest.fixture(autouse=True)
def _seeded_and_without_gradients() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def encoder() -> UpsampleConformer:
    torch.manual_seed(1)
    encoder = UpsampleConformer(CONFIG, lookahead=LOOKAHEAD, chunk_size=CHUNK).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return encoder


def embedded(num_tokens: int) -> Tensor:
    return torch.randn(1, num_tokens, CONFIG.input_size)


def encode(encoder: UpsampleConformer, x: Tensor, state: EncoderState, start: int, stop: int) -> Tensor:
    encoded: Tensor = encoder(x[:, start:stop], x[:, stop : stop + LOOKAHEAD], state, streaming=True)
    return encoded


def encode_in_pieces(encoder: UpsampleConformer, x: Tensor, pieces: Sequence[int], state: EncoderState) -> list[Tensor]:
    encoded = []
    start = 0
    for piece in pieces:
        encoded.append(encode(encoder, x, state, start, start + piece))
        state.commit(piece, 2 * piece)
        start += piece
    return encoded


def assert_same(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("pieces", [(25, 25, 25), (50, 25, 13), (25, 75, 1), (100, 2), (25, 50, 25, 24)])
def test_pieces_that_end_with_a_chunk_are_encoded_as_the_whole_is(
    encoder: UpsampleConformer, pieces: tuple[int, ...]
) -> None:
    x = embedded(sum(pieces))
    whole = encode(encoder, x, EncoderState(), 0, sum(pieces))
    assert whole.shape == (1, 2 * sum(pieces), CONFIG.output_size)
    assert_same(torch.cat(encode_in_pieces(encoder, x, pieces, EncoderState()), dim=1), whole)


def test_a_piece_within_a_chunk_is_encoded_as_the_whole_that_ends_with_it(encoder: UpsampleConformer) -> None:
    x = embedded(50)
    state = EncoderState()
    encode_in_pieces(encoder, x, [25], state)
    whole = encode(encoder, x, EncoderState(), 0, 33)
    assert_same(encode(encoder, x, state, 25, 33), whole[:, 50:])


def test_a_piece_not_committed_leaves_no_trace(encoder: UpsampleConformer) -> None:
    x, other = embedded(60), embedded(60)
    expected = encode_in_pieces(encoder, x, [25, 25, 10], EncoderState())
    state = EncoderState()
    for start, stop, encoded in zip((0, 25, 50), (25, 50, 60), expected, strict=True):
        encode(encoder, other, state, start, start + 8)
        encode(encoder, other, state, start, start + 60)
        assert_same(encode(encoder, x, state, start, stop), encoded)
        state.commit(stop - start, 2 * (stop - start))


def test_nothing_is_read_behind_what_is_committed(encoder: UpsampleConformer) -> None:
    x = embedded(75)
    state = EncoderState()
    encode_in_pieces(encoder, x, [25], state)
    expected = encode(encoder, x, state, 25, 50)
    encode(encoder, x, state, 25, 75)
    for past in (state.tokens, state.frames):
        assert past.num_frames > 0
        for buffers in past._attended.values():
            for buffer in buffers:
                buffer[:, :, past.num_frames :] = math.nan
    assert_same(encode(encoder, x, state, 25, 50), expected)


def test_a_chunk_sees_the_lookahead_and_nothing_beyond(encoder: UpsampleConformer) -> None:
    x = embedded(50)
    first = encode(encoder, x, EncoderState(), 0, 50)[:, : 2 * CHUNK]
    x[:, CHUNK + LOOKAHEAD] += 1
    assert torch.equal(encode(encoder, x, EncoderState(), 0, 50)[:, : 2 * CHUNK], first)
    x[:, CHUNK + LOOKAHEAD - 1] += 1
    assert not torch.allclose(encode(encoder, x, EncoderState(), 0, 50)[:, : 2 * CHUNK], first, atol=1e-3)


def test_unless_streaming_the_first_token_sees_the_last(encoder: UpsampleConformer) -> None:
    x = embedded(50)
    first = encoder(x, x[:, :0], EncoderState(), streaming=False)[:, 0]
    x[:, -1] += 1
    assert not torch.allclose(encoder(x, x[:, :0], EncoderState(), streaming=False)[:, 0], first, atol=1e-3)


def test_a_piece_costs_its_own_tokens_only(encoder: UpsampleConformer) -> None:
    x, state, sizes = embedded(50), EncoderState(), []
    encode_in_pieces(encoder, x, [25], state)
    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs: sizes.append(inputs[0].size(1)))
        for layer in [*encoder.encoders, *encoder.up_encoders]
    ]
    encode(encoder, x, state, 25, 45)
    for hook in hooks:
        hook.remove()
    assert sizes == [20, 20, 40, 40, 40, 40]


@pytest.mark.parametrize("block", [None, 4])
@pytest.mark.parametrize(("num_past", "num_new"), [(0, 1), (0, 9), (8, 1), (8, 6), (4, 8)])
def test_attention_scores_each_pair_by_its_distance(num_past: int, num_new: int, block: int | None) -> None:
    attention = RelativeAttention("layer", CONFIG)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    total = num_past + num_new
    x = torch.randn(1, total, CONFIG.output_size)
    visible = torch.ones(total, total, dtype=torch.bool) if block is None else block_mask(0, total, block, x.device)

    past = Past()
    if num_past:
        attention(x[:, :num_past], position_table(0, num_past, x), past, None)
        past.commit(num_past)
    positions = position_table(num_past, num_new, x)
    attended = attention(x[:, num_past:], positions, past, None if block is None else visible[num_past:])

    assert_same(attended[0], attend_by_definition(attention, x[0], visible)[num_past:])


def attend_by_definition(attention: RelativeAttention, x: Tensor, visible: Tensor) -> Tensor:
    """Pair by pair, (T, D) -> (T, D)."""
    heads, size = CONFIG.num_heads, CONFIG.output_size // CONFIG.num_heads
    q, k, v = (p(x).view(len(x), heads, size) for p in (attention.linear_q, attention.linear_k, attention.linear_v))
    rows = []
    for i in range(len(x)):
        scores = torch.full((heads, len(x)), -math.inf)
        for j in range(len(x)):
            if visible[i, j]:
                p = attention.linear_pos(sinusoid(i - j)).view(heads, size)
                by_content = (q[i] + attention.pos_bias_u) * k[j]
                by_distance = (q[i] + attention.pos_bias_v) * p
                scores[:, j] = (by_content + by_distance).sum(-1) / math.sqrt(size)
        rows.append(torch.einsum("hj,jhe->he", scores.softmax(-1), v).flatten())
    out: Tensor = attention.linear_out(torch.stack(rows))
    return out


def sinusoid(distance: int) -> Tensor:
    size = CONFIG.output_size
    angles = [distance / 10_000 ** (2 * m / size) for m in range(size // 2)]
    return torch.tensor([f(angle) for angle in angles for f in (math.sin, math.cos)])
