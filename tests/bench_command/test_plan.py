from dataclasses import replace
from pathlib import Path

import pytest

from cosystream.bench.plan import Load, Plan, poisson_moments, read_texts
from cosystream.errors import ConfigError

PLAN = Plan(texts=("one", "two", "three"), speaker="Ann", seed=7)


def test_texts_are_asked_for_in_turn_and_never_twice_with_one_seed() -> None:
    requests = [PLAN.request(index) for index in range(7)]
    assert [request.text for request in requests] == "one two three one two three one".split()
    assert {request.speaker for request in requests} == {"Ann"}
    assert [request.seed for request in requests] == list(range(7, 14))


def test_listeners_come_as_often_as_they_should_and_the_same_seed_brings_the_same() -> None:
    plan = replace(PLAN, seconds=10_000.0)
    moments = poisson_moments(0.5, plan)
    assert moments == poisson_moments(0.5, plan) == sorted(moments)
    assert moments != poisson_moments(0.5, replace(plan, seed=8))
    assert len(moments) == pytest.approx(5000, abs=4 * 5000**0.5)
    gaps = [later - sooner for sooner, later in zip([0.0, *moments], moments, strict=False)]
    assert sum(gap > 2.0 for gap in gaps) / len(gaps) == pytest.approx(0.3679, abs=0.03)  # 1 / e: they are independent


def test_no_more_come_than_are_wanted() -> None:
    moments = poisson_moments(2.0, replace(PLAN, seconds=100.0))
    assert poisson_moments(2.0, replace(PLAN, seconds=100.0, requests=5)) == moments[:5]
    assert max(moments) < 100.0


@pytest.mark.parametrize(
    ("load", "words"),
    [
        (Load(streams=1), "1 stream"),
        (Load(streams=8), "8 streams"),
        (Load(streams=8, is_eager=True), "8 streams, eager"),
        (Load(rate=0.5), "0.5 a second"),
    ],
)
def test_a_load_is_known_by_its_words(load: Load, words: str) -> None:
    assert str(load) == words


def test_each_line_of_a_file_is_a_text(tmp_path: Path) -> None:
    file = tmp_path / "texts"
    file.write_text("  你好。\n\nHello there. \n", encoding="utf-8")
    assert read_texts(file) == ("你好。", "Hello there.")


@pytest.mark.parametrize(("content", "words"), [(b"\n \n", "holds no text"), (b"\xff", "utf-8")])
def test_a_file_that_will_not_do_is_told(content: bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "texts"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=words):
        read_texts(file)
    with pytest.raises(ConfigError, match="No such file"):
        read_texts(tmp_path / "nowhere")
