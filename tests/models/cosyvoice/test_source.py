"""The source of the vocoder: where it hums, where it hisses, and how its phase goes on."""

import math
from dataclasses import replace

import pytest
import torch

from cosystream.models.cosyvoice.source import Source
from tests.models.cosyvoice.hifts import CONFIG, FRAME


@pytest.fixture
def source() -> Source:
    torch.manual_seed(0)
    return Source(CONFIG).requires_grad_(requires_grad=False)


def test_phase_goes_on_where_it_was_left(source: Source) -> None:
    f0 = torch.rand(50, generator=torch.Generator().manual_seed(0)) * 100
    f0 = f0[None]
    whole, end = source.phase(f0, source.silent_cycles(), FRAME)
    head, middle = source.phase(f0[:, :17], source.silent_cycles(), FRAME)
    nothing, same = source.phase(f0[:, :0], middle, FRAME)
    tail, end_of_tail = source.phase(f0[:, 17:], same, FRAME)
    torch.testing.assert_close(torch.cat([head, nothing, tail], dim=1), whole)
    torch.testing.assert_close(end_of_tail, end)


def test_phase_of_a_harmonic_advances_by_its_multiple_of_the_pitch(source: Source) -> None:
    phase, _ = source.phase(torch.full((1, 5), 25.0), source.silent_cycles(), FRAME)
    advance = 2 * math.pi * 25 * FRAME / CONFIG.sample_rate
    torch.testing.assert_close(phase[0].diff(dim=0), torch.tensor([[advance, 2 * advance, 3 * advance]]).expand(4, -1))


def test_it_hums_where_there_is_a_pitch_and_hisses_elsewhere(source: Source) -> None:
    """At the threshold there is none."""
    f0 = torch.tensor([CONFIG.voiced_threshold, CONFIG.voiced_threshold + 0.1])
    quarter, noise = torch.full((2, 3), math.pi / 2), torch.ones(2, 3)
    hiss, hum = source(f0[None], quarter[None], noise[None])[0]
    mixed = source.l_linear
    torch.testing.assert_close(hiss, torch.tanh(mixed(torch.full((3,), CONFIG.nsf_alpha / 3)))[0])
    torch.testing.assert_close(hum, torch.tanh(mixed(torch.full((3,), CONFIG.nsf_alpha + CONFIG.nsf_sigma)))[0])


def test_it_has_a_sine_for_the_fundamental_and_each_harmonic() -> None:
    assert Source(replace(CONFIG, num_harmonics=8)).l_linear.in_features == 9
