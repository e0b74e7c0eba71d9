"""Text as CosyVoice models want it: normalised, cleaned up, and in segments of a few sentences each."""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from cosystream.text.scripts import LATIN, has_han
from cosystream.text.split import CLOSERS, split_clauses, split_sentences

_CLAUSE = 60
_LONGEST_CLAUSE = 80
"""In the weight of ``split_clauses``. A sentence longer than that is normalised in pieces, of which each says for
itself what of the caller's words a segment holds."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A sentence, or a few: what the model reads at once."""

    text: str
    written: str
    """The caller's sentences that begin in it, or beside it in what is not read: empty where it only goes on with one
    that began before."""


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """How long a segment is: in characters if the text is Chinese, in text tokens otherwise.

    Pieces are put together until the next would exceed ``most``, if they have reached more than ``enough``. Less than
    ``least`` at the end joins the segment before. With the values of the reference implementation
    (https://github.com/FunAudioLLM/CosyVoice).
    """

    most: int = 80
    enough: int = 60
    least: int = 20

    @property
    def longest_piece(self) -> int:
        """What is longer from one mark to the next is cut, which the reference does not do."""
        return 2 * self.most

    @property
    def longest(self) -> int:
        """No segment is longer (where the length of a whole is not more than that of its parts)."""
        return 3 * self.most


def segments(
    text: str,
    *,
    normalize: Callable[[str, str], str] | None,
    markup: re.Pattern[str],
    length: Callable[[str], int],
    limits: SegmentLimits = SegmentLimits(),
) -> tuple[Segment, ...]:
    """What to read of ``text``, in order; empty if there is nothing to say.

    ``normalize`` puts a text into words, given its language as a ``Normalizer`` takes it; None leaves the text as it is
    and, up to ``limits.longest``, in one piece. So does a control token, ``<|`` to ``|>``. ``markup`` are the strings,
    none of them empty, that the model takes as signs: they are never changed or cut. ``length`` counts text tokens.
    A segment without a letter, a figure or markup is dropped, but not what was written there: that goes to the segment
    after it, or at the end to the one before. What all segments hold as written is together ``text``, composed (NFC)
    and, where it is normalised, stripped of the white space around it.
    """
    text = unicodedata.normalize("NFC", text)  # as the signs are
    is_chinese = has_han(text)
    marks = CHINESE if is_chinese else OTHER
    measure = len if is_chinese else length
    if normalize is None or ("<|" in text and "|>" in text):
        parts = [_Part(part.written, part.written) for part in _written_parts(text, markup)]
        read = "".join(part.read for part in parts)
        pieces = [read] if measure(read) <= limits.longest else split(read, marks, markup, measure, limits)
    else:
        parts = list(_read_parts(text.strip(), normalize, markup, is_chinese=is_chinese))
        pieces = split(marks.finish(_joined(parts, marks)), marks, markup, measure, limits)
    return tuple(_with_what_was_written(pieces, parts, markup))


def read_as_one(text: str, *, normalize: Callable[[str, str], str], markup: re.Pattern[str]) -> str:
    """What is read of ``text``, in one piece however long it is, and with no mark at its end that is not its own."""
    text = unicodedata.normalize("NFC", text).strip()
    is_chinese = has_han(text)
    return _joined(_read_parts(text, normalize, markup, is_chinese=is_chinese), CHINESE if is_chinese else OTHER)


# What is read.


@dataclass(frozen=True, slots=True)
class _Part:
    """A sentence, a clause of a long one or a piece of markup, and what is read of it."""

    written: str
    read: str
    is_markup: bool = False


def _written_parts(text: str, markup: re.Pattern[str]) -> Iterator[_Part]:
    """``text`` in parts, none of them read yet."""
    start = 0
    spans = [match.span() for match in markup.finditer(text)]
    for begin, end in [*spans, (len(text), len(text))]:
        for sentence in split_sentences(text[start:begin]):
            for clause in split_clauses(sentence, first=_CLAUSE, rest=_CLAUSE, longest=_LONGEST_CLAUSE):
                yield _Part(clause, "")
        if begin < end:
            yield _Part(text[begin:end], text[begin:end], is_markup=True)
        start = end


def _read_parts(
    text: str, normalize: Callable[[str, str], str], markup: re.Pattern[str], *, is_chinese: bool
) -> Iterator[_Part]:
    """The parts of ``text`` normalised and cleaned up, with one space at most between any two words."""
    language = "zh" if is_chinese else "" if _OTHER_LETTER.search(text) else "en"
    before, space_before = "", False
    for part in _written_parts(text, markup):
        read = part.read if part.is_markup else normalize(part.written, language)
        words = " ".join(read.split())
        space_before = space_before or read[:1].isspace()
        if not words:
            yield _Part(part.written, "")
            continue
        space = " " if space_before and before else ""
        before, space_before, first = words[-1], read[-1].isspace(), before + space + words[0]
        if is_chinese:
            space = " " if " " in close_blanks(first) else ""
            words = words if part.is_markup else clean_chinese(close_blanks(words))
        yield _Part(part.written, space + words)


def _joined(parts: Iterable[_Part], marks: "Marks") -> str:
    """What is read of all ``parts``; commas at the end are a full stop."""
    text = "".join(part.read for part in parts)
    open_ended = text.rstrip("，,、")
    return text if open_ended == text else open_ended + marks.full_stop


_OTHER_LETTER = re.compile(rf"[^\W\d_{LATIN}]")
_BLANK = re.compile(r" (?![!-~])|(?<![!-~]) ")
_FULL_STOP = re.compile(r"\.(?![A-Za-z0-9])")
_BRACKETS = str.maketrans({"²": "平方", "³": "立方", **dict.fromkeys("（）【】`")})


def close_blanks(text: str) -> str:
    """``text`` without the spaces that are not between two ASCII characters: those beside a Chinese one, above all."""
    return _BLANK.sub("", text)


def clean_chinese(text: str) -> str:
    """``text`` with the signs that the models were trained on: no brackets, no dashes, Chinese full stops.

    A full stop inside a number or a name (3.5, U.S.) stays, which the reference replaces too.
    """
    text = _FULL_STOP.sub("。", text).replace(" - ", "，").replace("——", " ")
    return text.translate(_BRACKETS)


# Where it is cut.


class Marks:
    """What ends a piece in a language, with the quotes, brackets and tags behind it that close.

    The reference loses a mark that directly follows another, as in ``?!``, and knows only ``"`` and ``”`` to close.
    ``inner`` are marks that end nothing before a letter or figure: not in 3.5 and 10:30.
    """

    def __init__(self, marks: str, inner: str, full_stop: str) -> None:
        self.full_stop = full_stop
        closers = f"(?:[{re.escape(CLOSERS)}]|</[a-z]+>)*+"
        self.end = rf"(?:[{marks}]|[{inner}]++(?![A-Za-z0-9]))++{closers}"
        self._end_of_text = re.compile(rf"[{marks}{inner}]{closers}\Z")

    def finish(self, text: str) -> str:
        """``text``, if any, with a mark at its end."""
        return text if not text or self._end_of_text.search(text) else text + self.full_stop


CHINESE = Marks("。？！；：、?!;", ".", "。")
OTHER = Marks("。？！；：?!;", ".:", ".")
"""With the full-width ones of Japanese, which the reference does not end a piece at where there is no Chinese."""


def split(
    text: str, marks: Marks, markup: re.Pattern[str], length: Callable[[str], int], limits: SegmentLimits
) -> list[str]:
    """``text`` cut at its marks, and the pieces joined to segments within ``limits``. Nothing is lost."""
    joined: list[str] = []
    current, num_current = "", 0
    for piece in _pieces(text, marks, markup, length, limits.longest_piece):
        num_next = length(current + piece)
        if num_next > limits.most and num_current > limits.enough:
            joined.append(current)
            current, num_next = "", length(piece)
        current, num_current = current + piece, num_next
    if joined and num_current < limits.least:
        joined[-1] += current
    elif current:
        joined.append(current)
    return joined


def _pieces(
    text: str, marks: Marks, markup: re.Pattern[str], length: Callable[[str], int], longest: int
) -> Iterator[str]:
    start = 0
    signs_or_end = re.compile(f"(?:{markup.pattern})|(?P<end_of_piece>{marks.end})", markup.flags)
    for match in signs_or_end.finditer(text):
        if match["end_of_piece"]:
            yield from _cut_to_fit(text[start : match.end()], markup, length, longest)
            start = match.end()
    if start < len(text):
        yield from _cut_to_fit(text[start:], markup, length, longest)


def _cut_to_fit(piece: str, markup: re.Pattern[str], length: Callable[[str], int], longest: int) -> Iterator[str]:
    if length(piece) <= longest:
        yield piece
    else:
        atoms = [match.group() for match in re.finditer(f"(?:{markup.pattern})|[\\s\\S]", piece, markup.flags)]
        yield from _halved(atoms, length, longest)


def _halved(atoms: Sequence[str], length: Callable[[str], int], longest: int) -> Iterator[str]:
    whole = "".join(atoms)
    if len(atoms) == 1 or length(whole) <= longest:
        yield whole
        return
    middle = len(atoms) // 2
    nearby = range(max(1, len(atoms) // 4), max(2, len(atoms) * 3 // 4))
    cut = max(nearby, key=lambda place: (_quality(atoms[place - 1], atoms[place]), -abs(place - middle)))
    yield from _halved(atoms[:cut], length, longest)
    yield from _halved(atoms[cut:], length, longest)


def _quality(before: str, after: str) -> int:
    """How well a cut between two characters sounds: 2 after a comma, 1 between words, 0 anywhere."""
    if before in "，、—…" or (before in ",、；：:" and after.isspace()):
        return 2
    return 1 if after.isspace() else 0


def _with_what_was_written(pieces: Sequence[str], parts: Sequence[_Part], markup: re.Pattern[str]) -> Iterator[Segment]:
    """Each piece that can be spoken, with the parts that begin in it or just before, in what cannot.

    The last has all the parts that are left.
    """
    begins = list(accumulate((len(part.read) for part in parts), initial=0))[:-1]
    ends = accumulate(map(len, pieces))
    spoken = [(piece, end) for piece, end in zip(pieces, ends, strict=True) if _can_be_spoken(piece, markup)]
    first = 0
    for number, (piece, end) in enumerate(spoken, 1):
        stop = len(parts) if number == len(spoken) else bisect_left(begins, end, lo=first)
        yield Segment(piece, "".join(part.written for part in parts[first:stop]))
        first = stop


def _can_be_spoken(piece: str, markup: re.Pattern[str]) -> bool:
    return any(map(str.isalnum, piece)) or markup.search(piece) is not None
