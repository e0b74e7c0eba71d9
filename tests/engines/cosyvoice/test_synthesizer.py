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
from cosystream.engines.cosyvoice.sequence import Sequence
from cosystream.engines.cosyvoice.synthesizer import CosyVoiceSynthesizer
from cosystream.engines.cosyvoice.utterance import Utterance
from cosystream.errors import CheckpointError, InvalidRequest
from cosystream.runtime.interleave import InterleavedCore
from cosystream.runtime.protocol import Finished, Worked
from cosystream.types import AudioChunk, JobId, Prompt, SynthesisRequest
from tests.support.golden import GOLDEN

HELLO = SynthesisRequest("hello world, it is a test", speaker="spk_a", seed=1)


def chunks(synthesizer: CosyVoiceSynthesizer, request: SynthesisRequest) -> list[AudioChunk]:
    return [chunk for chunk in synthesizer.synthesize(synthesizer.prepare(request)) if chunk is not None]


def samples(pieces: list[AudioChunk]) -> NDArray[np.float32]:
    return from_pcm(b"".join(chunk.pcm for chunk in pieces))


def steps_until_first_audio(synthesizer: CosyVoiceSynthesizer, request: SynthesisRequest) -> int:
    return next(
        number for number, chunk in enumerate(synthesizer.synthesize(synthesizer.prepare(request))) if chunk is not None
    )


def test_speech_comes_hop_by_hop_and_is_audible(either: CosyVoiceSynthesizer) -> None:
    pieces = chunks(either, HELLO)
    assert len(pieces) > 1
    assert {chunk.num_samples % 480 for chunk in pieces} == {0}
    speech = samples(pieces)
    assert np.sqrt(np.mean(speech**2)) > 0.01
    assert [chunk.sentence for chunk in pieces] == [HELLO.text, *[None] * (len(pieces) - 1)]


@torch.inference_mode()
def spoken_at_once(synthesizer: CosyVoiceSynthesizer, utterance: Utterance) -> tuple[int, NDArray[np.float32]]:
    """The tokens of a sequence decoded to its end, then solved and vocoded in one piece; how many there are."""
    model, (segment,) = synthesizer._model, utterance.segments
    generator = torch.Generator().manual_seed(utterance.seed)
    sequence = Sequence(model, segment, utterance.conditions, speed=1.0, generator=generator)
    while not sequence.is_read:
        sequence.read()
    while not sequence._ended:
        sequence.decode()
    tokens = torch.tensor(sequence._tokens)
    mel = model.flow.whole(utterance.conditions.flow, tokens, final=True, streaming=True)
    return len(tokens), model.vocoder.vocode(sequence._vocoder, mel, last=True).numpy()


def test_what_comes_in_pieces_is_what_is_spoken_at_once(v3: CosyVoiceSynthesizer, recording: Prompt) -> None:
    waveform = decode(recording.audio, max_seconds=30).waveform
    long = Prompt(wav.encode(to_pcm(np.tile(waveform, 8)), 48_000), " ".join([recording.text or ""] * 60))
    for request in (
        HELLO,
        replace(HELLO, prompt=recording, text=2 * HELLO.text),
        replace(HELLO, prompt=long, text=4 * HELLO.text),  # read and solved in several pieces before there is a token
    ):
        num_tokens, whole = spoken_at_once(v3, v3.prepare(request))
        pieces = chunks(v3, request)
        assert len(pieces) > 1
        assert whole.size == 960 * num_tokens
        # A rounded pitch moves the phase of all that follows it: samples agree less than what they are made of.
        noise = samples(pieces) - whole
        assert 10 * np.log10(np.sum(whole**2) / np.sum(noise**2)) > 30


def test_the_hundredth_request_s_first_audio_needs_as_many_tokens_as_the_first_s(v3: CosyVoiceSynthesizer) -> None:
    first = steps_until_first_audio(v3, HELLO)
    assert first >= 28
    for _ in range(98):
        chunks(v3, replace(HELLO, text="hi"))
    assert steps_until_first_audio(v3, HELLO) == first


def test_the_same_request_gives_the_same_samples_and_another_seed_others(either: CosyVoiceSynthesizer) -> None:
    first, again, other = (samples(chunks(either, replace(HELLO, seed=seed))) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.allclose(first, other)


def test_requests_served_in_turn_do_not_disturb_each_other(either: CosyVoiceSynthesizer) -> None:
    requests = [HELLO, replace(HELLO, seed=7, speaker="spk_b"), replace(HELLO, text="你好，世界。", speed=1.5)]
    core = InterleavedCore(either)
    for number, request in enumerate(requests, 1):
        core.submit(JobId(number), core.prepare(request))
    core.submit(JobId(9), core.prepare(HELLO))
    heard: dict[JobId, list[AudioChunk]] = {JobId(number): [] for number in range(1, len(requests) + 1)}
    has_worked = False
    while core.has_work:
        for job, output in core.step():
            has_worked = has_worked or isinstance(output, Worked)
            if isinstance(output, AudioChunk) and job in heard:
                heard[job].append(output)
                core.cancel(JobId(9))  # in the middle of its first hop, or before
            else:
                assert isinstance(output, Worked | Finished | AudioChunk)
    assert has_worked
    for number, request in enumerate(requests, 1):
        assert heard[JobId(number)] == chunks(either, request)


def test_a_long_text_is_spoken_segment_by_segment(v3: CosyVoiceSynthesizer) -> None:
    text = "the quick brown fox jumps over the lazy dog and on it goes. " * 4
    spoken = [chunk.sentence for chunk in chunks(v3, replace(HELLO, text=text)) if chunk.sentence]
    assert len(spoken) > 1
    assert "".join(spoken).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("speed", [0.5, 2.0])
def test_speed_changes_the_duration_while_streaming(either: CosyVoiceSynthesizer, speed: float) -> None:
    normal, changed = (samples(chunks(either, replace(HELLO, speed=value))).size for value in (1.0, speed))
    assert changed == 480 * int(normal / 480 / speed)


def test_a_recording_lends_its_voice(either: CosyVoiceSynthesizer, recording: Prompt) -> None:
    with_words = replace(HELLO, speaker=None, prompt=recording)
    without = replace(with_words, prompt=replace(recording, text=None))
    ours, cross_lingual, plain = (samples(chunks(either, request)) for request in (with_words, without, HELLO))
    assert ours.shape != cross_lingual.shape or not np.allclose(ours, cross_lingual)
    assert ours.shape != plain.shape or not np.allclose(ours, plain)


@pytest.mark.parametrize("text", ["", "   ", "。。。！", "<|endofprompt|>", "a prompt and no words<|endofprompt|>"])
def test_a_text_without_words_is_refused(either: CosyVoiceSynthesizer, text: str) -> None:
    with pytest.raises(InvalidRequest, match="text: there is nothing to say"):
        either.prepare(replace(HELLO, text=text))


def test_a_recording_that_is_none_is_refused(either: CosyVoiceSynthesizer) -> None:
    with pytest.raises(InvalidRequest, match="prompt_wav"):
        either.prepare(replace(HELLO, prompt=Prompt(b"RIFF....")))


def test_it_says_what_it_can(either: CosyVoiceSynthesizer) -> None:
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
    synthesizer = CosyVoiceSynthesizer(model, voices_dir=voices, cache_dir=tmp_path, num_threads=1, may_borrow=False)
    assert synthesizer.info.speakers == ("ann", "中文女", "中文男")
    assert "bob.wav: is damaged" in synthesizer.info.voices_note
    assert chunks(synthesizer, replace(HELLO, speaker="ann"))


def test_without_any_voice_the_embedded_one_lends_its_own(tmp_path: Path) -> None:
    model = without_saved_voices(tmp_path)
    settings = {"voices_dir": tmp_path / "absent", "num_threads": 2}
    borrower = CosyVoiceSynthesizer(model, cache_dir=tmp_path, may_borrow=True, **settings)  # type: ignore[arg-type]
    assert borrower.info.speakers == ("中文女", "中文男")
    assert borrower.info.voices_note == "中文女 and 中文男 are learnt from the embedded voice"
    (tmp_path / "file").write_bytes(b"")
    nobody = CosyVoiceSynthesizer(model, cache_dir=tmp_path / "file", may_borrow=True, **settings)  # type: ignore[arg-type]
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
        CosyVoiceSynthesizer(model, voices_dir=tmp_path, cache_dir=tmp_path, num_threads=1, may_borrow=False)
