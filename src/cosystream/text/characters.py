"""The plain characters that a text is written with, and which of them can be spoken at all."""

import re
import unicodedata
from functools import lru_cache

PUNCTUATION = ",.!?;:'\"()-–—…，。！？；：、·“”‘’（）《》〈〉「」『』【】〔〕"
"""What shapes how a sentence is spoken. Every other sign is read by a rule or dropped."""

_SIGNS_OF_RULES = "#$%&*+/<=>@^~°±×÷²³¢£¥‰€₩₹₽≈≠≤≥"
"""Signs that a grammar or a rewrite may read. What these leave of them is dropped by ``tidy``."""

_INSTEAD = {
    "−": "-",
    "‐": "-",
    "‑": "-",
    "‒": "-",
    "―": "—",
    "⋯": "…",
    "[": "(",
    "]": ")",
    "{": "(",
    "}": ")",
    "㎡": "m²",
    "㎥": "m³",
    "№": "No.",
    "½": " 1/2",
    "¼": " 1/4",
    "¾": " 3/4",
}
_INVISIBLE = frozenset(["Cc", "Cf", "Cn", "Co", "Cs"])
_VARIATION_SELECTORS_AND_KEYCAP = frozenset([*map(chr, range(0xFE00, 0xFE10)), "\u20e3"])

_UNSPOKEN = re.compile(rf"[^\w\s{re.escape(PUNCTUATION)}]|[_²³]")
_SPACES = re.compile(r"[^\S\n]+")
_SPACE_BESIDE_PAUSE = re.compile(r" (?=[,.!?;:)，。！？；：、）](?![A-Za-z\d]))|(?<=[，；：、]) ")


def plain(text: str) -> str:
    """``text`` with one way of writing each character: half-width letters and digits, composed accents, one minus.

    Chinese punctuation stays, line ends become newlines. Emoji, ornaments and what cannot be seen become a space or
    nothing, and so do superscripts, which mark footnotes and trademarks.
    """
    return "".join(map(_plain_character, unicodedata.normalize("NFC", text)))


@lru_cache(maxsize=8192)
def _plain_character(character: str) -> str:
    if character in _INSTEAD:
        return _INSTEAD[character]
    if character.isspace():
        return "\n" if character in "\n\r\v\f\x85\u2028\u2029" else " "
    if character in PUNCTUATION or character in _SIGNS_OF_RULES:
        return character
    category = unicodedata.category(character)
    if category in _INVISIBLE or character in _VARIATION_SELECTORS_AND_KEYCAP:
        return ""
    kind, _, _ = unicodedata.decomposition(character).partition(" ")
    if kind == "<super>":
        return ""
    if kind == "<circle>" and category == "No":
        return f" {unicodedata.numeric(character):.0f} "
    if category == "Nl" and character != "〇":
        return f"{unicodedata.numeric(character):.0f}"  # Ⅲ
    if category == "Nd" and not character.isascii():
        return str(unicodedata.decimal(character))
    if kind.startswith("<"):
        return "".join(map(_plain_character, unicodedata.normalize("NFKC", character)))
    return " " if category[0] in "SPZ" else character


def tidy(text: str) -> str:
    """``text`` without the signs that nothing has read, and without the spaces that they leave."""
    return _SPACE_BESIDE_PAUSE.sub("", _SPACES.sub(" ", _UNSPOKEN.sub(" ", text)))
