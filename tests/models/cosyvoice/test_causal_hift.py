"""v3's vocoder, fed whole and in pieces."""

import pytest
import torch
from torch import Tensor, nn

from cosystream.models.cosyvoice.causal_hift import CausalHiFT
from cosystream.models.cosyvoice.tails import Tails
from tests.models.cosyvoice.hifts import (
    CONFIG,
    FRAME,
    assert_alike_in_company,
    random_mel,
    rippling_noise,
    small_causal_hift,
    spoken,
)

LAG = 8
NUM_FRAMES = 40


@pytest.fixture
def hift() -> CausalHiFT:
    return small_causal_hift()


@pytest.fixture
def whole(hift: CausalHiFT) -> Tensor:
    return spoken(hift, hift.begin(0), random_mel(NUM_FRAMES), last=True)


@pytest.mark.parametrize(
    "sizes", [[1] * NUM_FRAMES, [NUM_FRAMES, 0], [0, 3, 2, 30, 5], [16, 16, 8], [5, 1, 1, 33], [NUM_FRAMES - 1, 1]]
)
def test_however_it_is_cut_a_mel_gives_the_samples_of_the_whole(
    hift: CausalHiFT, whole: Tensor, sizes: list[int]
) -> None:
    state, pieces, num_frames = hift.begin(0), [], 0
    for index, mel in enumerate(torch.split(random_mel(NUM_FRAMES), sizes)):
        last = index == len(sizes) - 1
        pieces.append(spoken(hift, state, mel, last=last))
        num_frames += len(mel)
        lag = 0 if last else LAG
        assert sum(map(len, pieces)) == FRAME * max(0, num_frames - lag)
    torch.testing.assert_close(torch.cat(pieces), whole, rtol=0, atol=1e-9)


@pytest.mark.parametrize("num_frames", range(10))
def test_an_utterance_shorter_than_the_lookahead_is_spoken_at_its_end(hift: CausalHiFT, num_frames: int) -> None:
    state, mel = hift.begin(0), random_mel(num_frames)
    early = spoken(hift, state, mel, last=False)
    samples = torch.cat([early, spoken(hift, state, mel[:0], last=True)])
    assert len(samples) == FRAME * num_frames
    assert samples.isfinite().all()
    torch.testing.assert_close(samples, spoken(hift, hift.begin(0), mel, last=True), rtol=0, atol=1e-9)


def test_what_is_spoken_has_a_pitch_and_is_not_clipped(hift: CausalHiFT, whole: Tensor) -> None:
    """Or else the comparisons here would say little."""
    f0 = hift.f0(Tails(), random_mel(NUM_FRAMES)[None], last=True)
    voiced = f0 > CONFIG.voiced_threshold
    assert voiced.any()
    assert not voiced.all()
    assert whole.std() > 0.01
    assert (whole.abs() < CONFIG.audio_limit).float().mean() > 0.9


def test_a_piece_costs_its_own_frames_only(hift: CausalHiFT) -> None:
    num_columns: list[int] = []

    def count(_module: nn.Module, _args: object, output: Tensor) -> None:
        num_columns.append(output.size(1))

    hift.conv_post.register_forward_hook(count)
    state = hift.begin(0)
    for mel in torch.split(random_mel(60), [20, 10, 10, 10, 10]):
        spoken(hift, state, mel, last=False)
    assert num_columns[1:] == [10 * FRAME // CONFIG.hop_length] * 4


def test_two_utterances_at_a_time_do_not_hear_each_other(hift: CausalHiFT, whole: Tensor) -> None:
    states, pieces = [hift.begin(0), hift.begin(0)], list[Tensor]()
    for index, mel in enumerate(torch.split(random_mel(NUM_FRAMES), 10)):
        pieces.append(spoken(hift, states[0], mel, last=index == 3))
        spoken(hift, states[1], -mel, last=index == 3)
    torch.testing.assert_close(torch.cat(pieces), whole, rtol=0, atol=1e-9)


def test_an_utterance_sounds_the_same_among_others_as_alone(hift: CausalHiFT) -> None:
    assert_alike_in_company(hift)


def test_utterances_equally_far_pass_the_networks_together(hift: CausalHiFT) -> None:
    num_rows: list[int] = []
    hift.conv_post.register_forward_hook(lambda _module, _fed, output: num_rows.append(len(output)))
    early, states = hift.begin(0), [hift.begin(0), hift.begin(0)]
    hift.vocode(states, [random_mel(10), random_mel(20)], last=[False, False])
    hift.vocode([*states, early], [random_mel(10)] * 3, last=[False] * 3)
    hift.vocode([*states, early], [random_mel(10)] * 3, last=[True, False, False])
    assert num_rows == [1, 1, 2, 1, 1, 2]


def test_what_fails_leaves_the_utterances_as_they_were(hift: CausalHiFT, whole: Tensor) -> None:
    state, mel = hift.begin(0), random_mel(NUM_FRAMES)
    head = spoken(hift, state, mel[:20], last=False)
    with pytest.raises(RuntimeError):
        spoken(hift, state, mel[20:, :-1], last=True)
    tail = spoken(hift, state, mel[20:], last=True)
    torch.testing.assert_close(torch.cat([head, tail]), whole, rtol=0, atol=1e-9)


def test_quickened_it_sounds_the_same(hift: CausalHiFT, whole: Tensor) -> None:
    hift.quicken()
    torch.testing.assert_close(spoken(hift, hift.begin(0), random_mel(NUM_FRAMES), last=True), whole, rtol=0, atol=1e-9)


def test_the_pitch_is_predicted_in_float64_and_nothing_else_is() -> None:
    with torch.device("meta"):
        hift = CausalHiFT(CONFIG, rippling_noise)
    for name, parameter in hift.named_parameters():
        assert (parameter.dtype == torch.float64) == name.startswith("f0_predictor."), name
