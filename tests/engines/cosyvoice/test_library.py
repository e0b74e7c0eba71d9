"""Voices of a checkpoint come and go, and are the same after a restart."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from cosystream.audio import wav
from cosystream.audio.decode import decode
from cosystream.audio.pcm import to_pcm
from cosystream.engines.cosyvoice.core import CosyVoiceCore
from cosystream.engines.cosyvoice.options import CosyVoiceOptions
from cosystream.errors import InvalidRequest, NotKept, TooManyVoices, UnknownVoice, VoiceExists
from cosystream.runtime.resolving import resolve
from cosystream.types import JobId, Prompt, SynthesisRequest
from tests.engines.cosyvoice.conftest import TINY, tiny
from tests.support.golden import GOLDEN
from tests.support.speaking import listen, samples, speak

HELLO = SynthesisRequest("hello world, it is a test", speaker="ann", seed=1)
RATE = 24_000


def voice_like(seed: int, seconds: float = 2.0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return (0.1 * noise).astype(np.float32)


def prompt(seed: int = 0, text: str | None = "hello world", seconds: float = 2.0) -> Prompt:
    return Prompt(wav.encode(to_pcm(voice_like(seed, seconds)), RATE), text)


@pytest.fixture(name="options")
def _options(tmp_path: Path) -> CosyVoiceOptions:
    return replace(TINY, voices_dir=tmp_path / "voices", cache_dir=tmp_path / "cache")


@pytest.fixture(name="core")
def _core(options: CosyVoiceOptions) -> CosyVoiceCore:
    return tiny("v3", options)


def spoken(core: CosyVoiceCore, request: SynthesisRequest = HELLO) -> bytes:
    (chunks,) = speak(core, request)
    return b"".join(chunk.pcm for chunk in chunks)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def test_a_voice_is_learnt_spoken_with_found_again_and_forgotten(
    core: CosyVoiceCore, options: CosyVoiceOptions
) -> None:
    learnt = core.library.add("ann", prompt())
    assert (learnt.name, learnt.languages, learnt.kind) == ("ann", ("en",), "cloned")
    assert learnt in core.info.voices
    with_the_request = replace(HELLO, speaker=None, prompt=prompt())
    pcm = spoken(core)
    assert pcm == spoken(core, with_the_request)
    assert core.library.sample("ann") == prompt().audio
    again = tiny("v3", options)
    assert again.info == core.info
    assert spoken(again) == pcm
    again.library.remove("ann")
    with pytest.raises(UnknownVoice, match="no voice 'ann'; there are spk_a, spk_b"):
        again.prepare(HELLO)
    with pytest.raises(UnknownVoice, match="no voice 'ann'; there are spk_a, spk_b"):
        again.library.remove("ann")
    assert files(options.voices_dir) == files(options.cache_dir / "prompts") == set()
    assert tiny("v3", options).info.speakers == ("spk_a", "spk_b", "中文女", "中文男")


def test_a_restart_believes_what_was_computed_before(core: CosyVoiceCore, options: CosyVoiceOptions) -> None:
    core.library.add("ann", prompt())
    (ann,) = (options.cache_dir / "prompts").iterdir()
    core.library.add("bob", prompt(seed=1))
    (bob,) = set((options.cache_dir / "prompts").iterdir()) - {ann}
    shutil.copy(bob, ann)
    assert spoken(tiny("v3", options)) == spoken(core, replace(HELLO, speaker="bob")) != spoken(core)


def test_two_voices_with_the_same_words_never_mix(core: CosyVoiceCore, options: CosyVoiceOptions) -> None:
    for number, name in enumerate(["ann", "bob"]):
        core.library.add(name, prompt(seed=number))
    ann, bob = spoken(core), spoken(core, replace(HELLO, speaker="bob"))
    assert ann != bob
    again = tiny("v3", options)
    assert [spoken(again), spoken(again, replace(HELLO, speaker="bob"))] == [ann, bob]
    again.library.remove("ann")
    assert spoken(again, replace(HELLO, speaker="bob")) == bob


def test_who_speaks_with_a_voice_goes_on_when_it_is_removed(core: CosyVoiceCore) -> None:
    core.library.add("ann", prompt())
    alone = spoken(core)
    prepared = core.prepare(HELLO)
    core.submit(JobId(1), core.prepare(HELLO))
    core.step()
    core.library.remove("ann")
    core.submit(JobId(2), prepared)  # it was chosen while it was there
    for chunks in listen(core, [JobId(1), JobId(2)]).values():
        assert samples(chunks).size == len(alone) // 2


def test_a_request_that_brings_its_voice_is_spoken_by_it_whoever_has_its_name(
    core: CosyVoiceCore, options: CosyVoiceOptions
) -> None:
    core.library.add("ann", prompt())
    alone, resolved = spoken(core), resolve(HELLO, core.info)
    core.library.remove("ann")
    assert spoken(core, resolved) == alone
    core.library.add("ann", prompt(seed=1))
    assert spoken(core, resolved) == alone != spoken(core)
    assert spoken(tiny("v3", options), resolved) == alone  # as after the death of the engine


def test_a_name_that_is_missed_may_be_taken_and_falls_back_to_its_stand_in(
    core: CosyVoiceCore, options: CosyVoiceOptions
) -> None:
    core.library.add("中文女", prompt())
    kinds = {voice.name: voice.kind for voice in core.info.voices}
    assert kinds == {"spk_a": "checkpoint", "spk_b": "checkpoint", "中文女": "cloned", "中文男": "preset"}
    assert core.info.voices_note == "中文男 is spk_a: nobody of that name is installed"
    assert tiny("v3", options).info == core.info
    with pytest.raises(VoiceExists, match="there is a cloned voice '中文女' already"):
        core.library.add("中文女", prompt())
    core.library.remove("中文女")
    assert {voice.name: voice.kind for voice in core.info.voices}["中文女"] == "preset"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("spk_a", "'spk_a' is a checkpoint voice; only cloned ones can be deleted"),
        ("中文女", "'中文女' is a preset voice; only cloned ones can be deleted"),
    ],
)
def test_what_was_not_learnt_stays(core: CosyVoiceCore, name: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        core.library.remove(name)
    with pytest.raises(UnknownVoice, match="of which there is no recording"):
        core.library.sample(name)


def test_a_checkpoint_s_own_name_cannot_be_taken(core: CosyVoiceCore, options: CosyVoiceOptions) -> None:
    with pytest.raises(VoiceExists, match="there is a checkpoint voice 'spk_a' already"):
        core.library.add("spk_a", prompt())
    assert files(options.voices_dir) == set()


def flac(audio: NDArray[np.float32], path: Path) -> bytes:
    soundfile.write(path, audio, 48_000, format="FLAC")
    return path.read_bytes()


def test_whatever_was_sent_a_plain_wav_is_kept_and_given_out(
    core: CosyVoiceCore, options: CosyVoiceOptions, tmp_path: Path
) -> None:
    stereo = np.stack([voice_like(1, 4), voice_like(1, 4)], axis=1)
    core.library.add("ann", Prompt(flac(stereo, tmp_path / "x.flac"), "  hello \n"))
    sample = core.library.sample("ann")
    assert (options.voices_dir / "ann.wav").read_bytes() == sample
    assert (options.voices_dir / "ann.txt").read_text("utf-8") == "hello"
    kept = decode(sample, max_seconds=30)
    assert (kept.sample_rate, kept.waveform.size, sample[:4]) == (48_000, 4 * RATE, b"RIFF")
    np.testing.assert_allclose(kept.waveform, stereo[:, 0], atol=1e-4)


def test_recordings_put_there_by_hand_are_given_out_and_deleted_like_others(
    options: CosyVoiceOptions, tmp_path: Path
) -> None:
    options.voices_dir.mkdir()
    (options.voices_dir / "my voice (1).flac").write_bytes(flac(voice_like(1, 4), tmp_path / "x.flac"))
    core = tiny("v3", options)
    assert core.library.sample("my voice (1)")[:4] == b"RIFF"
    core.library.remove("my voice (1)")
    assert files(options.voices_dir) == set()


def test_a_stand_in_s_sample_is_of_whom_it_stands_for(options: CosyVoiceOptions, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(GOLDEN / "v3" / "model", model, ignore=shutil.ignore_patterns("spk2info.pt"))
    core = CosyVoiceCore(model, options)
    assert list(core.info.speakers) == []
    core.library.add("ann", prompt())
    assert core.info.speakers == ("ann", "中文女", "中文男")
    assert core.library.sample("中文女") == core.library.sample("ann")
    core.library.remove("ann")
    assert list(core.info.speakers) == []
    assert "put recordings into" in core.info.voices_note


def test_the_embedded_voice_that_lends_itself_still_does_when_others_have_come(
    options: CosyVoiceOptions, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(GOLDEN / "v3" / "model", model, ignore=shutil.ignore_patterns("spk2info.pt"))
    options = replace(options, may_borrow=True)
    core = CosyVoiceCore(model, options, clock=lambda: 0.0)
    woman = spoken(core, replace(HELLO, speaker="中文女"))
    core.library.add("ann", prompt())
    core.library.add("中文男", prompt(seed=1))
    assert core.info.speakers == ("中文女", "中文男", "ann")
    assert core.info.voices_note == "中文女 is learnt from the embedded voice"
    again = CosyVoiceCore(model, options, clock=lambda: 0.0)
    assert again.info == core.info
    assert spoken(again, replace(HELLO, speaker="中文女")) == woman
    assert again.library.sample("中文女")[:4] == b"RIFF"
    with pytest.raises(InvalidRequest, match="is a preset voice"):
        again.library.remove("中文女")


def loud(waveform: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.sign(waveform).astype(np.float32)


@pytest.mark.parametrize(
    ("recording", "said"),
    [
        (b"RIFF....", "is damaged or not an audio file"),
        (b"\x7fELF" * 1000, "is damaged or not an audio file"),
        (wav.encode(b"", RATE), "holds no sound"),
        (prompt(seconds=0.99).audio, "is 0.99 seconds long, and 1 is the least"),
        (prompt(seconds=30.01).audio, "is longer than 30 seconds"),
        (wav.encode(bytes(2 * 2 * RATE), RATE), "is silent"),
        (wav.encode(to_pcm(loud(voice_like(0))), RATE), "is overdriven"),
        (wav.encode(to_pcm(voice_like(0)), 8_000), "is sampled at 8000 Hz"),
    ],
)
def test_what_no_voice_can_be_learnt_from_is_refused_and_leaves_nothing(
    core: CosyVoiceCore, options: CosyVoiceOptions, recording: bytes, said: str
) -> None:
    before = core.info
    with pytest.raises(InvalidRequest, match=f"^prompt_wav: {said}"):
        core.library.add("ann", Prompt(recording, "hello"))
    assert core.info is before
    assert files(options.voices_dir) == files(options.cache_dir / "prompts") == set()


def test_there_are_no_more_voices_than_there_may_be(options: CosyVoiceOptions) -> None:
    core = tiny("v3", replace(options, max_voices=1))
    core.library.add("ann", prompt())
    with pytest.raises(TooManyVoices, match=r"1 voices .* no more than 1 may be \(max_voices\)"):
        core.library.add("bob", prompt())
    core.library.remove("ann")
    core.library.add("bob", prompt())


def test_of_two_who_bring_one_name_at_once_one_has_it(core: CosyVoiceCore, options: CosyVoiceOptions) -> None:
    def add(seed: int) -> bool:
        try:
            core.library.add("ann", prompt(seed=seed))
        except VoiceExists:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        added = list(pool.map(add, range(4)))
    assert added.count(True) == 1
    assert core.library.sample("ann") == prompt(seed=added.index(True)).audio
    assert files(options.voices_dir) == {"ann.wav", "ann.txt"}


def unwritable(folder: Path) -> None:
    folder.write_bytes(b"a file")


def taken_by_a_file_that_is_none(folder: Path) -> None:
    folder.mkdir()
    (folder / "ann.txt").mkdir()


@pytest.mark.parametrize("spoil", [unwritable, taken_by_a_file_that_is_none])
def test_what_cannot_be_kept_is_no_voice(options: CosyVoiceOptions, spoil: Callable[[Path], None]) -> None:
    spoil(options.voices_dir)
    core = tiny("v3", options)
    with pytest.raises(NotKept, match="voices_dir"):
        core.library.add("ann", prompt())
    assert "ann" not in core.info.speakers
    assert files(options.cache_dir / "prompts") == set()


def test_without_a_cache_a_voice_is_learnt_all_the_same(options: CosyVoiceOptions) -> None:
    options.cache_dir.write_bytes(b"a file")
    core = tiny("v3", options)
    core.library.add("ann", prompt())
    assert spoken(core) == spoken(tiny("v3", options))
    core.library.remove("ann")


def test_a_recording_that_somebody_has_removed_is_gone_and_can_be_forgotten(
    core: CosyVoiceCore, options: CosyVoiceOptions
) -> None:
    core.library.add("ann", prompt())
    (options.voices_dir / "ann.wav").unlink()
    with pytest.raises(UnknownVoice, match="the recording of 'ann' is gone"):
        core.library.sample("ann")
    core.library.remove("ann")
    assert "ann" not in core.info.speakers
