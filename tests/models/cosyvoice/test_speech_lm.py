"""What the language model is fed with, what it may not draw, and that its steps are one sequence."""

from copy import deepcopy
from functools import cache

import pytest
import torch
from torch import nn

from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.config import Qwen2Config, SamplingConfig, SpeechLMConfig, Version
from cosystream.models.cosyvoice.qwen2 import KVCache
from cosystream.models.cosyvoice.sampling import remember, sample
from cosystream.models.cosyvoice.speech_lm import (
    SOS,
    TASK,
    UNUSED,
    Kind,
    Piece,
    SpeechLM,
    no_end,
    no_end_as_reference,
    no_end_but_fill,
    prompt_pieces,
    special_ids,
    speech_length,
)
from cosystream.models.linear import Precision
from cosystream.models.weights import load_strict

BODY = Qwen2Config(
    hidden_size=16,
    intermediate_size=24,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    vocab_size=30,
    rope_theta=1e6,
    rms_norm_eps=1e-6,
)
VERSIONS = pytest.mark.parametrize("version", list(Version))


def config(version: Version, speech_token_size: int = 50) -> SpeechLMConfig:
    return SpeechLMConfig(version, BODY, speech_token_size, (5, 15), SamplingConfig(0.8, 25, 10, 0.1))


@cache
def model(version: Version) -> SpeechLM:
    torch.manual_seed(0)
    return SpeechLM(config(version)).requires_grad_(requires_grad=False)


def empty_cache(num_slots: int = 1) -> KVCache:
    return KVCache(BODY, num_slots, 64, device="cpu", dtype=torch.float32)


def test_special_ids_of_the_published_checkpoints() -> None:
    v2, v3 = (special_ids(config(version, 6561)) for version in (Version.V2, Version.V3))
    assert (v2.eos, v2.fill, v2.num_ids) == (6561, 6563, 6564)
    assert (v3.eos, v3.fill, v3.sos, v3.task, v3.num_ids) == (6562, 6564, 6561, 6563, 6761)
    assert [v2.is_speech(token) for token in (0, 6560, 6561, 6563)] == [True, True, False, False]


@VERSIONS
def test_parameters_outside_the_body_are_named_as_in_the_checkpoints(version: Version) -> None:
    with torch.device("meta"):
        names = {name: tuple(tensor.shape) for name, tensor in SpeechLM(config(version)).state_dict().items()}
    outside = {name: shape for name, shape in names.items() if not name.startswith("llm.model.model.")}
    expected: dict[str, tuple[int, ...]]
    if version is Version.V2:
        expected = {"llm_embedding.weight": (2, 16), "speech_embedding.weight": (53, 16)}
        expected |= {"llm_decoder.weight": (53, 16), "llm_decoder.bias": (53,)}
    else:
        expected = {"speech_embedding.weight": (250, 16), "llm_decoder.weight": (250, 16)}
    assert outside == expected
    assert "llm.model.model.layers.1.self_attn.k_proj.bias" in names


def test_the_text_head_is_all_of_a_checkpoint_that_is_not_needed() -> None:
    weights = dict(model(Version.V3).state_dict()) | {name: torch.zeros(30, 16) for name in UNUSED}
    with torch.device("meta"):
        lm = SpeechLM(config(Version.V3))
    with pytest.raises(CheckpointError, match="lm_head"):
        load_strict(lm, weights, "llm.pt")
    load_strict(lm, {name: tensor for name, tensor in weights.items() if name not in UNUSED}, "llm.pt")
    pieces = prompt_pieces([1], [2], [3])
    assert lm.embed(pieces).equal(model(Version.V3).embed(pieces))


@VERSIONS
def test_a_prompt_is_text_between_the_marks_and_then_speech(version: Version) -> None:
    lm = model(version)
    marks = lm.llm_embedding.weight if lm.llm_embedding is not None else lm.speech_embedding.weight
    text, speech = lm.body.embed_tokens.weight, lm.speech_embedding.weight
    sos, task = (0, 1) if version is Version.V2 else (50, 52)
    pieces = prompt_pieces([3, 4], [5], [40, 41])
    expected = [marks[sos], text[3], text[4], text[5], marks[task], speech[40], speech[41]]
    assert lm.embed(pieces).equal(torch.stack(expected))
    assert sum(len(piece) for piece in pieces) == len(expected)


@VERSIONS
def test_a_prompt_may_have_no_speech(version: Version) -> None:
    lm = model(version)
    assert lm.embed(prompt_pieces([], [5], [])).equal(lm.embed([SOS, Piece(Kind.TEXT, (5,)), TASK]))


def test_a_short_text_may_not_be_spoken_at_length() -> None:
    length = speech_length(7)
    assert (length.minimum, length.maximum) == (14, 140)


@VERSIONS
def test_what_may_not_be_drawn(version: Version) -> None:
    ids = special_ids(config(version))
    every_end = list(range(50, ids.num_ids))

    def forbidden(mask: torch.Tensor) -> list[int]:
        assert mask.shape == (ids.num_ids,)
        return mask.nonzero().flatten().tolist()

    assert forbidden(no_end(ids)) == every_end
    assert forbidden(no_end_as_reference(ids)) == [50]
    assert forbidden(no_end_but_fill(ids)) == [token for token in every_end if token != ids.fill]


@VERSIONS
def test_steps_are_one_sequence(version: Version) -> None:
    lm, cache, prompt = model(version), empty_cache(3), prompt_pieces([3, 4], [5], [40, 41])
    hidden = [lm.prefill(lm.embed(prompt), cache, 2, 0)]
    for i, token in enumerate([7, 8]):
        hidden.append(lm.decode(torch.tensor([token]), cache, torch.tensor([2]), torch.tensor([7 + i]), 8 + i))
    hidden.append(lm.prefill(lm.embed([Piece(Kind.TEXT, (9, 10)), TASK]), cache, 2, 9))
    spoken = [Piece(Kind.SPEECH, (7, 8)), Piece(Kind.TEXT, (9, 10)), TASK]
    whole = lm.body(lm.embed([*prompt, *spoken])[None], empty_cache(), torch.tensor([0]), torch.tensor([0]), 12)[0]
    torch.testing.assert_close(torch.cat(hidden), whole[[6, 7, 8, 11]])


@VERSIONS
def test_sequences_decode_together(version: Version) -> None:
    lm, together, expected = model(version), empty_cache(2), []
    for slot, prompt in enumerate((prompt_pieces([], [5], []), prompt_pieces([3, 4], [5], [40, 41]))):
        embedded, alone = lm.embed(prompt), empty_cache()
        lm.prefill(embedded, together, slot, 0)
        lm.prefill(embedded, alone, 0, 0)
        position = len(embedded)
        token = torch.tensor([7 + slot])
        expected.append(lm.decode(token, alone, torch.tensor([0]), torch.tensor([position]), position + 1))
    found = lm.decode(torch.tensor([7, 8]), together, torch.tensor([0, 1]), torch.tensor([3, 7]), 8)
    torch.testing.assert_close(found, torch.cat(expected))


def test_a_step_asks_the_device_for_nothing() -> None:
    with torch.device("meta"):  # where there is nothing to be had
        lm = SpeechLM(config(Version.V2))
        cache = KVCache(BODY, 4, 64, device="meta", dtype=torch.float32)
        ids, slots, positions = (torch.zeros(3, dtype=torch.long) for _ in range(3))
        logits = lm.logits(lm.decode(ids, cache, slots, positions, 9))
        recent, draws = torch.zeros(3, 10, dtype=torch.long), torch.zeros(3, 2)
        found = sample(logits, recent, no_end(lm.ids, "meta"), draws, config(Version.V2).sampling)
    assert remember(recent, found).shape == (3, 10)


def test_logits_are_in_full_precision_whatever_the_weights() -> None:
    lm = SpeechLM(config(Version.V2)).requires_grad_(requires_grad=False)
    lm.load_state_dict(model(Version.V2).state_dict())
    hidden = torch.randn(3, 16).bfloat16()
    logits = lm.to(torch.bfloat16).logits(hidden)
    assert isinstance(lm.llm_decoder, nn.Linear)
    expected = hidden.float() @ lm.llm_decoder.weight.float().T + lm.llm_decoder.bias.float()
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected)


@VERSIONS
def test_quickened_its_steps_and_logits_are_what_they_were(version: Version) -> None:
    lm, prompt = deepcopy(model(version)), prompt_pieces([3, 4], [5], [40, 41])
    lm.quicken(Precision.FLOAT32)
    found, expected = (m.logits(m.prefill(m.embed(prompt), empty_cache(), 0, 0)) for m in (lm, model(version)))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


@VERSIONS
def test_in_less_precision_logits_are_still_float32(version: Version) -> None:
    lm, hidden = deepcopy(model(version)), torch.randn(3, 16)
    lm.quicken(Precision.BFLOAT16)
    torch.testing.assert_close(lm.logits(hidden), model(version).logits(hidden))
