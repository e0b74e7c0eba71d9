from collections import defaultdict

import pytest
from pypinyin.constants import PHRASES_DICT, PINYIN_DICT
from pypinyin.contrib.tone_convert import to_tone3

from cosystream.engines.kokoro.pinyin import FINALS, INITIALS, syllable_phonemes
from cosystream.engines.kokoro.tokens import load_vocabulary


def all_syllables() -> set[str]:
    """Every reading of every character and word that pypinyin knows."""
    toned = {reading for readings in PINYIN_DICT.values() for reading in readings.split(",")}
    toned |= {syllable[0] for phrase in PHRASES_DICT.values() for syllable in phrase}
    return {to_tone3(syllable, neutral_tone_with_five=True) for syllable in toned}


def test_every_syllable_has_phonemes_that_the_model_knows() -> None:
    vocabulary = load_vocabulary()
    syllables = all_syllables()
    assert len(syllables) > 1500
    for syllable in syllables:
        phonemes = syllable_phonemes(syllable)
        assert phonemes, syllable
        assert all(phoneme in vocabulary for phoneme in phonemes), syllable


def test_only_interjections_share_their_phonemes_with_another_syllable() -> None:
    spellings: dict[str, set[str]] = defaultdict(set)
    for syllable in all_syllables():
        spellings[syllable_phonemes(syllable[:-1] + "1")].add(syllable[:-1])
    shared = [spelling for spelling in spellings.values() if len(spelling) > 1]
    assert sorted(map(sorted, shared)) == [["en", "n"], ["eng", "ng"], ["heng", "hng"], ["lo", "luo"]]


@pytest.mark.parametrize(
    ("pinyin", "phonemes"),
    [
        ("zhuang1", "ꭧwa→ŋ"),
        ("ni3", "ni↓"),
        ("hao3", "xau↓"),
        ("ma5", "ma"),
        ("shi4", "ʂɨ↘"),
        ("si4", "sɨ↘"),
        ("xi1", "ɕi→"),
        ("yi1", "i→"),
        ("yan2", "jɛ↗n"),
        ("wu3", "u↓"),
        ("wen4", "wə↘n"),
        ("you3", "jou↓"),
        ("er4", "ɚ↘"),
        ("n2", "ə↗n"),
    ],
)
def test_a_syllable_is_initial_final_and_tone(pinyin: str, phonemes: str) -> None:
    assert syllable_phonemes(pinyin) == phonemes


@pytest.mark.parametrize("spellings", [("nv3", "nü3"), ("lve4", "lüe4")])
def test_v_is_another_spelling_of_umlauted_u(spellings: tuple[str, str]) -> None:
    assert syllable_phonemes(spellings[0]) == syllable_phonemes(spellings[1])


@pytest.mark.parametrize(("umlauted", "plain"), [("nv3", "nu3"), ("lv4", "lu4"), ("ju1", "zhu1"), ("yu2", "wu2")])
def test_umlauted_u_is_not_u(umlauted: str, plain: str) -> None:
    assert "y" in syllable_phonemes(umlauted)
    assert "u" in syllable_phonemes(plain)


@pytest.mark.parametrize("wrong", ["", "3", "hello", "bü", "shx1", "ma6", "A1"])
def test_what_is_no_syllable_is_an_error(wrong: str) -> None:
    with pytest.raises((KeyError, IndexError)):
        syllable_phonemes(wrong)


def test_the_tables_have_no_symbol_that_the_model_does_not_know() -> None:
    vocabulary = load_vocabulary()
    symbols = "".join([*INITIALS.values(), *("".join(parts) for parts in FINALS.values())])
    assert all(symbol in vocabulary for symbol in symbols)
