"""From the text of a clause to what Kokoro speaks: a character for each of its sounds, tones, stresses and pauses."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from cosystream.engines.kokoro.english import DIGITS as ENGLISH_DIGITS
from cosystream.engines.kokoro.english import GREEK_LETTERS, English, fold
from cosystream.engines.kokoro.mandarin import DIGITS as CHINESE_DIGITS
from cosystream.engines.kokoro.mandarin import Mandarin
from cosystream.text.scripts import HAN, LATIN

PAUSES = "?!.…—;:,"
"""The strongest first."""
_OPENERS, _CLOSERS = "“(", "”)"

_SPOKEN_SIGNS = str.maketrans("、。⋯–―’‘《》〈〉「」『』【】〔〕[]", ",.…——''“”“”“”“”“”()()")
_DOTS = re.compile(r"\.{2,}")
_GREEK = "\u0370-\u03ff\u1f00-\u1fff"
_LONE_GREEK = re.compile(rf"(?<![{_GREEK}])[{''.join(GREEK_LETTERS)}](?![{_GREEK}])")

_NUMBER_OR_LETTER = re.compile(rf"(?P<number>\d+(?:\.\d+)*)|(?P<han>[{HAN}])|[{LATIN}]")
_LETTER = re.compile(rf"(?P<han>[{HAN}])|[{LATIN}]")
_PART = re.compile(
    rf"(?P<han>[{HAN}]+)|(?P<latin>[{LATIN}](?:[^{HAN}{_OPENERS}{_CLOSERS}]*[{LATIN}])?)"
    rf"|(?P<mark>[{PAUSES}{_OPENERS}{_CLOSERS}])"
)


class Phonemizer:
    """Reads Mandarin and English, also mixed, with the dictionaries that are loaded when this is built (1.5 s).

    A call changes nothing in this object and what it loaded, so that any number of threads may share it.
    """

    def __init__(self, cache_dir: Path) -> None:
        """``cache_dir`` takes jieba's dictionary, so that the next start is faster."""
        self._mandarin = Mandarin(cache_dir)
        self._english = English()

    def __call__(self, text: str, *, language: str = "zh") -> str:
        """The phonemes of one clause; empty if nothing in it can be read.

        What cannot be read is left out. Figures are read one by one in the language of the letter before them, else
        of the one after; ``language`` ("zh" or "en") is that of a text without letters.
        """
        text = _spell_numbers(self._readable_part(_plain(text)), language)
        return _join(filter(None, map(self._part, _PART.finditer(text))))

    def unreadable(self, text: str) -> str:
        """The letters in ``text`` of scripts that this cannot read, each once: Cyrillic, kana, Hangul, Arabic ..."""
        return "".join(dict.fromkeys(c for c in _plain(text) if c.isalpha() and not self._is_letter(c)))

    def has_readable(self, text: str) -> bool:
        """Whether there is a letter or a figure in ``text`` that would be heard."""
        return any(c.isdecimal() or self._is_letter(c) for c in _plain(text))

    def _is_letter(self, character: str) -> bool:
        """Whether ``character`` is a letter of a script that this can read."""
        return self._mandarin.can_read(character) or (character.isalpha() and fold(character) != "")

    def _readable_part(self, text: str) -> str:
        kept = PAUSES + _OPENERS + _CLOSERS + "'-"
        return "".join(c if c in kept or c.isdecimal() or self._is_letter(c) else " " for c in text)

    def _part(self, match: re.Match[str]) -> str:
        if match["han"]:
            return self._mandarin.phonemes(match["han"])
        if match["latin"]:
            return self._english.phonemes(match["latin"])
        return match["mark"]


def _plain(text: str) -> str:
    """``text`` with one way of writing each character, and Greek letters that stand alone by their names."""
    text = unicodedata.normalize("NFKC", text).translate(_SPOKEN_SIGNS)
    return _LONE_GREEK.sub(lambda match: f" {GREEK_LETTERS[match[0]]} ", _DOTS.sub("…", text))


def _spell_numbers(text: str, language: str) -> str:
    """Replace each figure by its name."""
    if first_letter := _LETTER.search(text):
        language = "zh" if first_letter["han"] else "en"

    def spell(match: re.Match[str]) -> str:
        nonlocal language
        if not match["number"]:
            language = "zh" if match["han"] else "en"
            return match[0]
        if language == "zh":
            return "".join("点" if c == "." else CHINESE_DIGITS[int(c)] for c in match["number"])
        return " ".join(["", *("point" if c == "." else ENGLISH_DIGITS[int(c)] for c in match["number"]), ""])

    return _NUMBER_OR_LETTER.sub(spell, text)


def _join(parts: Iterable[str]) -> str:
    """Words and marks as a text: spaced as in English, no pause before the first word, one where several meet."""
    joined, has_words = "", False
    for part in parts:
        if part in PAUSES:
            if joined[-1:] in PAUSES and joined:
                joined = joined[:-1] + min(joined[-1], part, key=PAUSES.index)
            elif has_words:
                joined += part
        elif part in _CLOSERS:
            joined += part if has_words else ""
        else:
            joined += f" {part}" if joined and joined[-1] not in _OPENERS else part
            has_words = has_words or part not in _OPENERS
    return joined.rstrip(_OPENERS + " ") if has_words else ""
