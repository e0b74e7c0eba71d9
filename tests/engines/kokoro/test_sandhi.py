import pytest

from cosystream.engines.kokoro.sandhi import is_suffix_er, tone_of_bu, tone_of_yi


@pytest.mark.parametrize(
    ("text", "tones", "tone"),
    [
        ("一定", "14", "2"),
        ("一个", "15", "2"),
        ("一天", "11", "4"),
        ("一年", "12", "4"),
        ("一起", "13", "4"),
        ("一百", "13", "4"),
        ("一万", "14", "2"),
        ("一九九八", "1331", "1"),
        ("一点四", "134", "1"),
        ("一点事", "134", "4"),
        ("一月", "14", "1"),
        ("一楼", "12", "1"),
        ("一", "1", "1"),
    ],
)
def test_yi_at_the_beginning_follows_the_next_tone_unless_it_counts(text: str, tones: str, tone: str) -> None:
    assert tone_of_yi(text, 0, tones, ends_word=False) == tone


@pytest.mark.parametrize(
    ("text", "index", "tones", "ends_word", "tone"),
    [
        ("第一次", 1, "414", True, "1"),
        ("十一个", 1, "214", True, "1"),
        ("看一看", 1, "414", False, "5"),
        ("统一价", 1, "314", True, "1"),
        ("每一个", 1, "314", True, "2"),
        ("三点一刻", 2, "3314", False, "2"),
        ("三点一四", 2, "3314", False, "1"),
        ("三月一日", 2, "1414", False, "1"),
        ("星期一", 2, "111", True, "1"),
    ],
)
def test_yi_further_on_knows_what_is_before_it(text: str, index: int, tones: str, ends_word: bool, tone: str) -> None:
    assert tone_of_yi(text, index, tones, ends_word=ends_word) == tone


@pytest.mark.parametrize(
    ("text", "index", "tones", "tone"),
    [
        ("不是", 0, "44", "2"),
        ("不好", 0, "43", "4"),
        ("不", 0, "4", "4"),
        ("是不是", 1, "444", "5"),
        ("好不好", 1, "343", "5"),
        ("对不起", 1, "443", "4"),
    ],
)
def test_bu_rises_before_a_falling_tone(text: str, index: int, tones: str, tone: str) -> None:
    assert tone_of_bu(text, index, tones) == tone


@pytest.mark.parametrize(("word", "is_suffix"), [("玩儿", True), ("小孩儿", True), ("女儿", False), ("儿", False)])
def test_er_is_a_suffix_unless_it_means_a_child(word: str, is_suffix: bool) -> None:
    assert is_suffix_er(word, len(word) - 1) is is_suffix
