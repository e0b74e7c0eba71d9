import re
import sys
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosystream.text.normalize import Normalizer
from cosystream.text.segments import CHINESE, OTHER, Segment, SegmentLimits, clean_chinese, read_as_one, segments, split

MARKUP = re.compile(r"\[[a-zà-ǜ_-]{1,15}\]|</?(?:strong|laughter)>|<\|endofprompt\|>")

SPEECH = st.text() | st.text(alphabet="中文。，、；！？…“”（） \n.,!?:;-—'\"()aB3é", max_size=600)
TAGGED = st.lists(
    SPEECH | st.sampled_from(["[laughter]", "[j][ǐ]", "<strong>", "</strong>", "好" * 70, "word " * 40]), max_size=12
).map("".join)

SIGNS = st.builds(str.__mul__, st.sampled_from(["。", "……", "- ", '"', "<|", "★ ", "，"]), st.integers(1, 300))

LONG = [
    "中" * 4096,
    "a" * 4096,
    "。" * 4096,
    "a. " * 1365,
    "😀" * 4096,
    "的，" * 2048,
    "[laughter]" * 409,
    "[" * 4096,
    "コンニチハ" * 800,
    "한국어 " * 1000,
    "第3章。" * 1000,
    " " * 4096,
]


def leave(text: str, language: str) -> str:
    return text


def count_words(text: str) -> int:
    return len(text.split())


def spoken(text: str, *, normalize: bool = True) -> tuple[Segment, ...]:
    """Each character counts as a text token."""
    return segments(text, normalize=leave if normalize else None, markup=MARKUP, length=len)


def letters(text: str) -> str:
    return "".join(filter(str.isalnum, text.replace("²", "平方").replace("³", "立方")))


def texts(found: tuple[Segment, ...]) -> list[str]:
    return [segment.text for segment in found]


@pytest.mark.parametrize("text", ["", " \n", "。。！", "……", "+-", "★", "“”"])
@pytest.mark.parametrize("normalize", [True, False])
def test_nothing_to_say_is_no_segment(text: str, *, normalize: bool) -> None:
    assert spoken(text, normalize=normalize) == ()


@pytest.mark.parametrize(
    "written",
    ["真的？！好吧。", "等等...好。", "!?”好。", "好。””好。", "Well... Really?! Yes.", '"No!!" he said.', ':" a.'],
)
def test_no_mark_is_lost_beside_another(written: str) -> None:
    assert "".join(texts(spoken(written))).replace("。", ".") == written.replace("。", ".")


@pytest.mark.parametrize("written", ["圆周率是3.14啊。", "It is 3.14 or 10:30 in the U.S.A today.", "见v2.0版。"])
def test_a_number_or_name_is_not_cut_at_its_full_stop(written: str) -> None:
    limits = SegmentLimits(most=9, enough=1, least=0)
    marks = CHINESE if "。" in written else OTHER
    assert split(written, marks, MARKUP, len, SegmentLimits(most=99, enough=0, least=0)) == [written]
    assert any("3.14" in piece or "2.0" in piece for piece in split(written, marks, MARKUP, len, limits))


def test_closing_quotes_brackets_and_tags_stay_with_what_they_close() -> None:
    pieces = ["（他说：", "“好。”）", "<strong>No!</strong>", " (Yes.)", ' "Ok."', " End."]
    assert split("".join(pieces), OTHER, MARKUP, len, SegmentLimits(most=10, enough=0, least=0))[-4:] == pieces[-4:]
    assert split("".join(pieces[:2]), CHINESE, MARKUP, len, SegmentLimits(most=4, enough=0, least=0)) == pieces[:2]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("标题\n正文", "标题正文。"),
        ("Title\nbody", "Title body."),
        ("用  Open  AI 的\nmodel", "用Open AI的model。"),
        ("（注）【重要】`code`——说明，", "注重要code 说明。"),
        ("你好 [laughter] 世界", "你好[laughter]世界。"),
        ("a [laughter] b", "a [laughter] b."),
        ("【[breath]】好", "[breath]好。"),
        ("他说：“好。”", "他说：“好。”"),
        ("Hello,", "Hello."),
        ("m²啊", "m平方啊。"),
        ("コンニチハ。", "コンニチハ。"),
        ("안녕하세요", "안녕하세요."),
    ],
)
def test_text_is_cleaned_up(written: str, read: str) -> None:
    assert texts(spoken(written)) == [read]


def test_a_text_read_as_one_is_neither_cut_nor_finished() -> None:
    assert (
        read_as_one(" 他说：（好）\n然后 [laughter] 走了 ", normalize=leave, markup=MARKUP)
        == "他说：好然后[laughter]走了"
    )
    assert read_as_one("一、二，", normalize=leave, markup=MARKUP) == "一、二。"
    assert len(read_as_one("这是一句话。" * 100, normalize=leave, markup=MARKUP)) == 600
    assert read_as_one("", normalize=leave, markup=MARKUP) == ""


def test_without_normalisation_the_text_is_taken_as_it_is() -> None:
    assert texts(spoken("  第3章（a） \n", normalize=False)) == ["  第3章（a） \n"]
    assert texts(spoken("  hi<|endofprompt|>there（a） ")) == ["  hi<|endofprompt|>there（a） "]
    long = "这是一句话。" * 100
    found = texts(spoken(long, normalize=False))
    assert "".join(found) == long
    assert max(map(len, found)) <= 80


@pytest.mark.parametrize("text", ["中" * 4096, "word " * 800, "一二三四，" * 800])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_sentence_without_end_is_cut(text: str, *, normalize: bool) -> None:
    found = texts(spoken(text, normalize=normalize))
    assert all(20 <= len(piece) <= 240 for piece in found)
    if text[0] != "中":
        assert all(piece.strip()[-1] in "，.。" or piece[-1] == "d" or piece.endswith(" ") for piece in found)
        assert all(piece[0] in " w一" for piece in found)


def test_markup_is_neither_read_nor_cut() -> None:
    given: list[str] = []

    def shout(text: str, language: str) -> str:
        given.append(text)
        return text.upper()

    text = "one [laughter] two <strong>three</strong>."
    (segment,) = segments(text, normalize=shout, markup=MARKUP, length=len)
    assert segment == Segment("ONE [laughter] TWO <strong>THREE</strong>.", text)
    assert given == ["one ", " two ", "three", "."]
    found = texts(spoken("[quick_breath]" * 100))
    assert len(found) > 3
    assert all(re.fullmatch(r"(\[quick_breath\])+\.?", piece) for piece in found)


def test_signs_are_found_however_their_accents_are_written() -> None:
    assert texts(spoken(unicodedata.normalize("NFD", "[j][ǐ]。"))) == ["[j][ǐ]。"]


def test_markup_alone_is_spoken() -> None:
    assert spoken("[laughter]") == (Segment("[laughter].", "[laughter]"),)


def test_a_segment_says_which_of_the_callers_sentences_begin_in_it() -> None:
    def lengthen(text: str, language: str) -> str:
        return text.replace("1", "一" * 50 + "、")

    written = ["他说11。", "你好。\n", "再见1！", "★"]
    found = segments("".join(written), normalize=lengthen, markup=MARKUP, length=len)
    assert [segment.written for segment in found] == ["他说11。", "你好。\n再见1！★"]
    (first, second) = segments("他说1111。", normalize=lengthen, markup=MARKUP, length=len)[:2]
    assert (first.written, second.written) == ("他说1111。", "")


@pytest.mark.parametrize(
    "text",
    [
        "。" * 200 + "你好。再见。",
        "……" * 90 + "hello world. good bye.",
        "- - - - " * 60 + "Chapter 1. It begins.",
        '"' * 4095 + "a",
        "你好。" + "★。" * 200,
    ],
    ids=lambda text: text[:5],
)
@pytest.mark.parametrize("normalize", [True, False])
def test_signs_that_are_dropped_are_written_in_a_segment_beside_them(text: str, *, normalize: bool) -> None:
    (segment,) = spoken(text, normalize=normalize)
    assert segment.written == text


def test_words_that_follow_dropped_signs_are_written_where_they_are_spoken() -> None:
    before, dropped, after = "你好。" * 25, "？" * 200, "再见。" * 25
    found = spoken(before + dropped + after)
    assert len(found) > 1
    assert found[-1].written.endswith(after)
    assert "".join(segment.written for segment in found) == before + dropped + after


def test_the_language_of_figures_is_that_of_the_text() -> None:
    given: set[str] = set()

    def listen(text: str, language: str) -> str:
        given.add(language)
        return text

    for text, language in [("共有[breath]3", "zh"), ("3", "en"), ("at <strong>3</strong>", "en"), ("3시", "")]:
        given.clear()
        segments(text, normalize=listen, markup=MARKUP, length=len)
        assert given == {language}


def test_normalised_text_is_read_in_words() -> None:
    found = segments(
        "价格是3.5元 [laughter]，时间10:30。I have 3 cats.", normalize=Normalizer(), markup=MARKUP, length=len
    )
    assert texts(found) == ["价格是三点五元[laughter]，时间十点三十分。I have three cats。"]
    assert found[0].written == "价格是3.5元 [laughter]，时间10:30。I have 3 cats."


@given(TAGGED, st.booleans())
def test_nothing_is_lost_and_no_segment_too_long(text: str, normalize: bool) -> None:
    found = spoken(text, normalize=normalize)
    assert all(len(segment.text) <= SegmentLimits().longest + 1 for segment in found)
    source = unicodedata.normalize("NFC", text)
    assert bool(found) == (any(map(str.isalnum, source)) or MARKUP.search(source) is not None)
    assert letters("".join(segment.text for segment in found)) == letters(source)


@given(TAGGED | st.lists(SIGNS | SPEECH, max_size=6).map("".join), st.booleans())
def test_what_was_written_is_the_whole_text_and_never_later_than_it_is_spoken(text: str, normalize: bool) -> None:
    found = spoken(text, normalize=normalize)
    source = unicodedata.normalize("NFC", text)
    is_stripped = normalize and not ("<|" in source and "|>" in source)
    if found:
        assert "".join(segment.written for segment in found) == (source.strip() if is_stripped else source)
        assert found[0].written.strip()
    for number in range(1, len(found) + 1):
        written = letters("".join(segment.written for segment in found[:number]))
        assert written.startswith(letters("".join(segment.text for segment in found[:number])))


@settings(max_examples=30, deadline=None)
@given(TAGGED)
def test_the_real_normaliser_leaves_the_markup_in_its_order(text: str) -> None:
    found = segments(text, normalize=Normalizer(), markup=MARKUP, length=len)
    source = unicodedata.normalize("NFC", text)
    assert MARKUP.findall("".join(texts(found))) == MARKUP.findall(source)


@pytest.mark.parametrize("text", LONG, ids=lambda text: text[:5])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_longest_text_costs_little(text: str, *, normalize: bool) -> None:
    calls = 0

    def count(text: str) -> int:
        nonlocal calls
        calls += len(text)
        return len(text)

    segments(text, normalize=leave if normalize else None, markup=MARKUP, length=count)
    assert calls <= 100 * len(text)


def test_any_character_is_taken() -> None:
    everything = "".join(map(chr, [*range(0, 0xD800, 5), *range(0xE000, sys.maxunicode + 1, 29)]))
    assert "".join(texts(spoken(everything)))
    assert clean_chinese("") == ""
