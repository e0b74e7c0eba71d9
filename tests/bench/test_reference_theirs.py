import sys
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from bench.reference_protocol import MENDED, PUBLISHED, About, Speech
from bench.reference_theirs import FIRST_HOP, StandIns, Theirs

NUM_SPEECH, NUM_IDS = 6, 10
ABOUT = About({}, num_threads=1, precision="float32")
SPEECH = Speech((1, 2), (3,), (0, 1, 2), num_tokens=40)


class Drawing:
    """A language model that likes best to end, and then the highest id that it may."""

    speech_token_size = NUM_SPEECH

    def sampling(self, scores: Tensor, _decoded: list[int], _sampling: int) -> int:
        return int(scores.argmax())

    def inference_wrapper(self, _input: Tensor, sampling: int, least: int, most: int, _name: str) -> Iterator[int]:
        assert least == most
        decoded: list[int] = []
        while len(decoded) < most:
            decoded.append(self.sampling(torch.arange(NUM_IDS).float(), decoded, sampling))
            yield decoded[-1]


class Growing:
    """A model that speaks its tokens hop by hop, a second each, and makes its own hop longer as it goes."""

    def __init__(self) -> None:
        self.llm = Drawing()
        self.flow = SimpleNamespace(pre_lookahead_len=3)
        self.token_hop_len, self.token_max_hop_len = FIRST_HOP, 100
        self.hift_cache_dict: dict[str, object] = {}
        self.drawn: list[list[int]] = []
        self.solved: list[tuple[int, int]] = []

    def tts(self, *, stream: bool, **_request: Tensor) -> Iterator[dict[str, Tensor]]:
        assert stream
        drawn = list(self.llm.inference_wrapper(torch.empty(0), 25, 0, 1000, ""))
        self.drawn.append(drawn)
        num_left = len(drawn)
        while num_left > 0:
            yield {"tts_speech": torch.empty(1, 24_000 * min(self.token_hop_len, num_left))}
            num_left -= self.token_hop_len
            self.token_hop_len = min(2 * self.token_hop_len, self.token_max_hop_len)

    def token2wav(self, token: Tensor, token_offset: int, uuid: str, **_others: object) -> None:
        assert (self.hift_cache_dict[uuid] is None) == (token_offset == 0)
        self.solved.append((token.size(1), token_offset))


def test_so_many_tokens_are_drawn_as_were_asked_for_and_all_of_them_are_speech() -> None:
    model = Growing()
    Theirs(model, ABOUT).speak(PUBLISHED, SPEECH, 1)
    assert model.drawn == [[NUM_SPEECH - 1] * SPEECH.num_tokens]


def test_as_published_a_request_meets_the_hop_that_others_have_grown() -> None:
    (arrivals,) = Theirs(Growing(), ABOUT).speak(PUBLISHED, SPEECH, 1)
    assert [arrival.audio_seconds for arrival in arrivals] == [40.0]


def test_mended_each_request_begins_at_the_ladders_foot() -> None:
    theirs = Theirs(Growing(), ABOUT)
    for _ in range(2):
        for arrivals in theirs.speak(MENDED, SPEECH, 3):
            assert [arrival.audio_seconds for arrival in arrivals] == [25.0, 15.0]


def test_a_chunk_is_solved_with_everything_before_it() -> None:
    model = Growing()
    assert min(Theirs(model, ABOUT).chunk_seconds("published", SPEECH, (0, 725))) > 0
    assert model.solved == [(28, 0), (753, 725)]


@pytest.fixture
def stand_ins() -> Iterator[None]:
    finder = StandIns()
    before = set(sys.modules)
    sys.meta_path.insert(0, finder)
    yield
    sys.meta_path.remove(finder)
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.usefixtures("stand_ins")
def test_anything_can_be_imported_from_a_package_that_is_stood_in_for() -> None:
    attention = import_module("diffusers.models.attention").Attention
    assert isinstance(attention(1, heads=2), attention)
    with pytest.raises(ModuleNotFoundError):
        import_module("diffusers_of_another_kind")
