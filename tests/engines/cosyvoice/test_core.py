"""Checkpoints speak: in pieces, in turn, as told."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from cosystream.audio import wav
from cosystream.audio.decode import decode
from cosystream.audio.pcm import from_pcm, to_pcm
from cosystream.audio.quality import seam_jumps
from cosystream.engines.cosyvoice.core import CosyVoiceCore
from cosystream.engines.cosyvoice.options import CosyVoiceOptions
from cosystream.errors import CheckpointError, InvalidRequest
from cosystream.models.linear import Precision
from cosystream.runtime.protocol import Failed, Finished, Output, Worked
from cosystream.types import AudioChunk, JobId, Prompt, SynthesisRequest
from tests.engines.cosyvoice.conftest import TINY, tiny
from tests.support.golden import GOLDEN
from tests.support.speaking import listen, samples, signal_to_noise_db, speak

SECOND = 24_000
HELLO = SynthesisRequest("hello world, it is a test", speaker="spk_a", seed=1)


def chunks(core: CosyVoiceCore, request: SynthesisRequest) -> list[AudioChunk]:
    (heard,) = speak(core, request)
    return heard


def test_speech_comes_hop_by_hop_and_is_audible(either: CosyVoiceCore) -> None:
    pieces = chunks(either, HELLO)
    assert len(pieces) > 1
    assert {chunk.num_samples % 480 for chunk in pieces} == {0}
    speech = samples(pieces)
    assert np.sqrt(np.mean(speech**2)) > 0.01
    assert [chunk.sentence for chunk in pieces] == [HELLO.text, *[None] * (len(pieces) - 1)]


@torch.inference_mode()
def spoken_at_once(
    core: CosyVoiceCore, request: SynthesisRequest, tokens: list[int], *, streaming: bool = True
) -> NDArray[np.float32]:
    """``tokens`` solved and vocoded in one piece."""
    model, utterance = core._runner._model, core.prepare(request)
    generator = torch.Generator().manual_seed(utterance.seed)
    torch.rand(utterance.segments[0].length.maximum, 2, generator=generator)
    state = model.vocoder.begin(int(torch.randint(2**31, (), generator=generator)))
    mel = model.flow.whole(utterance.conditions.flow, torch.tensor(tokens), final=True, streaming=streaming)
    (waveform,) = model.vocoder.vocode([state], [mel], last=[True])
    return waveform.numpy()


def chunks_and_tokens(core: CosyVoiceCore, request: SynthesisRequest) -> tuple[list[AudioChunk], list[int]]:
    """What is heard of a request of one segment, and the speech tokens that it is made of."""
    job = JobId(7)
    core.submit(job, core.prepare(request))
    sequence = core._runner.sequence_of(job)
    assert sequence is not None
    return listen(core, [job])[job], sequence.tokens


def test_what_comes_in_pieces_is_what_is_spoken_at_once(v3: CosyVoiceCore, recording: Prompt) -> None:
    waveform = decode(recording.audio, max_seconds=30).waveform
    long = Prompt(wav.encode(to_pcm(np.tile(waveform, 8)), 48_000), " ".join([recording.text or ""] * 60))
    for request in (
        HELLO,
        replace(HELLO, prompt=recording, text=2 * HELLO.text),
        replace(HELLO, prompt=long, text=4 * HELLO.text),  # read and solved in several pieces before there is a token
    ):
        pieces, tokens = chunks_and_tokens(v3, request)
        assert len(pieces) > 1
        whole = spoken_at_once(v3, request, tokens)
        assert whole.size == 960 * len(tokens)
        assert signal_to_noise_db(whole[:SECOND], samples(pieces)[:SECOND]) > 40
        # A rounded pitch moves the phase of all that follows it: samples agree less than what they are made of.
        assert signal_to_noise_db(whole, samples(pieces)) > 20


def test_a_small_first_hop_comes_sooner_and_without_a_click(v3: CosyVoiceCore, recording: Prompt) -> None:
    small = tiny("v3", replace(TINY, first_hop=8))
    for request in (HELLO, replace(HELLO, prompt=recording, text=2 * HELLO.text)):
        (sooner, tokens), (later, same_tokens) = (chunks_and_tokens(core, request) for core in (small, v3))
        assert tokens == same_tokens
        assert sooner[0].num_samples == 480 * (2 * 8 - 8) < later[0].num_samples  # the vocoder is eight frames behind
        assert samples(sooner).shape == samples(later).shape
        jumps = seam_jumps([from_pcm(chunk.pcm) for chunk in sooner])
        assert jumps.at_seams < jumps.inside


def test_the_hundredth_request_s_first_audio_needs_as_many_steps_as_the_first_s(v3: CosyVoiceCore) -> None:
    def steps_until_first_audio() -> int:
        job = JobId(5)
        v3.submit(job, v3.prepare(HELLO))
        for number in range(1000):
            if any(isinstance(output, AudioChunk) for _, output in v3.step()):
                v3.cancel(job)
                return number
        raise AssertionError("no audio")

    first = steps_until_first_audio()
    assert first >= 28  # tokens
    for _ in range(98):
        chunks(v3, replace(HELLO, text="hi"))
    assert steps_until_first_audio() == first


def test_the_same_request_gives_the_same_samples_and_another_seed_others(either: CosyVoiceCore) -> None:
    first, again, other = (samples(chunks(either, replace(HELLO, seed=seed))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.allclose(first, other)


def test_requests_served_together_do_not_disturb_each_other(either: CosyVoiceCore, recording: Prompt) -> None:
    requests = [
        HELLO,
        replace(HELLO, seed=7, speaker="spk_b"),
        replace(HELLO, text="你好，世界。", speed=1.5),
        replace(HELLO, prompt=recording),
        replace(HELLO, prompt=replace(recording, text=None), seed=3),
    ]
    alone = [chunks(either, request) for request in requests]
    left = JobId(9)
    either.submit(left, either.prepare(HELLO))
    for _ in range(15):
        either.step()
    either.cancel(left)  # in the middle of something
    together = speak(either, *requests)
    for mine, heard in zip(alone, together, strict=True):
        assert samples(heard).shape == samples(mine).shape
        assert signal_to_noise_db(samples(mine), samples(heard)) > 60


def test_two_voices_with_the_same_words_never_mix(v3: CosyVoiceCore, recording: Prompt) -> None:
    backwards = decode(recording.audio, max_seconds=30).waveform[::-1]
    other = replace(recording, audio=wav.encode(to_pcm(backwards), 48_000))
    mine, theirs = (replace(HELLO, prompt=prompt) for prompt in (recording, other))
    fresh = tiny("v3", TINY)
    first, second = chunks(fresh, theirs), chunks(v3, mine)  # each in a core that has not met the other voice
    together = speak(v3, mine, theirs, mine, theirs)
    for heard, alone in zip(together, (second, first, second, first), strict=True):
        assert signal_to_noise_db(samples(alone), samples(heard)) > 60
    length = min(samples(first).size, samples(second).size)
    assert signal_to_noise_db(samples(first)[:length], samples(second)[:length]) < 3


def test_without_room_for_all_they_are_spoken_all_the_same(v3: CosyVoiceCore, recording: Prompt) -> None:
    requests = [replace(HELLO, seed=seed, text=3 * HELLO.text, prompt=recording) for seed in range(4)]
    crowded = tiny("v3", replace(TINY, memory_bytes=45_000_000))
    assert crowded.load.pages < 40
    for alone, heard in zip((chunks(v3, request) for request in requests), speak(crowded, *requests), strict=True):
        assert signal_to_noise_db(samples(alone), samples(heard)) > 30
    assert crowded.load.pages_free > crowded.load.pages - 4  # all but the prompt's


def test_who_waits_for_room_is_known_to_be_alive() -> None:
    clock = iter(range(1_000_000))
    crowded = CosyVoiceCore(GOLDEN / "v3" / "model", replace(TINY, max_streams=1), clock=lambda: float(next(clock)))
    for job in (1, 2):
        crowded.submit(JobId(job), crowded.prepare(replace(HELLO, seed=job)))
    outputs = [output for _ in range(20) for output in crowded.step()]
    assert (JobId(2), Worked()) in outputs
    assert not any(job == JobId(2) and isinstance(output, AudioChunk) for job, output in outputs)


def test_what_can_never_be_spoken_with_the_memory_there_is_is_refused_at_once() -> None:
    small = tiny("v3", replace(TINY, memory_bytes=20_000_000))
    with pytest.raises(InvalidRequest, match="text: a sentence of it is too long for the memory there is"):
        small.prepare(replace(HELLO, text=10 * "and so it goes on and on, "))
    assert chunks(small, replace(HELLO, text="hi"))


def test_a_listener_who_leaves_frees_all_that_was_his_at_once(v3: CosyVoiceCore, recording: Prompt) -> None:
    job, request = JobId(3), replace(HELLO, prompt=replace(recording, text=None))
    chunks(v3, request)  # so that the prompt is solved
    before = v3.load.pages_free
    for num_steps in (1, 5, 20, 31, 36, 45):
        v3.submit(job, v3.prepare(request))
        for _ in range(num_steps):
            v3.step()
        v3.cancel(job)
        assert v3.load.pages_free == before
        assert not v3.has_work


def test_noise_is_not_sent_but_computed_again_precisely_and_then_told(v3: CosyVoiceCore, recording: Prompt) -> None:
    request = replace(HELLO, prompt=recording)
    expected = samples(chunks(v3, request))
    v3 = tiny("v3", replace(TINY, precision=Precision.BFLOAT16, lm_precision=Precision.FLOAT32))
    job = JobId(1)
    with torch.inference_mode():
        v3._runner._model.flow._times[4] = torch.nan  # something is broken, but only in what is fast
    v3.submit(job, v3.prepare(request))
    heard = samples(listen(v3, [job])[job])
    assert v3.load.retries == 1
    assert heard.shape == expected.shape
    assert signal_to_noise_db(expected[:SECOND], heard[:SECOND]) > 40
    with torch.inference_mode():
        v3._runner._precise_flow._times[4] = torch.nan
    v3.submit(job, v3.prepare(request))
    outputs = [output for _ in range(5000) if v3.has_work for _, output in v3.step()]
    assert outputs[-1] == Failed("the models computed something that is no number")
    assert not any(isinstance(output, AudioChunk) for output in outputs)


def test_noise_in_the_middle_ends_that_job_and_no_other(recording: Prompt) -> None:
    v3 = tiny("v3", TINY)
    spoilt, other = JobId(1), JobId(2)
    for job in (spoilt, other):
        v3.submit(job, v3.prepare(replace(HELLO, text=3 * HELLO.text, prompt=recording)))
    outputs: dict[JobId, list[Output]] = {spoilt: [], other: []}
    while v3.has_work:
        for job, output in v3.step():
            outputs[job].append(output)
        sequence = v3._runner.sequence_of(spoilt)
        if sequence is not None and any(isinstance(output, AudioChunk) for output in outputs[spoilt]):
            with torch.inference_mode():
                for tail in sequence.vocoder_state.tails.kept.values():
                    tail.fill_(torch.nan)
    assert isinstance(outputs[spoilt][-1], Failed)
    assert isinstance(outputs[other][-1], Finished)


@pytest.mark.parametrize("version", ["v2", "v3"])
@pytest.mark.parametrize(
    "options",
    [
        replace(TINY, final_hop="official", prompt_align="official"),
        replace(TINY, num_steps=4, window_blocks=1),
        replace(TINY, precision=Precision.BFLOAT16, lm_precision=Precision.INT8, first_hop=8),
    ],
    ids=["official", "fewer steps and a window", "low precision"],
)
def test_every_option_speaks(version: str, options: CosyVoiceOptions, recording: Prompt) -> None:
    core = tiny(version, options)
    requests = [replace(HELLO, prompt=recording), replace(HELLO, seed=2)]
    for heard in speak(core, *requests):
        assert np.sqrt(np.mean(samples(heard) ** 2)) > 0.01


def test_the_official_last_hop_is_what_the_reference_computes(recording: Prompt) -> None:
    v3 = tiny("v3", replace(TINY, final_hop="official", prompt_align="official"))
    request = replace(HELLO, text="hi", prompt=recording)  # so short that the first hop is the last
    pieces, tokens = chunks_and_tokens(v3, request)
    whole = spoken_at_once(v3, request, tokens, streaming=False)
    assert signal_to_noise_db(whole, samples(pieces)) > 30


def test_a_long_text_is_spoken_segment_by_segment(v3: CosyVoiceCore) -> None:
    text = "the quick brown fox jumps over the lazy dog and on it goes. " * 4
    spoken = [chunk.sentence for chunk in chunks(v3, replace(HELLO, text=text)) if chunk.sentence]
    assert len(spoken) > 1
    assert "".join(spoken).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_speed_changes_the_duration_while_streaming(either: CosyVoiceCore, speed: float) -> None:
    normal, changed = (samples(chunks(either, replace(HELLO, speed=value))).size for value in (1.0, speed))
    assert changed == 480 * int(normal / 480 / speed)


def test_a_recording_lends_its_voice(either: CosyVoiceCore, recording: Prompt) -> None:
    with_words = replace(HELLO, speaker=None, prompt=recording)
    without = replace(with_words, prompt=replace(recording, text=None))
    ours, cross_lingual, plain = (samples(chunks(either, request)) for request in (with_words, without, HELLO))
    assert ours.shape != cross_lingual.shape or not np.allclose(ours, cross_lingual)
    assert ours.shape != plain.shape or not np.allclose(ours, plain)


@pytest.mark.parametrize("text", ["", "   ", "。。。！", "<|endofprompt|>", "a prompt and no words<|endofprompt|>"])
def test_a_text_without_words_is_refused(either: CosyVoiceCore, text: str) -> None:
    with pytest.raises(InvalidRequest, match="text: there is nothing to say"):
        either.prepare(replace(HELLO, text=text))


def test_a_recording_that_is_none_is_refused(either: CosyVoiceCore) -> None:
    with pytest.raises(InvalidRequest, match="prompt_wav"):
        either.prepare(replace(HELLO, prompt=Prompt(b"RIFF....")))


def test_it_says_what_it_can(either: CosyVoiceCore) -> None:
    info = either.info
    assert (info.name, info.model, info.sample_rate) == ("cosyvoice", "model", 24_000)
    assert info.can_clone
    assert info.can_instruct
    assert info.speakers == ("spk_a", "spk_b", "中文女", "中文男")
    assert info.default_speaker == "中文女"
    assert "中文女 is spk_a" in info.voices_note
    assert "中文男 is spk_b" in info.voices_note


def without_saved_voices(folder: Path) -> Path:
    shutil.copytree(GOLDEN / "v3" / "model", folder / "model", ignore=shutil.ignore_patterns("spk2info.pt"))
    return folder / "model"


def test_recordings_become_voices_and_what_is_none_is_told(tmp_path: Path, recording: Prompt) -> None:
    voices = tmp_path / "voices"
    voices.mkdir()
    (voices / "ann.wav").write_bytes(recording.audio)
    (voices / "ann.txt").write_text("hello world")
    (voices / "bob.wav").write_bytes(b"RIFF")
    model = without_saved_voices(tmp_path)
    core = CosyVoiceCore(model, replace(TINY, voices_dir=voices, cache_dir=tmp_path))
    assert core.info.speakers == ("ann", "中文女", "中文男")
    assert "bob.wav: is damaged" in core.info.voices_note
    assert chunks(core, replace(HELLO, speaker="ann"))


def test_without_any_voice_the_embedded_one_lends_its_own(tmp_path: Path) -> None:
    model = without_saved_voices(tmp_path)
    options = replace(TINY, voices_dir=tmp_path / "absent", cache_dir=tmp_path, may_borrow=True)
    borrower = CosyVoiceCore(model, options)
    assert borrower.info.speakers == ("中文女", "中文男")
    assert borrower.info.voices_note == "中文女 and 中文男 are learnt from the embedded voice"
    (tmp_path / "file").write_bytes(b"")
    nobody = CosyVoiceCore(model, replace(options, cache_dir=tmp_path / "file"))
    assert nobody.info.speakers == ()
    assert "the embedded voice could not be recorded: " in nobody.info.voices_note
    assert "put recordings into" in nobody.info.voices_note


def test_a_tokenizer_with_more_tokens_than_the_model_embeds_is_refused(tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(GOLDEN / "v2" / "model", model)
    vocabulary, config = (model / "CosyVoice-BlankEN" / name for name in ("vocab.json", "tokenizer_config.json"))
    tokens, settings = (json.loads(path.read_text("utf-8")) for path in (vocabulary, config))
    added = settings["added_tokens_decoder"]
    settings["added_tokens_decoder"] = {int(number) + 1000: token for number, token in added.items()}
    vocabulary.write_text(json.dumps(tokens | {f"more{n}": len(tokens) + n for n in range(1000)}), "utf-8")
    config.write_text(json.dumps(settings), "utf-8")
    with pytest.raises(CheckpointError, match=r"the tokenizer has 1529 tokens, but llm\.pt embeds 896"):
        CosyVoiceCore(model, replace(TINY, voices_dir=tmp_path))
