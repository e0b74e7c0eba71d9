"""Chinese characters as phonemes: which words they form, how each is read in its word, which tones 一 and 不 take.

Third tones in a row stay as the dictionary has them, and so do syllables that lose their tone: the model was trained
on such transcripts and lets the first of two third tones rise by itself. But it says 一 and 不 with the tone given.
(Seen in the pitch of 你好, 很好, 朋友, 妈妈, 不是, 一个 and 一起, spoken by two voices from either transcript.)
"""

import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, cast

from cosystream.engines.kokoro.pinyin import syllable_phonemes
from cosystream.engines.kokoro.readings import WORDS, readings_in_context
from cosystream.engines.kokoro.sandhi import is_suffix_er, tone_of_bu, tone_of_yi
from cosystream.text.scripts import has_han

DIGITS = "零一二三四五六七八九"


class Mandarin:
    """jieba finds the words and pypinyin reads them; what both do not know is in ``readings``.

    Both dictionaries are loaded when this is built. A call changes nothing in this object.
    """

    def __init__(self, cache_dir: Path) -> None:
        """``cache_dir`` takes jieba's dictionary, 9 MB, so that the next start is faster."""
        from pypinyin import Style
        from pypinyin.constants import PHRASES_DICT, PINYIN_DICT
        from pypinyin.converter import UltimateConverter
        from pypinyin.core import Pinyin
        from pypinyin.seg import mmseg

        self._words = _load_jieba(cache_dir)
        self._characters = PINYIN_DICT
        self._phrases = PHRASES_DICT
        self._longest_phrases = mmseg.seg
        self._pinyin = Pinyin(UltimateConverter(neutral_tone_with_five=True))
        self._style = Style.TONE3

    def can_read(self, character: str) -> bool:
        return ord(character) in self._characters and has_han(character)  # some are for private use

    def phonemes(self, text: str) -> str:
        """``text``, Chinese characters alone, as phonemes, a space between words. Unknown characters are left out."""
        text = "".join(filter(self.can_read, text))
        words = list(self._words.cut(text))
        return " ".join(_spoken_words(words, self._readings(words)))

    def _readings(self, words: Sequence[str]) -> list[str]:
        """The pinyin of each character, as in ``zhong1``, 一 and 不 with any tone."""
        in_context = readings_in_context(words)
        readings: list[str] = []
        for word in words:
            for part in [word] if word in WORDS else self._longest_phrases.cut(word):
                if part in WORDS:
                    readings += WORDS[part].split()
                elif len(part) > 1 and part in self._phrases:
                    readings += self._pinyin.lazy_pinyin(part, style=self._style)
                else:
                    for character in part:
                        reading = in_context.get(len(readings))
                        readings += [reading] if reading else self._pinyin.lazy_pinyin(character, style=self._style)
        return readings


def _spoken_words(words: Sequence[str], readings: Sequence[str]) -> list[str]:
    """The phonemes of each of ``words``, whose characters have ``readings``; a suffix 儿 joins the word before it."""
    text = "".join(words)
    tones = [reading[-1] for reading in readings]
    spoken: list[str] = []
    index = 0
    for word in words:
        phonemes = ""
        for offset, character in enumerate(word):
            reading, ends_word = readings[index], offset == len(word) - 1
            if character == "一":
                reading = "yi" + tone_of_yi(text, index, tones, ends_word=ends_word and offset > 0)
            elif character == "不" and reading != "bu5":
                reading = "bu" + tone_of_bu(text, index, tones)
            elif character == "儿" and ends_word and reading == "er2" and is_suffix_er(text, index):
                reading = "er5"
            phonemes += syllable_phonemes(reading)
            index += 1
        if word == "儿" and phonemes == syllable_phonemes("er5") and spoken:
            spoken[-1] += phonemes
        else:
            spoken.append(phonemes)
    return spoken


class _Tokenizer(Protocol):
    """What we need of jieba, which has no types."""

    def cut(self, sentence: str) -> Iterator[str]: ...


def _load_jieba(cache_dir: Path) -> _Tokenizer:
    """A tokenizer of our own, so that nothing is written to the temporary folder."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes, and pkg_resources where there is one
        import jieba
    jieba.setLogLevel(logging.WARNING)
    cache_dir.mkdir(parents=True, exist_ok=True)
    tokenizer = jieba.Tokenizer()
    tokenizer.tmp_dir = str(cache_dir)
    tokenizer.initialize()
    return cast("_Tokenizer", tokenizer)
