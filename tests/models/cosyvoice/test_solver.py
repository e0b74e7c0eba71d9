"""Steps, guidance and noise of the solver."""

import math

import pytest
import torch

from cosystream.models.cosyvoice.solver import MAX_FRAMES, NUM_MELS, NUM_STEPS, cosine_schedule, guide, noise

CPU = torch.device("cpu")


@pytest.mark.parametrize("num_steps", [1, 4, NUM_STEPS])
def test_the_steps_lead_from_0_to_1_and_grow(num_steps: int) -> None:
    schedule = cosine_schedule(num_steps)
    assert len(schedule.times) == len(schedule.widths) == num_steps
    assert schedule.times[0] == 0
    assert schedule.times[-1] + schedule.widths[-1] == pytest.approx(1)
    assert list(schedule.widths) == sorted(schedule.widths)


def test_the_times_are_a_cosine_s() -> None:
    assert cosine_schedule().times[5] == pytest.approx(1 - math.cos(math.pi / 4))


def test_guidance_leads_away_from_what_comes_without_a_condition() -> None:
    velocity = torch.tensor([[[3.0]], [[2.0]], [[-1.0]], [[4.0]]])
    assert guide(velocity, 0.7).flatten().tolist() == pytest.approx([1.7 * 3 - 0.7 * 2, 1.7 * -1 - 0.7 * 4])


def test_noise_is_the_frame_s_own_however_it_is_asked_for() -> None:
    together = noise(100, 160, CPU)
    assert together.shape == (1, 60, NUM_MELS)
    assert torch.equal(torch.cat([noise(100, 113, CPU), noise(113, 160, CPU)], dim=1), together)


def test_noise_is_what_seed_0_gives() -> None:
    expected = torch.tensor([-1.1258398, -1.1523602, -0.2505786, -0.4338788])
    torch.testing.assert_close(noise(0, 4, CPU)[0, :, 0], expected)
    assert noise(0, MAX_FRAMES, CPU).double().sum().item() == pytest.approx(-1291.2014, abs=1e-3)


def test_more_frames_than_there_is_noise_for_are_refused() -> None:
    with pytest.raises(ValueError, match="15001 mel frames"):
        noise(MAX_FRAMES - 10, MAX_FRAMES + 1, CPU)
