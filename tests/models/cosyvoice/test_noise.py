"""Noise that is the same however it is asked for."""

from itertools import pairwise

import pytest
import torch

from cosystream.models.cosyvoice.noise import Noise, SeededNoise

CPU = torch.device("cpu")


@pytest.fixture
def noise() -> Noise:
    return SeededNoise(7, num_sines=3, block=10)


@pytest.mark.parametrize("cuts", [[0, 40], [0, 1, 2, 3, 40], [0, 10, 20, 40], [0, 19, 19, 21, 40]])
def test_seeded_noise_is_the_same_however_it_is_cut(noise: Noise, cuts: list[int]) -> None:
    pieces = [noise(start, end - start, CPU) for start, end in pairwise(cuts)]
    assert torch.equal(torch.cat(pieces), noise(0, 40, CPU))


def test_seeded_noise_is_standard_normal_and_repeats_nowhere() -> None:
    long = SeededNoise(0, num_sines=3, block=100)(0, 100_000, CPU)
    assert abs(long.mean()) < 0.01
    assert abs(long.std() - 1) < 0.01
    assert long.flatten().sort().values.diff().count_nonzero() > 0.97 * long.numel()  # float32 has no more values


def test_another_seed_gives_other_noise(noise: Noise) -> None:
    other = SeededNoise(8, num_sines=3, block=10)
    for start in (0, 10):  # nor the same a block later
        assert (noise(10, 1000, CPU) * other(start, 1000, CPU)).mean().abs() < 0.1


def test_seeded_noise_leaves_the_global_generator_alone(noise: Noise) -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    noise(0, 100, CPU)
    assert torch.equal(torch.get_rng_state(), before)
