import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.text.split import CHARACTERS_PER_WEIGHT, clause_weight, split_clauses, split_sentences

TEXTS = st.text() | st.text(alphabet="中国，。！？…：“”（）\n\r  aBcé.,!?:;\"'()-12好的 U.S.", max_size=200)

LONG = [
    "中" * 70_000,
    "a" * 200_000,
    "." * 200_000,
    '."' * 100_000,
    "a. " * 66_000,
    "U." * 100_000,
    ",a" * 100_000,
    "“" * 70_000,
    " " * 200_000,
    "😀" * 50_000,
    "你好，世界。" * 11_000,
]


@pytest.mark.parametrize(
    "sentences",
    [
        ["你好。", "今天天气很好！", "我们去公园吧？", "好的；那就走：出发"],
        ["Hello there. ", "How are you? ", "Fine!"],
        ["他说：“你好。”", "然后走了。"],
        ["“真的吗？”", "他问。", "“真的！”", "她说。"],
        ["（他笑了。）", "我们也笑了。"],
        ['He said "hi." ', "Then he left."],
        ['他说"你好。"', '然后"再见。"', "走了"],
        ["真的？！", "太好了！！！", "走吧"],
        ["第一行\n", "第二行\r\n\n", "第三行"],
        ["  前面有空格。  ", "后面也有。 "],
        ["好。", "Good. ", "很好。"],
        ["版本发布了.", "我们很高兴."],
    ],
)
def test_a_sentence_ends_with_its_mark_its_quotes_and_the_space_behind(sentences: list[str]) -> None:
    assert split_sentences("".join(sentences)) == sentences


@pytest.mark.parametrize(
    "sentence",
    [
        "圆周率是3.14，不是3.15",
        "It costs $3.50 or 1,234.5 yen",
        "请访问 www.example.com 或 example.cn/a?b=1!c 查看",
        "Dr. Smith and Mrs. Lee met J. R. Tolkien on 5th Ave. in the U.S. and the U.K.",
        "Bring fruit, e.g. apples, i.e. what grows on trees, etc. and so on",
        "We meet at 3 p.m. on Tue. the 5th",
        "See Fig. 3 and No. 5",
        "他……想了想……走了",
        "Well... maybe… not",
        "Yahoo!Answers and node.js",
        '"Really?" he said',
        "“好！”，他说",
        "1. First things first",
    ],
)
def test_nothing_ends_inside(sentence: str) -> None:
    assert split_sentences(sentence) == [sentence]


@pytest.mark.parametrize(
    "sentences",
    [
        ["He left at 3 p.m. ", "Then he slept."],
        ["It is made by Foo Inc. ", "They like it."],
        ["He said no. ", "She said yes."],
        ["I waited... ", "Nothing came."],
        ["That was in 2020. ", "Now it is over."],
        ["So did I. ", "And you?"],
    ],
)
def test_an_abbreviation_or_a_number_can_be_the_last_word(sentences: list[str]) -> None:
    assert split_sentences("".join(sentences)) == sentences


def test_no_text_is_no_sentence() -> None:
    assert split_sentences("") == []
    assert split_clauses("") == []


@given(TEXTS)
def test_sentences_together_are_the_text(text: str) -> None:
    assert "".join(split_sentences(text)) == text


@given(TEXTS)
def test_no_sentence_spans_two_lines(text: str) -> None:
    assert not any("\n" in sentence.strip() for sentence in split_sentences(text))


@given(TEXTS, st.integers(1, 20), st.integers(1, 40), st.integers(24, 60))
def test_clauses_together_are_the_sentence_and_none_is_too_long(
    sentence: str, first: int, rest: int, longest: int
) -> None:
    clauses = split_clauses(sentence, first=first, rest=rest, longest=longest)
    assert "".join(clauses) == sentence
    assert all(clauses)
    assert all(clause_weight(clause) <= longest for clause in clauses)
    assert all(len(clause) <= CHARACTERS_PER_WEIGHT * longest for clause in clauses)


@pytest.mark.parametrize(
    "clauses",
    [
        ["今天天气很好，", "我们去公园玩吧，顺便买点东西，然后回家。"],
        ["好，走吧。"],
        ["苹果、香蕉、", "梨、桃子、西瓜、葡萄和草莓我都喜欢吃，尤其是西瓜。"],
        ["他说：“我们明天去北京，", "后天去上海。”"],
        ["Hello, everybody: ", "I have 3,045 apples at 12:30, and they are red; yes."],
        ["Hello there - ", "I am here - now"],
        ["他想了想……", "然后慢慢地走出了房间。"],
    ],
)
def test_the_first_clause_is_short_and_the_others_are_cut_at_pauses(clauses: list[str]) -> None:
    assert split_clauses("".join(clauses), first=4, rest=20) == clauses


def test_a_word_left_over_joins_the_clause_before_it() -> None:
    assert split_clauses("我们明天早上出发，好吗？") == ["我们明天早上出发，好吗？"]


def test_without_a_pause_a_sentence_is_cut_evenly() -> None:
    assert [len(clause) for clause in split_clauses("中" * 200, longest=50)] == [50, 50, 50, 50]
    assert [len(clause) for clause in split_clauses("中" * 52, longest=50)] == [26, 26]


def test_without_a_pause_a_cut_is_between_words_where_speech_may_pause() -> None:
    sentence = (
        "The quick brown fox jumps over the lazy dog while all the other animals of the forest look on in amazement"
    )
    assert split_clauses(sentence)[0].endswith(("dog ", "animals ", "forest "))
    assert all(clause[-1] == " " for clause in split_clauses(sentence)[:-1])
    assert split_clauses("我们都非常喜欢的" * 8)[0].endswith("的")


@pytest.mark.parametrize("sign", ['"', "<|", "《》"])
def test_signs_before_a_word_are_cut_no_shorter_than_they_must(sign: str) -> None:
    clauses = split_clauses(sign * 400 + "a", longest=40)
    assert {len(clause) for clause in clauses[:-1]} == {40 * CHARACTERS_PER_WEIGHT}


def test_a_word_without_end_is_cut_too() -> None:
    clauses = split_clauses("a" * 300)
    assert len(clauses) > 1
    assert "".join(clauses) == "a" * 300


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("你好，世界。", 4),
        ("Hello, world!", 4),
        ("GPU", 3),
        ("2026年", 5),
        ("extraordinarily", 3),
        ("……", 0),
        ("😀", 0),
    ],
)
def test_the_weight_is_about_a_character_or_half_a_word(text: str, weight: int) -> None:
    assert clause_weight(text) == weight


@pytest.mark.parametrize("text", LONG, ids=lambda text: repr(text[:6]))
def test_200_kb_take_no_longer_than_they_must(text: str) -> None:
    # Either takes a second or two; what is quadratic runs into the suite's time limit.
    assert "".join(split_sentences(text)) == text
    assert "".join(split_clauses(text)) == text
