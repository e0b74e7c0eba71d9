"""Web and mail addresses, and names of files, written out the way that people say them."""

import re
from dataclasses import dataclass

_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL}){{0,8}}\.[A-Za-z][A-Za-z0-9]{{1,12}}"

_MAIL = re.compile(rf"(?<![\w.@])([A-Za-z0-9][\w.+-]{{0,62}})@({_HOST})(?!\w)", re.ASCII)
_URL = re.compile(
    rf"(?<![\w.@])(?:(?:https?|ftp)://)?({_HOST})(?::\d+)?(/[\w.~%/-]*)?(?:\?[\w.~%=&+/-]*)?(?:#[\w.~%=&+/-]*)?",
    re.ASCII,
)
_SIGNS_WITHIN = re.compile(r"[_~%+-]+")
_VOWEL = re.compile("[aeiou]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AddressWords:
    """What the signs in an address are called in a language."""

    dot: str
    at: str
    slash: str


def spell_addresses(text: str, words: AddressWords) -> str:
    """Replace the addresses in ``text``: ``www.example.cn`` becomes ``W W W dot example dot C N``.

    The scheme, the port and what follows a question mark or ``#`` are left out, as they are in speech. A full stop
    between two words counts only where it cannot be the end of a sentence whose space was forgotten (``end.The next``).
    """

    def mail(match: re.Match[str]) -> str:
        return f" {_dotted(match[1], words)} {words.at} {_host(match[2], words)} "

    def url(match: re.Match[str]) -> str:
        host, path = match[1], (match[2] or "").rstrip("/.")
        if not _is_host(host, has_scheme="://" in match[0]):
            return match[0]
        trailing_stop = "." if match[0].endswith(".") else ""
        folders = [f" {words.slash} {_dotted(folder, words)}" for folder in path.split("/") if folder]
        return f" {_host(host, words)}{''.join(folders)}{trailing_stop} "

    return _URL.sub(url, _MAIL.sub(mail, text))


def _is_host(host: str, *, has_scheme: bool) -> bool:
    labels = host.split(".")
    if has_scheme or labels[0].lower() == "www":
        return True
    if any(len(label) == 1 and label.isalpha() for label in labels):
        return False  # e.g., U.S., a.m
    return labels[-1].islower() or labels[-1].isupper()


def _host(host: str, words: AddressWords) -> str:
    """A host or file name, what stands behind its last dot spelt unless it is a word."""
    name, _, ending = host.rpartition(".")
    is_word = len(ending) > 2 and _VOWEL.search(ending) is not None
    return f"{_dotted(name, words)} {words.dot} {ending if is_word else ' '.join(ending.upper())}"


def _dotted(name: str, words: AddressWords) -> str:
    labels = [" ".join(label.upper()) if label.lower() == "www" else label for label in name.split(".") if label]
    return _SIGNS_WITHIN.sub(" ", f" {words.dot} ".join(labels))
