"""Sequences that are decoded together: each gets what it gets alone, whoever comes and goes beside it."""

import random
from collections.abc import Callable
from functools import cache

import pytest
import torch
from torch import Tensor

from cosystream.models.cosyvoice.config import Qwen2Config, SamplingConfig, SpeechLMConfig, Version
from cosystream.models.cosyvoice.decoder import UNREADABLE, Arrival, Decoder
from cosystream.models.cosyvoice.qwen2 import KVCache
from cosystream.models.cosyvoice.sampling import NOTHING, remember, sample
from cosystream.models.cosyvoice.speech_lm import SpeechLM, no_end, prompt_pieces
from cosystream.models.linear import Precision

BODY = Qwen2Config(
    hidden_size=32,
    intermediate_size=48,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    vocab_size=30,
    rope_theta=1e6,
    rms_norm_eps=1e-6,
)
CAPACITY = 300
NUM_SLOTS = 5
GREEDY, SEEDED = SamplingConfig(0.8, 1, 10, 1.1), SamplingConfig(0.8, 25, 10, 0.1)
SAMPLINGS = pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["greedy", "seeded"])
Run = Callable[[], Tensor]
PADDED = pytest.mark.parametrize("padded", [False, True], ids=["as they are", "padded"])


def config(sampling: SamplingConfig = SEEDED, version: Version = Version.V3) -> SpeechLMConfig:
    return SpeechLMConfig(version, BODY, 50, (5, 15), sampling)


@cache
def model(version: Version = Version.V3, precision: Precision | None = None) -> SpeechLM:
    torch.manual_seed(0)
    lm = SpeechLM(config(version=version)).requires_grad_(requires_grad=False)
    for parameter in lm.parameters():
        parameter.mul_(1.5)  # so that one id is clearly likelier than another
    if precision is not None:
        lm.quicken(precision)
    return lm


def decoder(
    sampling: SamplingConfig = SEEDED, *, padded: bool = False, precision: Precision | None = None, num: int = NUM_SLOTS
) -> Decoder:
    """With whatever may be in memory that nobody has written to."""
    lm = model(precision=precision)
    dtype = torch.float32 if precision in (None, Precision.FLOAT32) else torch.bfloat16
    made = Decoder(lm, config(sampling), num, CAPACITY, dtype=dtype, padded=padded)
    made._cache.keys.fill_(torch.nan)
    made._cache.values.fill_(torch.nan)
    made._next.fill_(torch.nan)
    made._draws.fill_(torch.nan)
    made._recent.fill_(7)
    return made


def arrival(slot: int, seed: int, *, num_tokens: int = 30, minimum: int = 30) -> Arrival:
    """A prompt of some length, and random numbers, that the seed decides."""
    rng = random.Random(seed)
    text, speech = (tuple(rng.choices(range(30), k=rng.randint(1, 40))) for _ in range(2))
    draws = torch.rand(num_tokens, 2, generator=torch.Generator().manual_seed(seed))
    return Arrival(slot, prompt_pieces([], text, speech), minimum, draws)


def alone(given: Arrival, sampling: SamplingConfig, num: int, lm: SpeechLM | None = None) -> list[int]:
    """One sequence at a time, one id at a time."""
    lm = lm or model()
    ids, cache = list[int](), KVCache(BODY, 1, CAPACITY, device="cpu", dtype=torch.float32)
    embedded, recent = lm.embed(given.pieces), torch.full((1, sampling.window_size), NOTHING)
    hidden = lm.prefill(embedded, cache, 0, 0)
    for i in range(num):
        forbidden = no_end(lm.ids) & (i < given.minimum)
        drawn = sample(lm.logits(hidden), recent, forbidden, given.draws[i : i + 1], sampling)
        recent = remember(recent, drawn)
        ids.append(int(drawn))
        position = len(embedded) + i
        hidden = lm.decode(drawn, cache, torch.tensor([0]), torch.tensor([position]), position + 1)
    return ids


@SAMPLINGS
@PADDED
@torch.inference_mode()
def test_a_sequence_gets_the_ids_that_it_gets_one_step_at_a_time(sampling: SamplingConfig, *, padded: bool) -> None:
    given, decode = arrival(3, 1), decoder(sampling, padded=padded)
    decode.arrive(given)
    decode.prefill({3: decode.unread(3)})
    assert [decode.step([3]).ids()[0] for _ in range(30)] == alone(given, sampling, 30)


@SAMPLINGS
@PADDED
@torch.inference_mode()
def test_among_fifty_others_that_come_and_go_each_gets_what_it_gets_alone(
    sampling: SamplingConfig, *, padded: bool
) -> None:
    rng, decode = random.Random(2), decoder(sampling, padded=padded)
    waiting, found, wanted = list(range(51)), dict[int, list[int]](), {seed: 1 + seed % 30 for seed in range(51)}
    owners = dict[int, int]()
    while waiting or owners:
        for slot in range(NUM_SLOTS):
            if slot not in owners and waiting and rng.random() < 0.5:
                owners[slot] = waiting.pop()
                found[owners[slot]] = []
                decode.arrive(arrival(slot, owners[slot]))
        unread = [slot for slot in owners if decode.unread(slot)]
        if unread and rng.random() < 0.7:
            decode.prefill({slot: rng.randint(1, 40) for slot in rng.sample(unread, rng.randint(1, len(unread)))})
        ready = [slot for slot in owners if not decode.unread(slot)]
        rng.shuffle(ready)
        if ready:
            for slot, token in zip(ready, decode.step(ready).ids(), strict=True):
                found[owners[slot]].append(token)
                if len(found[owners[slot]]) == wanted[owners[slot]]:
                    del owners[slot]
    for seed, ids in found.items():
        assert ids == alone(arrival(0, seed), sampling, wanted[seed]), seed


@pytest.mark.parametrize("precision", list(Precision))
@torch.inference_mode()
def test_quickened_it_is_the_same_alone_and_together(precision: Precision) -> None:
    together, found = decoder(precision=precision), []
    for slot in range(NUM_SLOTS):
        together.arrive(arrival(slot, slot))
        together.prefill({slot: CAPACITY})
    found = [together.step(range(NUM_SLOTS)).ids() for _ in range(20)]
    states = together._next.clone()
    for slot in range(NUM_SLOTS):
        single = decoder(precision=precision, num=1)
        single.arrive(arrival(0, slot))
        single.prefill({0: CAPACITY})
        assert [single.step([0]).ids()[0] for _ in range(20)] == [ids[slot] for ids in found]
        assert single._next[0].equal(states[slot])


@torch.inference_mode()
def test_quickened_in_float32_it_draws_what_it_drew_before() -> None:
    decode = decoder(precision=Precision.FLOAT32)
    decode.arrive(arrival(0, 1))
    decode.prefill({0: CAPACITY})
    assert [decode.step([0]).ids()[0] for _ in range(30)] == alone(arrival(0, 1), SEEDED, 30)


@PADDED
@pytest.mark.parametrize("most", [1, 7, 64])
@torch.inference_mode()
def test_read_in_pieces_it_is_the_same_prompt(most: int, *, padded: bool) -> None:
    decode = decoder(padded=padded)
    decode.arrive(arrival(0, 1))
    decode.arrive(arrival(2, 5))
    num_positions = decode.unread(0)
    decode.prefill({0: most})
    assert decode.unread(0) == max(0, num_positions - most)
    while decode.unread(0) or decode.unread(2):
        decode.prefill({0: most, 2: 2 * most})
    found = [decode.step([2, 0]).ids() for _ in range(12)]
    assert [ids[1] for ids in found] == alone(arrival(0, 1), SEEDED, 12)
    assert [ids[0] for ids in found] == alone(arrival(2, 5), SEEDED, 12)


@torch.inference_mode()
def test_a_prompt_that_fills_its_slot_may_be_padded_past_its_end() -> None:
    decode = decoder(padded=True)
    long, short = Arrival(0, prompt_pieces([], [3] * 290, []), 5, arrival(0, 1, num_tokens=9).draws), arrival(1, 4)
    decode.arrive(long)
    decode.prefill({0: 280})
    decode.arrive(short)
    decode.prefill({0: 11, 1: 60})
    assert not decode.unread(0)
    found = [decode.step([0, 1]).ids() for _ in range(9)]
    assert [ids[0] for ids in found] == alone(long, SEEDED, 9)
    assert [ids[1] for ids in found] == alone(short, SEEDED, 9)


@PADDED
@torch.inference_mode()
def test_an_end_is_no_choice_before_the_minimum(*, padded: bool) -> None:
    decode, lm = decoder(GREEDY, padded=padded), model()
    # An end as likely as can be: half of all ids are ends, and of ten thousand draws some are far out.
    for slot, minimum in enumerate((20, 0)):
        decode.arrive(arrival(slot, 8, minimum=minimum))
        decode.prefill({slot: CAPACITY})
    decode._config = config(SamplingConfig(1.0, 250, 10, 1.1))
    found = [decode.step([0, 1]).ids() for _ in range(20)]
    assert all(lm.ids.is_speech(ids[0]) for ids in found)
    assert not all(lm.ids.is_speech(ids[1]) for ids in found)


@PADDED
@torch.inference_mode()
def test_logits_that_are_no_numbers_are_told_for_that_sequence_alone(*, padded: bool) -> None:
    decode = decoder(padded=padded)
    for slot in (0, 1, 4):
        decode.arrive(arrival(slot, slot))
        decode.prefill({slot: CAPACITY})
    found = [decode.step([0, 1, 4]).ids()]
    decode._next[1] = torch.nan
    found += [decode.step([0, 1, 4]).ids() for _ in range(9)]
    expected = [alone(arrival(0, seed), SEEDED, 10) for seed in (0, 1, 4)]
    assert [[ids[0], ids[2]] for ids in found] == [list(ids) for ids in zip(expected[0], expected[2], strict=True)]
    assert [ids[1] for ids in found] == [expected[1][0], *[UNREADABLE] * 9]
    decode.arrive(arrival(1, 6))
    decode.prefill({1: CAPACITY})
    assert [decode.step([1]).ids()[0] for _ in range(9)] == alone(arrival(0, 6), SEEDED, 9)


@PADDED
@torch.inference_mode()
def test_to_go_on_after_the_last_token_does_no_harm(*, padded: bool) -> None:
    decode = decoder(padded=padded)
    full = Arrival(0, prompt_pieces([], [3] * (CAPACITY - 6), []), 0, torch.rand(5, 2))
    for given in (full, arrival(1, 4)):
        decode.arrive(given)
        decode.prefill({given.slot: CAPACITY})
    found = [decode.step([0, 1]).ids()[1] for _ in range(20)]
    assert found == alone(arrival(1, 4), SEEDED, 20)


class Recording:
    """Runs what is to be recorded, twice, and remembers that it did."""

    def __init__(self) -> None:
        self.num_replays = 0

    def record(self, run: Run) -> Run:
        run()
        run()

        def replay() -> Tensor:
            self.num_replays += 1
            return run()

        return replay


@torch.inference_mode()
def test_recorded_in_all_its_sizes_every_step_is_a_replay() -> None:
    recorder, given = Recording(), arrival(3, 1)
    decode = Decoder(model(), config(), NUM_SLOTS, CAPACITY, dtype=torch.float32, padded=True, recorder=recorder)
    assert decode.sizes() == [(rows, length) for rows in (8, 4, 2) for length in (512, 256)]
    decode.arrive(given)
    for size in decode.sizes():
        decode.record(*size)
    decode.prefill({3: CAPACITY})
    assert [decode.step([3]).ids()[0] for _ in range(30)] == alone(given, SEEDED, 30)
    assert recorder.num_replays == 30


def test_a_step_asks_the_device_for_nothing() -> None:
    with torch.device("meta"):  # where there is nothing to be had
        decode = Decoder(SpeechLM(config()), config(), 4, 64, dtype=torch.bfloat16, padded=True)
        assert decode._step(torch.zeros(2, dtype=torch.long), 64).shape == (2,)


def test_a_slot_takes_so_many_bytes() -> None:
    made = Decoder(model(), config(), 2, 64, dtype=torch.bfloat16)
    held = (made._cache.keys, made._cache.values, made._draws)
    assert 3 * Decoder.bytes_per_slot(config(), 64, torch.bfloat16) == sum(tensor.nbytes for tensor in held)
