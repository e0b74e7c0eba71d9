"""The language model against the reference's: what is fed, hidden states, logits, and the ids that come of them."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.bistream import Draw, Feed, Idle, Interleaver
from cosystream.models.cosyvoice.config import SamplingConfig
from cosystream.models.cosyvoice.decoder import Arrival, Decoder
from cosystream.models.cosyvoice.qwen2 import KVCache
from cosystream.models.cosyvoice.speech_lm import (
    UNUSED,
    Piece,
    SpeechLM,
    no_end_as_reference,
    prompt_pieces,
    speech_length,
)
from cosystream.models.linear import Precision
from cosystream.models.weights import load_strict
from tests.parity.conftest import Golden

CAPACITY = 8192
"""More tokens than any text here comes to; memory that is not written to costs nothing."""

GREEDY = SamplingConfig(top_p=1.0, top_k=1, window_size=10, repetition_ratio=1.1)
"""The likeliest id, repetition or not."""


@dataclass
class Run:
    """One sequence on its way through the model."""

    lm: SpeechLM
    hidden: list[Tensor] = field(default_factory=list)
    length: int = 0

    def __post_init__(self) -> None:
        self.cache = KVCache(self.lm.body.config, 1, CAPACITY, device="cpu", dtype=torch.float32)

    def feed(self, embedded: Tensor) -> Tensor:
        """Logits (V,) after ``embedded`` (N, D)."""
        self.hidden.append(self.lm.prefill(embedded, self.cache, 0, self.length))
        self.length += embedded.size(0)
        return self.lm.logits(self.hidden[-1])[0]

    def speak(self, token: int) -> Tensor:
        slot, position = torch.tensor([0]), torch.tensor([self.length])
        self.length += 1
        self.hidden.append(self.lm.decode(torch.tensor([token]), self.cache, slot, position, self.length))
        return self.lm.logits(self.hidden[-1])[0]


@pytest.fixture(scope="session")
def lm(either: Golden) -> SpeechLM:
    with torch.device("meta"):
        lm = SpeechLM(either.config.lm)
    weights = {name: tensor for name, tensor in either.weights("llm").items() if name not in UNUSED}
    load_strict(lm, weights, "llm.pt")
    return lm


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def ids(golden: Golden, name: str, part: str = "llm") -> list[int]:
    tensors = golden.tensors(part)
    return tensors[name].flatten().tolist() if name in tensors else []


def prompted(golden: Golden, part: str = "llm", prefix: str = "", suffix: str = "_ids") -> tuple[Piece, ...]:
    speech = ids(golden, f"{prefix}prompt_speech_token", part)
    return prompt_pieces(ids(golden, f"prompt_text{suffix}", part), ids(golden, f"text{suffix}", part), speech)


def decode(
    lm: SpeechLM, pieces: Sequence[Piece], num_text: int, draw: Callable[[Tensor, list[int]], int]
) -> tuple[list[int], bool]:
    """The ids drawn as the reference draws them, with its mask, and whether it stopped before the limit."""
    length, early = speech_length(num_text), no_end_as_reference(lm.ids)
    run, out = Run(lm), list[int]()
    logits = run.feed(lm.embed(pieces))
    while True:
        forbidden = early if len(out) < length.minimum else torch.zeros_like(early)
        token = draw(logits.log_softmax(-1).masked_fill(forbidden, -torch.inf), out)
        if not lm.ids.is_speech(token):
            return out, True
        out.append(token)
        if len(out) == length.maximum:
            return out, False
        logits = run.speak(token)


def greedy(log_probabilities: Tensor, _: list[int]) -> int:
    return int(log_probabilities.argmax())


def test_the_special_ids_are_the_references(either: Golden, lm: SpeechLM) -> None:
    facts = either.json("llm_facts")
    found = [lm.ids.eos, lm.ids.sos, lm.ids.task, lm.ids.fill, lm.ids.num_speech, lm.ids.num_ids - 1]
    assert found == [*(facts[name] for name in ("eos", "sos", "task_id", "fill")), *facts["stop_first_last"]]
    assert lm.ids.num_ids - lm.ids.num_speech == facts["n_stop"]
    assert no_end_as_reference(lm.ids).nonzero().tolist() == [[facts["ignored_index_when_below_min_len"]]]
    length = speech_length(facts["n_text"])
    assert (length.minimum, length.maximum) == (facts["steps_with_ignored_eos"], facts["max_len_tokens"])


@torch.inference_mode()
def test_fed_with_given_ids_it_gives_the_references_logits(either: Golden, lm: SpeechLM) -> None:
    golden, run = either.tensors("llm"), Run(lm)
    embedded = lm.embed(prompted(either))
    assert_close(embedded, golden["lm_input_prefill"][0])
    logits = [run.feed(embedded), *(run.speak(token) for token in ids(either, "forced_tokens"))]
    assert_close(torch.cat(run.hidden), golden["hidden"].view(len(logits), -1))
    assert_close(torch.stack(logits), golden["logits"].view(len(logits), -1))


@torch.inference_mode()
def test_without_prompt_speech_it_gives_the_references_logits(either: Golden, lm: SpeechLM) -> None:
    golden, run = either.tensors("llm"), Run(lm)
    embedded = lm.embed(prompt_pieces([], ids(either, "noprompt_text_ids"), []))
    assert_close(embedded, golden["noprompt_lm_input"][0])
    expected = golden["noprompt_logits"].view(-1, lm.ids.num_ids)
    forced = ids(either, "forced_tokens")[: len(expected) - 1]
    logits = [run.feed(embedded), *(run.speak(token) for token in forced)]
    assert_close(torch.stack(logits), expected)


@torch.inference_mode()
def test_decoding_greedily_it_says_what_the_reference_says(either: Golden, lm: SpeechLM) -> None:
    found, stopped = decode(lm, prompted(either), len(ids(either, "text_ids")), greedy)
    assert found == ids(either, "greedy_tokens")
    assert stopped == (either.json("llm_facts")["greedy_stopped_by"] == "stop")


@torch.inference_mode()
def test_the_sampler_is_given_what_the_reference_gives_it(either: Golden, lm: SpeechLM) -> None:
    expected = either.tensors("llm")["logp_given_to_sampler_first2"].view(-1, lm.ids.num_ids)
    forced, seen = iter(ids(either, "forced_tokens")), list[Tensor]()

    def draw(log_probabilities: Tensor, _: list[int]) -> int:
        seen.append(log_probabilities)
        return next(forced) if len(seen) < len(expected) else lm.ids.eos

    decode(lm, prompted(either), len(ids(either, "text_ids")), draw)
    assert_close(torch.stack(seen), expected)


@torch.inference_mode()
def test_of_the_front_ends_ids_it_makes_the_references_speech(either: Golden, lm: SpeechLM) -> None:
    pieces = prompted(either, "end_to_end", "llm_", "")
    found, _ = decode(lm, pieces, len(ids(either, "text", "end_to_end")), greedy)
    assert found == ids(either, "greedy_tokens", "end_to_end")


@torch.inference_mode()
def test_sampling_as_the_reference_does_it_says_what_the_reference_says(either: Golden, lm: SpeechLM) -> None:
    config, prefix = either.config.lm.sampling, "ras_tokens_seed"
    (seed,) = (int(name.removeprefix(prefix)) for name in either.tensors("llm") if name.startswith(prefix))
    expected = ids(either, f"{prefix}{seed}")

    def multinomial(log_probabilities: Tensor, out: list[int]) -> int:
        probabilities, order = log_probabilities.softmax(-1).sort(descending=True, stable=True)
        before = probabilities.cumsum(-1) - probabilities
        nucleus = probabilities[: min(config.top_k, int((before < config.top_p).sum()))]
        token = int(order[nucleus.multinomial(1, replacement=True)])
        if out[-config.window_size :].count(token) >= config.window_size * config.repetition_ratio:
            without = log_probabilities.index_fill(0, torch.tensor(token), -torch.inf)
            token = int(without.softmax(-1).multinomial(1, replacement=True))
        return token

    torch.manual_seed(seed)
    found, _ = decode(lm, prompted(either), len(ids(either, "text_ids")), multinomial)
    assert found[: len(expected)] == expected


@torch.inference_mode()
def test_while_the_text_is_being_written_it_goes_as_the_reference_goes(either: Golden, lm: SpeechLM) -> None:
    recorded = [name.removesuffix("_yielded") for name in either.tensors("llm") if name.endswith("_yielded")]
    assert "bistream" in recorded
    for case in recorded:
        follow(either, lm, case)


def follow(either: Golden, lm: SpeechLM, case: str) -> None:
    golden, facts = either.tensors("llm"), either.json("llm_facts")
    prompt_text, prompt_speech = ids(either, "prompt_text_ids"), ids(either, "prompt_speech_token")
    if case == "bistream_noprompt":
        prompt_text, prompt_speech = [], []
    end_of_prompt = either.json("dims")["endofprompt_id"]
    size = prompt_text.index(end_of_prompt) + 1 if end_of_prompt in prompt_text else 0
    interleaver = Interleaver(
        lm.ids,
        either.config.lm.mix_ratio,
        prompt_text=prompt_text[size:],
        prompt_speech=prompt_speech,
        instruction=prompt_text[:size],
    )

    run, out, logits, inputs = Run(lm), list[int](), list[Tensor](), list[Tensor]()
    text, drawn = iter(ids(either, "text_ids")), iter(facts[f"{case}_out_tokens"])
    while (feed := interleaver.next()) is not Idle.ENDED:
        if feed is Idle.WAITING:
            piece = next(text, None)
            interleaver.end_text() if piece is None else interleaver.add_text([piece])
            continue
        assert isinstance(feed, Feed)
        embedded = lm.embed(feed.pieces)
        assert embedded.size(0) == sum(len(piece) for piece in feed.pieces)
        inputs.append(embedded)
        logits.append(run.feed(embedded))
        out.append(next(drawn))
        if feed.draw is Draw.NOTHING:
            assert out[-1] == lm.ids.fill
        else:
            interleaver.drew(out[-1])

    assert next(drawn, None) is None
    assert [len(embedded) for embedded in inputs] == facts[f"{case}_step_input_lens"]
    assert_close(torch.cat(inputs), golden[f"{case}_step_inputs"][0])
    found = torch.stack(logits)
    assert_close(found[:, ::40], golden[f"{case}_step_logits_every40th"])
    assert found.argmax(-1).tolist() == ids(either, f"{case}_step_argmax")
    assert [token for token in out if lm.ids.is_speech(token)] == ids(either, f"{case}_yielded")


@torch.inference_mode()
def test_laid_out_for_speed_it_still_gives_the_references_logits(either: Golden, lm: SpeechLM) -> None:
    quickened = deepcopy(lm)
    quickened.quicken(Precision.FLOAT32)
    golden, run = either.tensors("llm"), Run(quickened)
    logits = [run.feed(quickened.embed(prompted(either)))]
    logits += [run.speak(token) for token in ids(either, "forced_tokens")]
    assert_close(torch.stack(logits), golden["logits"].view(len(logits), -1))


@torch.inference_mode()
def test_decoded_among_others_it_says_what_the_reference_says(either: Golden, lm: SpeechLM) -> None:
    expected, config = ids(either, "greedy_tokens"), replace(either.config.lm, sampling=GREEDY)
    decoder = Decoder(lm, config, 3, 512, dtype=torch.float32)
    minimum, draws = speech_length(len(ids(either, "text_ids"))).minimum, torch.rand(len(expected), 2)
    for slot, pieces in enumerate((prompted(either), prompted(either, "end_to_end", "llm_", ""), prompted(either))):
        decoder.arrive(Arrival(slot, pieces, minimum, draws))
        decoder.prefill({slot: decoder.unread(slot)})
    drawn = [decoder.step([2, 1, 0]).ids() for _ in expected]
    assert [token for token, _, _ in drawn] == [token for _, _, token in drawn] == expected
