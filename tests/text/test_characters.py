import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosystream.text.characters import plain, tidy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ＡＢＣ１２３％", "ABC123%"),
        ("￥９９", "¥99"),
        ("你好，世界！", "你好，世界！"),
        ("cafe\u0301", "café"),
        ("ﬁne", "fine"),
        ("𝐇𝐞𝐥𝐥𝐨", "Hello"),
        ("37℃", "37°C"),
        ("50㎡", "50m²"),
        ("第Ⅲ章", "第3章"),
        ("①②", " 1  2 "),
        ("2½", "2 1/2"),
        ("H₂O", "H2O"),
        ("note¹ Foo™", "note Foo"),
        ("−5", "-5"),
        ("٣", "3"),
        ("〇", "〇"),
        ("a\u200bb\u00adc", "abc"),
        ("a\u00a0b\u3000c\td", "a b c d"),
        ("a\r\nb\u2028c", "a\n\nb\nc"),
    ],
)
def test_each_character_is_written_one_way(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("你好😀，世界★。", "你好，世界。"),
        ("Good👍🏽day 👨‍👩‍👧", "Good day "),
        ("❤️ 1️⃣", " 1"),
        ("**bold** and _it_ | ~", " bold and it "),
        ("a → b", "a b"),
        ("said “yes” (he did)…", "said “yes” (he did)…"),
        ("один 日本語 한국어", "один 日本語 한국어"),
    ],
)
def test_ornaments_leave_no_trace(text: str, expected: str) -> None:
    assert tidy(plain(text)) == expected


@given(st.text())
def test_plain_text_stays_as_it_is(text: str) -> None:
    once = tidy(plain(text))
    assert tidy(plain(once)) == once
