"""v2's vocoder, fed whole and in pieces, and the seams between them."""

import pytest
import torch
from torch import Tensor, nn

from cosystream.models.cosyvoice.hift import OVERLAP_FRAMES, HiFT
from tests.models.cosyvoice.hifts import (
    CONFIG,
    FRAME,
    assert_alike_in_company,
    random_mel,
    rippling_noise,
    small_hift,
    spoken,
)


@pytest.fixture
def hift() -> HiFT:
    return small_hift()


def stream(hift: HiFT, mel: Tensor, sizes: list[int], *, seed: int = 0) -> Tensor:
    state = hift.begin(seed)
    lasts = [False] * (len(sizes) - 1) + [True]
    pieces = zip(torch.split(mel, sizes), lasts, strict=True)
    return torch.cat([spoken(hift, state, piece, last=last) for piece, last in pieces])


@pytest.mark.parametrize("sizes", [[40], [20, 20], [16, 8, 16], [0, 5, 35], [1] * 40, [39, 1], [40, 0]])
def test_pieces_have_as_many_samples_as_the_whole(hift: HiFT, sizes: list[int]) -> None:
    samples = stream(hift, random_mel(40), sizes)
    assert len(samples) == 40 * FRAME
    assert samples.isfinite().all()


@pytest.mark.parametrize("num_frames", range(1, 20))
def test_an_utterance_of_any_length_in_one_piece_is_the_whole(hift: HiFT, num_frames: int) -> None:
    mel = random_mel(num_frames)
    whole = spoken(hift, hift.begin(0), mel, last=True)
    assert len(whole) == num_frames * FRAME
    state = hift.begin(0)
    torch.testing.assert_close(spoken(hift, state, mel, last=True), whole, rtol=0, atol=0)


def test_an_utterance_without_frames_has_no_samples(hift: HiFT) -> None:
    assert len(spoken(hift, hift.begin(0), random_mel(0), last=True)) == 0


def test_samples_come_eight_frames_behind_the_mel(hift: HiFT) -> None:
    state, num_samples = hift.begin(0), 0
    for num_frames, mel in zip((16, 24, 48), torch.split(random_mel(48), [16, 8, 24]), strict=True):
        num_samples += len(spoken(hift, state, mel, last=False))
        assert num_samples == FRAME * (num_frames - OVERLAP_FRAMES)


def test_away_from_the_seams_pieces_say_what_the_whole_says(hift: HiFT) -> None:
    hum(hift)
    mel = random_mel(100)
    whole, pieces = spoken(hift, hift.begin(0), mel, last=True), stream(hift, mel, [50, 50])
    seam = slice((50 - 25) * FRAME, (50 + 20) * FRAME)
    error = (whole - pieces).abs()
    assert error[seam].max() > 1e-3
    error[seam] = 0
    assert error.max() < 1e-4


def test_the_same_seed_gives_the_same_samples_and_another_gives_others(hift: HiFT) -> None:
    mel = random_mel(40)
    first, again, other = (stream(hift, mel, [20, 20], seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("official", [False, True])
def test_the_phase_of_the_source_goes_on_over_a_seam_unless_it_is_to_jump(*, official: bool) -> None:
    """Of a steady tone it can be seen: its pieces are the whole, the very end aside, where there is no next frame."""
    hift = small_hift(official_seams=official)
    hum(hift)
    half = FRAME // 2  # which the end of a piece knows less about
    mel, state, source = random_mel(90), hift.begin(0), torch.zeros(0)
    state.noise = rippling_noise
    for piece in torch.split(mel, 30):
        state.mel = torch.cat([state.mel, piece])
        excitation = hift.excite([state])
        excited = excitation.source[0]
        num_known = max(0, len(source) - half)
        source = torch.cat([source[:num_known], excited[len(excited) - FRAME * 30 - half * (num_known > 0) :]])
        hift.render([state], excitation, last=False)
    whole = hift.begin(0)
    whole.noise, whole.mel = rippling_noise, mel
    error = (source - hift.excite([whole]).source[0]).abs().max()
    assert (error < 1e-5) != official


@pytest.mark.parametrize("official", [False, True])
def test_an_utterance_sounds_the_same_among_others_as_alone(*, official: bool) -> None:
    assert_alike_in_company(small_hift(official_seams=official))


def hum(hift: HiFT) -> None:
    """Make the pitch the same whatever the mel."""
    nn.init.zeros_(hift.f0_predictor.classifier.weight)
    nn.init.constant_(hift.f0_predictor.classifier.bias, 3.3 * CONFIG.voiced_threshold)
