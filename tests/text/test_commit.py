import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.text.commit import committable, committable_in_a_pause

LETTERS = "中国第，。！？…：“”（）\n\r  aBcé.,!?:;\"'()[]$-123 U.S.km年"
TEXTS = st.text() | st.text(LETTERS, max_size=60) | st.text("中国，“a b. ", min_size=100, max_size=300)

WRITTEN = [
    # committed | held back
    "|",
    "|你好",
    "|你好。",
    "你好。|今",
    "你好。|今天天气很好",
    "你好。今天天气很好！|我",
    "真的吗？|他",
    "真的？！|好",
    "太好了！！！|走",
    "他说：“你好。”|然",
    "|他说：“你好。”",
    "|他说：“你好。",
    "（他笑了。）|我们",
    "“真的吗？”|他问。",
    "|他想了想……",
    "|他想了想……走了",
    "好吧……。|走",
    "版本发布了.|我",
    "好；走：出发。|嗯",
    "第一行\n|",
    "第一行\n\n|第",
    "第一行\n  |",
    "没有句号\r\n|下一行",
    "今年是2026年。|明",
    "|今年是2026",
    "|圆周率是3.",
    "|圆周率是3.14",
    "圆周率是3.14。|又",
    "|价格是$5",
    "|请访问 www.example.",
    "|请访问 www.example.com",
    "请访问 example.com。|再",
    "|Hello there.",
    "|Hello there. ",
    "Hello there. |H",
    "Hello there. How are you? |F",
    "Hello there!  |Y",
    "Hello.\n|",
    "|Dr.",
    "|Dr. ",
    "|Dr. Smith",
    "Dr. Smith left. |H",
    "|Mr. and Mrs. Lee",
    "|e.g. ",
    "|Bring fruit, e.g. apples",
    "|I live in the U.S. ",
    "|I live in the U.S. and",
    "|We meet at 3 p.m. on",
    "He left at 3 p.m. |T",
    "|It is 3.",
    "|It is 3.1",
    "It is 3. |N",
    "That was in 2020. |N",
    "|See Fig. 3",
    "|No. 5",
    "He said no. |S",
    "|I ran 5 km",
    "I ran 5 km. |T",
    "|Wait...",
    "|Wait... what",
    "Wait... |W",
    "Wait... What?! |Y",
    'He said "hi." |T',
    '|"Really?" he said',
    "|1. First things",
    "好。|G",
    "好。Good. |很",
    "It is made by Foo Inc. |T",
    "|It is made by Foo Inc. and",
    "|node.js is",
    "|“好！”，他说",
]

IN_A_PAUSE = [
    # spoken | held back
    "|",
    "你好|",
    "你好。|",
    "Hello|",
    "Hello there. |",
    "今天是|2026",
    "今年是2026年|",
    "圆周率是|3.",
    "圆周率是|3.14",
    "一共|5千",
    "这是|第",
    "这是|第3",
    "价格是|¥",
    "价格是|$5",
    "It costs |$5",
    "It costs |$5 ",
    "It is |5 k",
    "It is |5km",
    "It is |5 km",
    "It is |5 km/",
    "It is |20 °C",
    "I ran 5 km.|",
    "In 2026 we|",
    "We have 5 children|",
    "It is |3.",
    "at |3 p.m.",
    "This is |Dr.",
    "This is |Dr. ",
    "fruit, |e.g.",
    "in the |U.S.",
    "He said no.|",
    "Well...|",
    "I like C++|",
    "this is |GPT-4",
    "on |2026-11-",
    "at |11:3",
    "about |50%",
    "See |No. 5",
    "好的|[laugh",
    "好的[laughter]|",
    "好的~|",
    "“真的吗？”|",
]


@pytest.mark.parametrize("written", WRITTEN)
def test_what_is_spoken_ends_with_a_sentence_whose_end_is_certain(written: str) -> None:
    committed, _, _ = written.partition("|")
    assert committable(written.replace("|", "", 1)) == len(committed)


@pytest.mark.parametrize("written", IN_A_PAUSE)
def test_in_a_pause_only_an_unfinished_end_is_held_back(written: str) -> None:
    committed, _, _ = written.partition("|")
    assert committable_in_a_pause(written.replace("|", "", 1)) == len(committed)


@given(TEXTS)
def test_what_is_committed_never_depends_on_what_comes_later(text: str) -> None:
    committed = [committable(text[:length]) for length in range(len(text) + 1)]
    assert committed == sorted(committed)
    assert all(num_chars <= length for length, num_chars in enumerate(committed))


@given(TEXTS)
def test_fed_character_by_character_the_pieces_joined_are_the_text(text: str) -> None:
    pieces, pending = [], ""
    for character in text:
        pending += character
        num_chars = committable(pending)
        pieces.append(pending[:num_chars])
        pending = pending[num_chars:]
    assert "".join(pieces) + pending[: committable(pending, last=True)] == text


@given(TEXTS)
def test_nothing_is_held_back_of_the_last(text: str) -> None:
    assert committable(text, last=True) == len(text)


@given(TEXTS)
def test_in_a_pause_no_less_is_spoken_than_otherwise(text: str) -> None:
    assert committable(text) <= committable_in_a_pause(text) <= len(text)


def first_cut(text: str) -> str:
    """What is committed first as ``text`` is written."""
    return next((text[:cut] for length in range(len(text)) if (cut := committable(text[:length]))), "")


def test_a_sentence_that_does_not_end_is_cut_at_a_pause() -> None:
    clause = "我们今天要去公园里面散步，"
    assert first_cut(clause * 20) == clause * 5
    assert first_cut("we went to the park and then home, " * 20) == "we went to the park and then home, " * 4


def test_without_a_pause_it_is_cut_between_words() -> None:
    assert first_cut("word " * 200) == "word " * 60
    assert first_cut("字" * 500) == "字" * 200


def test_such_a_cut_is_at_no_number() -> None:
    assert first_cut("word " * 59 + "5 kilometres and " * 9) == "word " * 59 + "5 kilometres "
    assert first_cut("word " * 59 + "Dr. Smith " * 9) == "word " * 59 + "Dr. Smith "


def test_a_long_text_costs_no_more_than_it_must() -> None:
    parts = ["a", ".", "1, ", "字", " ", "\n ", "[", "“", "，", ",", "Dr. ", "a. ", "5 k "]
    for text in (part * (20_000 // len(part)) + "a" for part in parts):  # what is quadratic takes minutes
        assert committable(text) <= committable_in_a_pause(text) <= len(text)
