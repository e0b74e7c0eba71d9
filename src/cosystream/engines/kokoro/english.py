"""English, and whatever else is written in Latin letters, as phonemes."""

import re
import unicodedata

from cosystream.text.scripts import LATIN

DIGITS = "zero one two three four five six seven eight nine".split()

_GREEK = (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma sigma tau upsilon "
    "phi chi psi omega"
).split()
GREEK_LETTERS = {
    letter: name
    for index, name in enumerate(_GREEK)
    for letter in (chr(ord("α") + index), chr(ord("α") + index).upper())
}
"""The names of letters that stand alone, as in β 测试. Words in Greek are not read."""

_WITHOUT_DECOMPOSITION = {"æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "đ": "d", "ð": "th", "þ": "th", "ł": "l", "ı": "i"}
_LETTER = re.compile(f"[{LATIN}]")
_SINGLE_LETTERS = re.compile(r"[A-Za-z](?:[ -][A-Za-z])*")
_UNKNOWN_TO_MODEL = str.maketrans({"ʀ": "ɹ", "1": "", "-": ""})


def fold(letter: str) -> str:
    """``letter`` in the 26 letters of English, empty where it is not a variant of one of them."""
    lower = letter.lower()
    folded = _WITHOUT_DECOMPOSITION.get(lower) or "".join(filter(str.isascii, unicodedata.normalize("NFKD", lower)))
    return folded.upper() if letter.isupper() else folded


class English:
    """The lexicon, rules and network of hibari (https://pypi.org/project/hibari-tts), loaded when this is built.

    A call changes nothing in this object.
    """

    def __init__(self) -> None:
        from hibari.g2p import G2P

        self._g2p = G2P()
        self._readable = frozenset(self._g2p.oov.cin)  # loads the network for unknown words

    def phonemes(self, text: str) -> str:
        """``text``, Latin letters with English punctuation between them, as phonemes with that punctuation.

        A letter that stands alone, or among such, is called by its name, and so are acronyms.
        """
        if _SINGLE_LETTERS.fullmatch(text):
            return self._names(text)
        phonemes: str = self._g2p(_LETTER.sub(self._letter, text))
        return " ".join(phonemes.translate(_UNKNOWN_TO_MODEL).split()) or self._names(text)

    def _names(self, text: str) -> str:
        letters = "".join(fold(match[0]) for match in _LETTER.finditer(text))
        return " ".join(self._g2p.lexicon.get_NNP(letter)[0] for letter in letters)

    def _letter(self, match: re.Match[str]) -> str:
        """A letter that the lexicon or the network has met, with its accents if it has met them."""
        letter = match[0]
        for known in (letter, letter.lower()):
            if known in self._readable:
                return known
        return fold(letter)
