"""Text cut into sentences, and a sentence into clauses that can be spoken one after the other. Nothing is lost.

Both walk once through the text; every look back or ahead is bounded or consumed, so that 200 kB cost what 200 kB must.
"""

import re
from collections.abc import Iterator, Sequence
from math import inf
from typing import NamedTuple

from cosystream.text.scripts import HAN, LATIN

CLOSERS = "\"'”’」』）)】]》〉〕}"
"""What belongs to the sentence that it closes. Straight quotes may open as well."""

# Sentences.

_LINE_ENDS = "\n\r\v\f\x85\u2028\u2029"
_END = re.compile(f"[{_LINE_ENDS}]|[。｡！？!?.…⋯]+")
_ELLIPSIS = re.compile(r"\.{2,}|[…⋯][.…⋯]*")
_CLOSERS = re.compile(f"[{re.escape(CLOSERS)}]*")
_SPACE = re.compile(r"\s*")
_WORD_BEFORE = re.compile(r"[^\W_]+(?:[.'’][^\W_]+)*\Z")
_LONGEST_ABBREVIATION = 24

_NEVER_LAST = frozenset(
    "mr mrs ms mx dr prof st mt gen col lt sgt capt cmdr adm maj rev hon gov sen rep pres fr messrs mme mlle "
    "e.g i.e cf viz vs approx".split()
)
"""Abbreviations that something always follows: a name, an example."""

_BEFORE_NUMBERS = frozenset("no nos vol fig figs eq sec ch p pp ca art".split())
"""Abbreviations, some of them words as well, that go on only with a number."""

_SELDOM_LAST = frozenset(
    "al etc inc ltd co corp bros jr sr dept est ave blvd rd a.m p.m b.c a.d ph.d m.d b.a m.a "
    "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thur thurs fri sat sun".split()
)
"""Abbreviations that end a sentence only where a capital letter follows."""


def split_sentences(text: str) -> list[str]:
    """Cut ``text`` after each sentence and each line. Joined together again, the pieces are ``text``.

    Closing quotes, brackets and white space stay with the sentence that they follow. A full stop ends nothing inside
    a number, a host name, an abbreviation or an ellipsis. A piece may hold nothing that can be read.
    """
    sentences: list[str] = []
    start = position = num_quotes = 0
    while end := _END.search(text, position):
        num_quotes += text.count('"', position, end.start())
        position = end.end()
        if end.group() not in _LINE_ENDS:
            closers_end = _end_of_closers(text, position, quote_is_open=num_quotes % 2 == 1)
            if not _ends_sentence(text, start, end, closers_end):
                continue
            position = closers_end
        position = _after_space(text, position)
        sentences.append(text[start:position])
        start, num_quotes = position, 0
    if start < len(text):
        sentences.append(text[start:])
    return sentences


def _after_space(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    assert space is not None
    return space.end()


def _end_of_closers(text: str, position: int, *, quote_is_open: bool) -> int:
    """Where the quotes and brackets end that close what ends at ``position``."""
    closers = _CLOSERS.match(text, position)
    assert closers is not None
    for index in range(position, closers.end()):
        if text[index] == '"':
            if not quote_is_open:
                return index
            quote_is_open = False
    return closers.end()


def _ends_sentence(text: str, start: int, end: re.Match[str], closers_end: int) -> bool:
    """Whether the marks ``end`` finish the sentence that begins at ``start``."""
    following = text[closers_end : closers_end + 1]
    if following and following in ",;:，、；：—":
        return False
    next_start = _after_space(text, closers_end)
    next_letter = text[next_start : next_start + 1]
    marks = end.group()
    if _ELLIPSIS.fullmatch(marks):
        return not next_letter or (next_start > closers_end and next_letter.isupper())
    if marks[-1] in "。｡！？…⋯":
        return True
    if following and not following.isspace() and following.isascii():
        return False  # example.com, 3.14, ?q=1
    if closers_end > end.end() and next_letter.islower():
        return False  # "Really?" he said.
    return marks != "." or not _is_abbreviation(text, start, end.start(), next_letter)


def _is_abbreviation(text: str, start: int, stop: int, next_letter: str) -> bool:
    """Whether the full stop at ``stop`` belongs to the word before it, and the sentence goes on."""
    before = _WORD_BEFORE.search(text[max(start, stop - _LONGEST_ABBREVIATION) : stop])
    if before is None:
        return False
    word = before.group()
    if not next_letter:
        return False
    if word.isdecimal():
        return not text[start : stop - len(word)].strip() and len(word) <= 3  # 1. the number of an item
    if word.lower() in _NEVER_LAST:
        return True
    if word.lower() in _BEFORE_NUMBERS and next_letter.isdecimal():
        return True
    if word.lower() in _SELDOM_LAST:
        return not next_letter.isupper()
    letters = word.split(".")
    is_initials = all(len(letter) == 1 and letter.isascii() and letter.isalpha() for letter in letters)
    return is_initials and (len(letters) > 1 or (word.isupper() and word != "I"))  # U.S., J. Smith


# Clauses.

CHARACTERS_PER_WEIGHT = 8
"""What weighs nothing is limited too: a clause that may weigh 40 has at most 320 characters."""

_TOKEN = re.compile(rf"[{HAN}]|[{LATIN}\d'’]{{1,24}}|\s{{1,24}}|.", re.DOTALL)
_CLAUSE_END = re.compile(
    rf"""(?: [，、；：。！？｡…⋯—]+ | \.{{2,}} | [,;:!?]+ (?![{LATIN}\d/]) | (?<=\s)[-–] (?=\s) | [{_LINE_ENDS}] )
         [{re.escape(CLOSERS)}]* \s*""",
    re.VERBOSE,
)
_PARTICLES = "的了"
_LINKS = frozenset(
    "and but or because that which who while when where if as than so with from for in on at to by of".split()
)


class _Token(NamedTuple):
    """A Chinese character, a Latin word (or 24 letters of one), a stretch of space, or a single sign."""

    text: str
    weight: int


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        token = match.group()
        if not any(map(str.isalnum, token)):
            weight = 0
        elif len(token) == 1 and not token.isascii():
            weight = 1
        elif token.isdecimal() or token.isupper():
            weight = len(token)
        else:
            weight = 2 + max(0, len(token) - 8) // 4
        yield _Token(token, weight)


def clause_weight(text: str) -> int:
    """How long ``text`` is to say: about one for each Chinese character and two for a Latin word.

    Long words weigh more; digits and capitals, which may be read one by one, weigh one each; signs weigh nothing.
    """
    return sum(token.weight for token in _tokens(text))


def split_clauses(sentence: str, *, first: int = 4, rest: int = 20, longest: int = 40) -> list[str]:
    """Cut ``sentence`` at its pauses, the first clause short so that it can be heard early.

    A clause is closed at the first pause where it weighs at least ``first``, and those after it ``rest`` (see
    ``clause_weight``). None weighs more than ``longest``, which is at least 24: a stretch without a pause that would
    is cut between words, and a word within. Joined together again, the pieces are ``sentence``.
    """
    clauses: list[str] = []
    clause, weight = "", 0
    for piece in _pieces(sentence, longest):
        piece_weight = clause_weight(piece)
        if clause and not _fits(weight + piece_weight, len(clause) + len(piece), longest):
            clauses.append(clause)
            clause, weight = "", 0
        clause, weight = clause + piece, weight + piece_weight
        if weight >= (rest if clauses else first):
            clauses.append(clause)
            clause, weight = "", 0
    if not clause:
        return clauses
    last = clauses[-1] if clauses else ""
    if clauses and weight < first and _fits(clause_weight(last) + weight, len(last) + len(clause), longest):
        clauses[-1] += clause  # a word alone is spoken badly
    else:
        clauses.append(clause)
    return clauses


def _fits(weight: int, num_characters: int, longest: int) -> bool:
    return weight <= longest and num_characters <= CHARACTERS_PER_WEIGHT * longest


def _pieces(sentence: str, longest: int) -> Iterator[str]:
    """The stretches between pauses, those too long for a clause cut further."""
    start = 0
    for end in _CLAUSE_END.finditer(sentence):
        yield from _cut_to_fit(sentence[start : end.end()], longest)
        start = end.end()
    if start < len(sentence):
        yield from _cut_to_fit(sentence[start:], longest)


def _cut_to_fit(stretch: str, longest: int) -> Iterator[str]:
    """``stretch`` in as few pieces as fit, of about the same weight."""
    tokens = list(_tokens(stretch))
    weight_left = sum(token.weight for token in tokens)
    characters_left = len(stretch)
    start = 0
    while not _fits(weight_left, characters_left, longest):
        num_pieces = max(2, -(-weight_left // longest))
        end = _best_cut(tokens, start, weight_left / num_pieces, longest)
        piece = tokens[start:end]
        yield "".join(token.text for token in piece)
        weight_left -= sum(token.weight for token in piece)
        characters_left -= sum(len(token.text) for token in piece)
        start = end
    yield "".join(token.text for token in tokens[start:])


def _best_cut(tokens: Sequence[_Token], start: int, share: float, longest: int) -> int:
    """Where to end the piece that begins at ``start`` and should weigh ``share``: at the best place near it."""
    weight = num_characters = 0
    best, best_rank = start + 1, (-1, -inf)
    for end in range(start + 1, len(tokens)):
        weight += tokens[end - 1].weight
        num_characters += len(tokens[end - 1].text)
        if not _fits(weight, num_characters, longest) or weight > 1.3 * share:
            break
        rank = (_quality(tokens[end - 1].text, tokens[end].text) if weight > 0.7 * share else -1, -abs(weight - share))
        if rank >= best_rank:
            best, best_rank = end, rank
    return best


def _quality(before: str, after: str) -> int:
    """How well a cut between two tokens sounds: 2 where speech might pause, 1 between words, 0 anywhere."""
    if (before.isspace() and after.lower() in _LINKS) or before in _PARTICLES:
        return 2
    return 1 if before.isspace() else 0
