import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.recogniser import Errors, character_errors, edit_distance, pinyin_errors, word_errors

WORDS = st.lists(st.sampled_from("abc"), max_size=8)


@pytest.mark.parametrize(
    ("said", "heard", "distance"),
    [
        ("", "", 0),
        ("abc", "abc", 0),
        ("abc", "", 3),
        ("", "ab", 2),
        ("abc", "axc", 1),
        ("abcd", "acd", 1),
        ("ab", "ba", 2),
    ],
)
def test_the_distance_counts_substitutions_insertions_and_deletions(said: str, heard: str, distance: int) -> None:
    assert edit_distance(said, heard) == distance


@given(WORDS, WORDS, WORDS)
def test_the_distance_is_a_metric(a: list[str], b: list[str], c: list[str]) -> None:
    assert (edit_distance(a, b) == 0) == (a == b)
    assert edit_distance(a, b) == edit_distance(b, a)
    assert edit_distance(a, c) <= edit_distance(a, b) + edit_distance(b, c)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("你好，世界。", "你好世界!"),
        ("二零二六年，增长百分之五", "2026年增长5%"),
        ("两点三十分", "2:30"),
        ("用 App 下载", "用app下载"),
    ],
)
def test_the_same_words_written_otherwise_are_no_character_errors(said: str, heard: str) -> None:
    assert character_errors(said, heard).count == 0


def test_characters_are_counted_where_they_differ() -> None:
    assert character_errors("他喝绿茶。", "他喝驴茶") == Errors(1, 4)


def test_homophones_are_no_pinyin_errors() -> None:
    assert pinyin_errors("河流六千公里", "合流6000公理") == Errors(0, 6)
    assert pinyin_errors("银行行长", "银行航掌") == Errors(0, 4)
    assert pinyin_errors("你好", "你早") == Errors(1, 2)


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("It's twenty percent, Dr. Lee.", "its 20% doctor lee"),
        ("a well-known place", "A well known place!"),
        ("July fourth, nineteen ninety six", "July 4th, 1996"),
    ],
)
def test_the_same_words_written_otherwise_are_no_word_errors(said: str, heard: str) -> None:
    assert word_errors(said, heard).count == 0


def test_words_are_counted_where_they_differ() -> None:
    assert word_errors("the children were playing", "the children will play in") == Errors(3, 4)


def test_errors_add_up_to_a_rate() -> None:
    assert (Errors(1, 10) + Errors(2, 20)).rate == pytest.approx(0.1)
