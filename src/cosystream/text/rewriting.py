"""Rewrites: what the grammars would misread, put so that they read it well."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rewrite:
    """Every match of ``pattern`` becomes ``replacement``: a template, or a function of the match."""

    pattern: re.Pattern[str]
    replacement: str | Callable[[re.Match[str]], str]


def rewrite(pattern: str, replacement: str | Callable[[re.Match[str]], str]) -> Rewrite:
    return Rewrite(re.compile(pattern), replacement)


def apply_rewrites(text: str, rewrites: Sequence[Rewrite]) -> str:
    """``text`` after each of ``rewrites`` in turn."""
    for one in rewrites:
        text = one.pattern.sub(one.replacement, text)
    return text
