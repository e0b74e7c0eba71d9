"""Both vocoders, from mel to samples, against the reference implementation's."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.causal_hift import CausalHiFT
from cosystream.models.cosyvoice.crossfade import crossfade, fade_window
from cosystream.models.cosyvoice.hift import HAMMING, HiFT
from cosystream.models.cosyvoice.noise import GROWTH, FixedNoise
from cosystream.models.cosyvoice.tails import Tails
from cosystream.models.cosyvoice.vocoder import Vocoder, create_vocoder
from cosystream.models.weights import load_strict
from tests.parity.conftest import Golden
from tests.parity.vocoders import assert_heard_alike, official_hift, recorded_causal_hift, spoken

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def hift(v2: Golden) -> HiFT:
    return official_hift(v2)


@pytest.fixture(scope="module")
def causal(v3: Golden) -> CausalHiFT:
    return recorded_causal_hift(v3)


def test_a_checkpoint_s_vocoder_speaks(either: Golden) -> None:
    with torch.device("meta"):
        vocoder = create_vocoder(either.config)
    load_strict(vocoder, either.weights("hift"), "hift.pt")
    mel = either.tensors("hift")["mel"][0].T
    speaking: Vocoder[Any] = vocoder
    wave = spoken(speaking, speaking.begin(0), mel, last=True)
    assert len(wave) == len(mel) * either.config.mel.hop_length
    loudness = either.json("meta")["hift_rms"]
    assert loudness / 2 < wave.square().mean().sqrt() < 2 * loudness  # with noise of its own


def test_v3_draws_the_noise_that_the_reference_drew(v3: Golden) -> None:
    """Which was rounded to half precision as it was recorded."""
    recorded = v3.tensors("hift")["sine_noise"][0]
    assert torch.equal(FixedNoise(v3.config)(0, len(recorded), recorded.device).half().float(), recorded)


def test_v3_draws_the_noise_of_the_published_checkpoint(v3: Golden) -> None:
    flow = replace(v3.config.flow, vocab_size=6561, input_size=80, spk_embed_dim=192, output_size=80)
    hift = replace(v3.config.hift, in_channels=80, f0_channels=512, num_harmonics=8)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    noise = FixedNoise(replace(v3.config, flow=flow, hift=hift))
    late = noise(2 * GROWTH - 5, 10, CPU)
    first = [0.922826, 0.47744751, 0.82705182, 0.28345716, 0.79348159, 0.17343479, 0.8523751, 0.9228546, 0.73101997]
    torch.testing.assert_close(noise(0, 1, CPU)[0], torch.tensor(first), rtol=0, atol=1e-6)
    assert torch.equal(torch.get_rng_state(), before)
    piecewise = FixedNoise(replace(v3.config, flow=flow, hift=hift))
    pieces = [piecewise(start, GROWTH // 2, CPU) for start in range(0, 3 * GROWTH, GROWTH // 2)]
    assert torch.equal(torch.cat(pieces)[2 * GROWTH - 5 :][:10], late)


def test_a_fade_is_the_reference_s(cases: Callable[[str], Any]) -> None:
    case = cases("crossfade_case")
    window = fade_window(len(case["window"]) // 2, HAMMING)
    torch.testing.assert_close(window, torch.tensor(case["window"]))
    faded = crossfade(torch.tensor(case["fade_in"][0]), torch.tensor(case["fade_out"][0]), window)
    torch.testing.assert_close(faded, torch.tensor(case["result"][0]))


def test_v2_hears_the_pitch_that_the_reference_hears(hift: HiFT, v2: Golden) -> None:
    golden = v2.tensors("hift")
    torch.testing.assert_close(hift.f0(golden["mel"][0].T), golden["f0"][0], rtol=0, atol=1e-2)


@pytest.mark.parametrize(("suffix", "kept"), [("", None), ("_b", "cache_source")])
def test_v2_excites_and_speaks_as_the_reference_does(hift: HiFT, v2: Golden, suffix: str, kept: str | None) -> None:
    golden = v2.tensors("hift")
    mel, noise = golden[f"mel{suffix}"][0].T, golden[f"sine_noise{suffix}"][0]
    source = hift.source(hift.f0(mel)[None], noise[None], hift.m_source.silent_cycles()).source[0]
    if kept:
        source = torch.cat([golden[kept][0, 0], source[golden[kept].size(-1) :]])
    recorded = golden[f"source{suffix}"][0, 0]
    assert_heard_alike(source, recorded)
    torch.testing.assert_close(hift.decode(mel[None], recorded[None])[0], golden[f"wav{suffix}"][0], rtol=0, atol=5e-4)
    assert_heard_alike(hift.decode(mel[None], source[None])[0], golden[f"wav{suffix}"][0])


def test_v2_sums_phase_as_the_reference_does(hift: HiFT, v2: Golden) -> None:
    golden = v2.tensors("hift")
    excitation = hift.source(golden["f0"], golden["sine_noise"], hift.m_source.silent_cycles())
    torch.testing.assert_close(excitation.source[0], golden["source"][0, 0], rtol=0, atol=5e-4)


def test_v2_spectrum_of_the_source_is_the_reference_s(hift: HiFT, v2: Golden) -> None:
    golden = v2.tensors("hift")
    assert_recorded_spectrum(hift.source_spectrum(golden["source"][0]).mT, golden)


def test_v3_spectrum_of_the_source_is_the_reference_s(causal: CausalHiFT, v3: Golden) -> None:
    golden = v3.tensors("hift")
    source, tails = golden["source_final"][0], Tails()
    analysis, _ = causal.transforms()
    analysis.feed(tails, source, last=True)
    assert_recorded_spectrum(analysis.take(tails, source.size(1) // causal.config.hop_length + 1).mT, golden)


def assert_recorded_spectrum(spectrum: Tensor, golden: dict[str, Tensor]) -> None:
    recorded = [torch.cat([golden[f"stft_real_{end}"], golden[f"stft_imag_{end}"]], dim=1) for end in ("head", "tail")]
    head, tail = (r.size(-1) for r in recorded)
    torch.testing.assert_close(spectrum[..., :head], recorded[0], rtol=0, atol=5e-4)
    torch.testing.assert_close(spectrum[..., -tail:], recorded[1], rtol=0, atol=5e-4)


@pytest.mark.parametrize("last", [True, False])
def test_v3_hears_excites_and_speaks_as_the_reference_does(causal: CausalHiFT, v3: Golden, *, last: bool) -> None:
    golden, suffix = v3.tensors("hift"), "final" if last else "partial"
    mel, source, wave = golden["mel"].mT, golden[f"source_{suffix}"][0], golden[f"wav_{suffix}"][0]
    f0 = causal.f0(Tails(), mel, last=last)
    torch.testing.assert_close(f0, golden[f"f0_{suffix}"], rtol=0, atol=1e-2)
    excited = causal.excite(Tails(), mel, [0], last=last)  # by a pitch in float64, so as if it were given
    torch.testing.assert_close(excited, source, rtol=0, atol=5e-4)
    rendered = causal.render(Tails(), mel, source, last=last)
    torch.testing.assert_close(rendered[0], wave, rtol=0, atol=5e-4)
    assert_heard_alike(spoken(causal, causal.begin(0), mel[0], last=last), wave)


def test_v3_speaks_as_far_as_the_reference_at_every_recorded_cut(causal: CausalHiFT, v3: Golden) -> None:
    golden, state, pieces = v3.tensors("hift"), causal.begin(0), list[Tensor]()
    mel, prefix = golden["mel"][0].T, "wav_partial_"
    cuts = [0, *sorted(int(name.removeprefix(prefix)) for name in golden if name.startswith(prefix))]
    for start, end in pairwise(cuts):
        pieces.append(spoken(causal, state, mel[start:end], last=False))
        assert_heard_alike(torch.cat(pieces), golden[f"{prefix}{end}"][0])
    pieces.append(spoken(causal, state, mel[cuts[-1] :], last=True))
    assert_heard_alike(torch.cat(pieces), golden["wav_final"][0])


def test_many_utterances_of_a_checkpoint_sound_as_each_does_alone(either: Golden) -> None:
    """As nearly as float32 allows, which these networks make more of: in float64 it is exact, see the unit tests."""
    with torch.device("meta"):
        vocoder = create_vocoder(either.config)
    load_strict(vocoder, either.weights("hift"), "hift.pt")
    vocoder.quicken()
    speaking: Vocoder[Any] = vocoder
    mel = either.tensors("hift")["mel"][0].T
    cuts = [(20, 60), (20, 60), (40, 60), (20, 50)]
    together = [speaking.begin(seed) for seed in range(len(cuts))]
    heads = speaking.vocode(together, [mel[:cut] for cut, _ in cuts], last=[False] * len(cuts))
    tails = speaking.vocode(together, [mel[cut:end] for cut, end in cuts], last=[True] * len(cuts))
    for seed, (cut, end) in enumerate(cuts):
        alone = speaking.begin(seed)
        head = spoken(speaking, alone, mel[:cut], last=False)
        tail = spoken(speaking, alone, mel[cut:end], last=True)
        for there, here in ((heads[seed], head), (tails[seed], tail)):
            assert (there - here).norm() <= 2e-5 * here.norm()
