"""Repetition-aware sampling: its distribution, and that nobody's draw depends on anybody else's."""

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import SamplingConfig
from cosystream.models.cosyvoice.sampling import NOTHING, remember, sample
from tests.support.distribution import shares, window

CONFIG = SamplingConfig(top_p=0.8, top_k=25, window_size=10, repetition_ratio=0.1)
ALMOST_ONE = 1 - 2**-24
ANYTHING = torch.tensor(False)


def plain(logits: list[float], decoded: list[int], config: SamplingConfig, forbidden: list[int]) -> list[float]:
    """The distribution, written down one id at a time."""

    def softmax(excluded: list[int]) -> list[float]:
        exps = [
            0.0 if i in excluded else torch.tensor(x, dtype=torch.float64).exp().item() for i, x in enumerate(logits)
        ]
        return [x / sum(exps) for x in exps]

    probabilities = softmax(forbidden)
    nucleus: list[int] = []
    reached = 0.0
    for i in sorted(range(len(logits)), key=lambda i: (-probabilities[i], i)):
        if reached >= config.top_p or len(nucleus) == config.top_k:
            break
        nucleus.append(i)
        reached += probabilities[i]
    total = [0.0] * len(logits)
    for first in nucleus:
        share = probabilities[first] / reached
        if decoded[-config.window_size :].count(first) < config.window_size * config.repetition_ratio:
            total[first] += share
        else:
            total = [t + share * p for t, p in zip(total, softmax([*forbidden, first]), strict=True)]
    return total


@pytest.mark.parametrize("seed", range(6))
def test_each_id_is_drawn_as_often_as_it_should_be(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = (torch.randn(50, generator=random) * (1 + seed)).round(
        decimals=0 if seed % 2 else 4
    )  # ties, in half of them
    config = SamplingConfig(0.8, 25 if seed < 4 else 4, 10, 0.1 if seed < 5 else 0.3)
    decoded = [*torch.randint(50, (8,), generator=random).tolist(), *[int(logits.argmax())] * 3]
    forbidden = torch.zeros(50, dtype=torch.bool)
    forbidden[torch.randint(50, (5,), generator=random)] = True
    expected = plain(logits.tolist(), decoded, config, forbidden.nonzero().flatten().tolist())
    found = shares(logits, decoded, config, forbidden)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-4)
    assert not found[forbidden].any()


def test_of_equally_likely_ids_the_lower_ones_are_in_the_nucleus() -> None:
    logits = torch.zeros(1000, 6761)
    draws = torch.stack([torch.linspace(0, ALMOST_ONE, 1000)] * 2, dim=1)
    found = sample(logits, window([], 10).expand(1000, -1), ANYTHING, draws, CONFIG)
    assert set(found.tolist()) == set(range(CONFIG.top_k))


def rows(num: int, num_ids: int = 6761) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    logits = torch.randn(num, num_ids, generator=random) * torch.linspace(0.1, 6, num)[:, None]
    recent = logits.topk(10).indices  # so that most first draws are repetitions
    recent[::3] = NOTHING
    forbidden = torch.rand(num, num_ids, generator=random) < 0.1
    return logits, recent, forbidden, torch.rand(num, 2, generator=random)


def test_a_sequence_draws_the_same_whoever_its_neighbours_are() -> None:
    logits, recent, forbidden, draws = rows(24)
    together = sample(logits, recent, forbidden, draws, CONFIG)
    for i in range(24):
        one = slice(i, i + 1)
        assert sample(logits[one], recent[one], forbidden[one], draws[one], CONFIG).equal(together[one])
    order = torch.randperm(24)
    assert sample(logits[order], recent[order], forbidden[order], draws[order], CONFIG).equal(together[order])
    assert len(set(together.tolist())) > 12


@pytest.mark.parametrize("draw", [0.0, 0.5, ALMOST_ONE])
@pytest.mark.parametrize("repeats", [False, True])
def test_what_has_no_probability_is_not_drawn_at_the_edges(draw: float, repeats: bool) -> None:
    logits, recent, _, _ = rows(24)
    never = torch.ones(6761, dtype=torch.bool)
    never[100:6000:7] = False
    logits[:, -1] = -200  # allowed, and yet of no weight in float32
    logits[:, 0] = -200
    never[0] = never[-1] = False
    recent = logits.masked_fill(never, -torch.inf).topk(10).indices if repeats else torch.full_like(recent, NOTHING)
    found = sample(logits, recent, never, torch.full((24, 2), draw), CONFIG)
    assert not never[found].any()
    assert (logits.gather(1, found[:, None]) > -200).all()


def test_the_last_draw_reaches_the_least_likely_of_the_nucleus_and_of_all() -> None:
    logits = torch.tensor([[4.0, 3, 2, 1, 0, -1]])
    draws = torch.full((1, 2), ALMOST_ONE)
    assert sample(logits, window([], 10), ANYTHING, draws, CONFIG).tolist() == [1]
    assert sample(logits, window([1], 10), ANYTHING, draws, CONFIG).tolist() == [5]


def test_a_second_draw_is_final() -> None:
    logits = torch.tensor([[4.0, 3, 2, 1, 0, -1]])
    draws = torch.tensor([[ALMOST_ONE, 0.0]])
    assert sample(logits, window([0, 1], 10), ANYTHING, draws, CONFIG).tolist() == [0]


def test_an_id_all_but_certain_is_not_repeated() -> None:
    logits = torch.full((1, 50), -300.0)
    logits[0, 20], logits[0, 30] = 300, 0
    assert sample(logits, window([], 10), ANYTHING, torch.tensor([[0.5, 0.5]]), CONFIG).tolist() == [20]
    assert sample(logits, window([20], 10), ANYTHING, torch.tensor([[0.5, 0.5]]), CONFIG).tolist() == [30]


def test_masks_of_some_rows_leave_the_others_alone() -> None:
    logits, recent, _, draws = rows(8)
    recent = torch.full_like(recent, NOTHING)
    logits[:, 6700] = 50
    ends, early = torch.arange(6761) >= 6561, torch.arange(8) % 2 == 0
    found = sample(logits, recent, ends & early[:, None], draws, CONFIG)
    assert ((found == 6700) == ~early).all()
    assert (found[early] < 6561).all()


def test_the_window_forgets_the_oldest() -> None:
    recent = window([], 3)
    for token in (5, 6, 7, 8):
        recent = remember(recent, torch.tensor([token]))
    assert recent.tolist() == [[6, 7, 8]]
