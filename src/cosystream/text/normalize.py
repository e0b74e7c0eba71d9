"""Written text made speakable: numbers, dates, money, units and addresses as words, ornaments dropped."""

import re

from cosystream.text import chinese, english
from cosystream.text.addresses import spell_addresses
from cosystream.text.characters import PUNCTUATION, plain, tidy
from cosystream.text.rewriting import apply_rewrites
from cosystream.text.scripts import LATIN, has_han
from cosystream.text.split import split_clauses, split_sentences

_LONGEST_PIECE = 24
"""In the weight of ``split_clauses``: for a piece like that, a grammar holds the interpreter lock for some 5 ms. The
time grows with the square of the length: 4096 characters at once would hold it for 0.8 s."""

_WORD = re.compile(rf"(?<![{LATIN}\d.])[{LATIN}]*[a-zß-öø-ÿ][{LATIN}]+(?![{LATIN}\d])")
_HYPHEN_BEFORE_NUMBER = re.compile(r"(?<=[A-Za-z])-(?=\d)")
_NEEDS_GRAMMAR = {
    "zh": re.compile(r"\d"),
    "en": re.compile(r"[^A-Za-z\s,;:!?'’“”()…—.-]|\.(?!\Z)|\b[IVX]{2,}\b"),
}
_MARKS = re.compile(rf"[\s<>{re.escape(PUNCTUATION)}]*")
_REWRITES = {"zh": chinese.REWRITES, "en": english.REWRITES}
_ADDRESS_WORDS = {"zh": chinese.ADDRESS_WORDS, "en": english.ADDRESS_WORDS}


class Normalizer:
    """Reads out what is written in figures and signs, in Chinese and in English, each sentence in its own language.

    The grammars are wetext's (https://github.com/pengzhendong/wetext). A call changes nothing in this object, so that
    any number of threads may share it.
    """

    def __init__(self) -> None:
        from wetext import reorder, tag, verbalize

        self._tag, self._reorder, self._verbalize = tag, reorder, verbalize

    def __call__(self, text: str, language: str) -> str:
        """``text`` in words. ``language`` ("zh" or "en") is that of sentences which do not show it, as ``3.14``.

        A sentence with a Chinese character is Chinese, any other with a word of Latin letters English. In a sentence
        that shows no language, where ``language`` is none of the two, figures stay as they are. Line ends and the
        spaces between sentences stay too.
        """
        return "".join(self._sentence(sentence, language) for sentence in split_sentences(text))

    def _sentence(self, sentence: str, language: str) -> str:
        sentence = plain(sentence)
        if has_han(sentence):
            language = "zh"
        elif _WORD.search(sentence):
            language = "en"
        if language in _REWRITES:
            pieces = split_clauses(sentence, first=_LONGEST_PIECE, rest=_LONGEST_PIECE)
            sentence = "".join(self._piece(piece, language) for piece in pieces)
        return tidy(sentence)

    def _piece(self, piece: str, language: str) -> str:
        words = piece.strip()
        before, after = piece[: len(piece) - len(piece.lstrip())], piece[len(piece.rstrip()) :] if words else ""
        words = spell_addresses(words, _ADDRESS_WORDS[language])
        words = _HYPHEN_BEFORE_NUMBER.sub(" ", words)
        words = " ".join(apply_rewrites(words, _REWRITES[language]).split())  # two spaces are too many for a grammar
        if needs_grammar(words, language):
            words = self._read(words, language)
        return before + words + after

    def _read(self, words: str, language: str) -> str:
        """``words`` through the grammar, or as they are where it knows no way through."""
        tagged = self._tag(words, language, "tn")
        read = self._verbalize(self._reorder(tagged, language, "tn"), language, "tn") if tagged else ""
        stop = "." if words.endswith(".") and not read.endswith(".") else ""  # "3 p.m." takes the full stop along
        return read.replace("\\", "") + stop if read else words  # the grammar escapes quotation marks


def needs_grammar(words: str, language: str) -> bool:
    """Whether the grammar of ``language`` may change ``words``.

    Marks alone it leaves as they are, but the English one takes 0.1 s for 320 that are not English.
    """
    return _NEEDS_GRAMMAR[language].search(words) is not None and _MARKS.fullmatch(words) is None
