"""How much of a text that is still being written may be spoken: what no later character can change."""

import re
from itertools import pairwise

from cosystream.text.scripts import HAN, LATIN
from cosystream.text.split import CLOSERS, clause_weight, split_sentences

LONG = {"pause": 60, "space": 120, "between": 200}
"""A sentence that weighs so much (see ``clause_weight``) is not waited for: it is cut at a pause, else at a space, else
between two Chinese characters."""

_PLACE = re.compile(
    rf"""(?<![，、；：—…,;:])(?P<pause>(?:[，、；：—…]++|[,;:]++(?=\s))[{re.escape(CLOSERS)}]*+\s*+(?=\S))
         |(?<!\s)(?P<space>\s++(?=\S))
         |(?P<between>(?<=[{HAN}])(?=[{HAN}]))""",
    re.VERBOSE,
)
"""Where a sentence may be cut, with what stands behind it."""
_LINE_END = re.compile(r"[\n\r\v\f\x85\u2028\u2029]")

_CURRENCY = r"(?:US|HK)?[$€£¥₩₽₹]"
_NUMBER = rf"""
    (?: (?:[第#№~+−-]|{_CURRENCY}|(?<![{LATIN}])(?:USD|HKD|EUR|GBP|CNY|RMB|JPY|[NV]ol?\.))\s*+   # $, No.
      | (?<![{LATIN}])[{LATIN}]{{1,24}}-?                                                        # GPT-
    )?
    \d[\d.,:/%‰~×*–—-]*+[十百千万亿点]*+                                                           # 2026, 3., 11:3, 5千
"""
_UNIT = r"""
    (?: [A-Za-zµμ°℃Ω²³/]{1,5}                                                                      # 5km, 5th
      | \ (?:[kKMGTcdmnµμ]?(?:[mglLsAVWBbJN]|Wh|Hz|bps|Pa)|[hkK]|min|[ap]m?|°[CF]?|℃|Ω)(?:/[A-Za-z]{0,3}|[²³])?
    )
"""
_UNFINISHED = re.compile(rf"(?:{_NUMBER}{_UNIT}?|第|{_CURRENCY}|[\[<][^\[\]<>]{{0,24}})\s*+\Z", re.VERBOSE)
_ABBREVIATION = re.compile(rf"(?:{_NUMBER}\ ?)?[{LATIN}][{LATIN}\d.'’]{{0,24}}\.\s*+\Z", re.VERBOSE)
_TAIL = 100
"""No unfinished end is longer."""


def committable(text: str, *, last: bool = False) -> int:
    """How many characters of ``text`` may be spoken now: its sentences, up to the last whose end is certain.

    An end is certain once a letter of the next sentence is there, or the line has ended. A sentence too long to be
    waited for is cut. What may be spoken of a text may be spoken of whatever begins with it; all of it, if it is the
    ``last``.
    """
    if last or _LINE_END.search(text, len(text.rstrip())):
        return len(text)
    *ended, rest = split_sentences(text) or [""]
    return sum(map(len, ended)) + _cut(rest)


def committable_in_a_pause(text: str) -> int:
    """The same if nobody has written on for a while: all of it but an unfinished end.

    That is a number, which may go on or be followed by what tells how to read it, a unit behind one, an abbreviation
    with its full stop, and a tag that is still open. A word is taken for whole.
    """
    return max(committable(text), len(text) - _length_of_unfinished_end(text))


def _length_of_unfinished_end(text: str) -> int:
    tail = text[-_TAIL:]
    pattern = _ABBREVIATION if _ends_with_abbreviation(tail) else _UNFINISHED
    unfinished = pattern.search(tail)
    return 0 if unfinished is None else len(tail) - unfinished.start()


def _ends_with_abbreviation(text: str) -> bool:
    """Whether a sentence could go on behind the full stop at the end."""
    words = text.rstrip()
    return words[-2:-1].isalpha() and words.endswith(".") and split_sentences(words + " a")[-1] != "a"


def _cut(stretch: str) -> int:
    """Where to cut a sentence without an end for the last time; 0 if it is not too long."""
    if len(stretch) < LONG["pause"]:  # hardly any weighs more than it has characters
        return 0
    cut = weight = 0
    places = [(match.end(), match.lastgroup or "") for match in _PLACE.finditer(stretch)]
    for (start, _), (end, kind) in pairwise([(0, ""), *places]):
        weight += clause_weight(stretch[start:end])
        if weight < LONG[kind]:
            continue
        if kind != "space" or weight >= LONG["between"] or not _length_of_unfinished_end(stretch[cut:end]):
            cut, weight = end, 0
    return cut
