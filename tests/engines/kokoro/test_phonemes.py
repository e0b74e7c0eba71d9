import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypinyin.constants import PHRASES_DICT, PINYIN_DICT

from cosystream.engines.kokoro.phonemes import PAUSES, Phonemizer
from cosystream.engines.kokoro.tokens import load_vocabulary
from cosystream.text.scripts import has_han

TEXTS = st.text() | st.text(alphabet="你好一不儿，。！？“”（）《》…— 12.aBcé'\"-Яあ😀()", max_size=80)

ENGLISH = """
Hello, world! Don't you know Dr. Smith (he's well-known)? The U.S. and the U.K. agreed, e.g. on trade; others: no.
"Really?" he said — "yes…" GPU, CPU, AI and TTS are spelt; NASA is not. Café, naïve, Müller, Łódź, Ærø, smörgåsbord.
zxqv brrr xkcd McDonald's iPhone o'clock rock'n'roll pneumonoultramicroscopicsilicovolcanoconiosis
""".split()


@pytest.fixture(scope="module")
def phonemizer(tmp_path_factory: pytest.TempPathFactory) -> Phonemizer:
    return Phonemizer(tmp_path_factory.mktemp("phonemes"))


@pytest.mark.parametrize(
    ("text", "phonemes"),
    [
        ("你好，世界。", "ni↓xau↓, ʂɨ↘ʨje↘."),
        ("“你好。”他说：“真的吗？！”", "“ni↓xau↓.” tʰa→ ʂwo→: “ꭧə→ntɤ ma?”"),
        ("《你好》（世界）……", "“ni↓xau↓” (ʂɨ↘ʨje↘)…"),
        ("，你好——", "ni↓xau↓—"),
        ("Hello, world!", "həlˈO, wˈɜɹld!"),
        ("“Hello” (he said…)", "“həlˈO” (hi sˈɛd…)"),
        ("我用Python写。", "wo↓jʊ↘ŋ pˈIθˌɑn ɕje↓."),
        ("A股、B超", "ˈA ku↓, bˈi ꭧʰau→"),
        ("GPU 很贵", "ʤˌipˌijˈu xə↓n kwei↘"),
        ("It has a GPU", "ˌɪt hæz ɐ ʤˌipˌijˈu"),
        ("W W W dot com", "dˈʌbᵊlju dˈʌbᵊlju dˈʌbᵊlju dˈɑt kˈɑm"),
        ("β测试", "bˈATə ʦʰɤ↘ʂɨ↘"),
        ("你好😀世界", "ni↓xau↓ ʂɨ↘ʨje↘"),
        ("他说：“", "tʰa→ ʂwo→:"),
    ],
)
def test_a_clause_is_read_with_its_pauses(phonemizer: Phonemizer, text: str, phonemes: str) -> None:
    assert phonemizer(text) == phonemes


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ("我有3个", "我有三个"),
        ("圆周率3.14", "圆周率三点一四"),
        ("２０２６年", "二零二六年"),
        ("I have 3 of 42", "I have three of four two"),
        ("GPT 4", "GPT four"),
        ("4.5 bananas", "four point five bananas"),
        ("有3个apple和 Windows 95", "有三个apple和 Windows nine five"),
    ],
)
def test_figures_left_over_are_read_one_by_one_in_the_language_around_them(
    phonemizer: Phonemizer, figures: str, words: str
) -> None:
    assert phonemizer(figures) == phonemizer(words)


def test_figures_alone_are_read_in_the_language_given(phonemizer: Phonemizer) -> None:
    assert phonemizer("42", language="zh") == phonemizer("四二")
    assert phonemizer("42", language="en") == phonemizer("four two")


@pytest.mark.parametrize(
    ("text", "unreadable", "has_readable"),
    [
        ("你好, café 42", "", True),
        ("привет, мир", "приветм", False),
        ("こんにちは、東京", "こんにちは", True),
        ("안녕 hello", "안녕", True),
        ("مرحبا", "مرحبا", False),
        ("Ελλάδα", "Ελάδα", False),
        ("π", "", True),
        ("😀★→", "", False),
        ("3", "", True),
        ("……", "", False),
        ("", "", False),
    ],
)
def test_it_knows_which_scripts_it_cannot_read(
    phonemizer: Phonemizer, text: str, unreadable: str, has_readable: bool
) -> None:
    assert set(phonemizer.unreadable(text)) == set(unreadable)
    assert phonemizer.has_readable(text) is has_readable


def test_every_character_of_the_dictionary_is_heard(phonemizer: Phonemizer) -> None:
    vocabulary = set(load_vocabulary())
    for character in filter(has_han, map(chr, PINYIN_DICT)):
        phonemes = phonemizer(character)
        assert phonemes, character
        assert set(phonemes) <= vocabulary, character


def test_no_text_gives_a_symbol_that_the_model_does_not_know(phonemizer: Phonemizer) -> None:
    vocabulary = set(load_vocabulary())
    phrases = random.Random(0).sample(sorted(PHRASES_DICT), 5000)
    for text in [*phrases, *ENGLISH, " ".join(ENGLISH)]:
        assert set(phonemizer(text)) <= vocabulary, text


@given(TEXTS)
def test_any_text_is_heard_if_and_only_if_it_can_be_read(phonemizer: Phonemizer, text: str) -> None:
    phonemes = phonemizer(text)
    assert set(phonemes) <= set(load_vocabulary())
    assert bool(phonemes) == phonemizer.has_readable(text)
    assert not phonemes.startswith((*PAUSES, " "))
    assert "  " not in phonemes


def test_threads_may_share_one(phonemizer: Phonemizer) -> None:
    texts = ["银行行长说，他们不一定来。", "Dr. Smith lives in the U.S.", "我有3个GPU", *ENGLISH] * 5
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(phonemizer, texts)) == [phonemizer(text) for text in texts]


def test_importing_it_loads_no_dictionary() -> None:
    code = (
        "import sys, cosystream.engines.kokoro.phonemes\n"
        "sys.exit(not {'jieba', 'pypinyin', 'hibari', 'torch'}.isdisjoint(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
