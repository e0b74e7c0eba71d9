"""Segments against the reference implementation's, where that loses and breaks nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from cosystream.text.segments import (
    CHINESE,
    OTHER,
    SegmentLimits,
    clean_chinese,
    close_blanks,
    read_as_one,
    segments,
    split,
)
from tests.text.test_segments import MARKUP, count_words, leave

DEVIATING = {
    "": "nothing to say is no segment, not an empty one",
    "。。！": "nor is it spoken if not normalised",
    "  padded 5 \n": "we leave it to the grammars to read numbers",
    "价格是3.5元 - 很便宜，": "a full stop inside a number stays",
}


@pytest.fixture
def text_cases(cases: Callable[[str], Any]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = cases("text_cases")
    return found


@pytest.mark.parametrize("group", ["split_paragraph", "split_small"])
def test_pieces_are_those_of_the_reference(text_cases: dict[str, list[dict[str, Any]]], group: str) -> None:
    for case in text_cases[group]:
        marks, length = (CHINESE, len) if case["lang"] == "zh" else (OTHER, count_words)
        limits = SegmentLimits()
        if group == "split_small":
            limits = SegmentLimits(most=case["token_max_n"], enough=case["token_min_n"], least=case["merge_len"])
        found = split(marks.finish(case["text"]), marks, MARKUP, length, limits)
        assert [piece for piece in found if any(map(str.isalnum, piece))] == case["split"]


def test_chinese_is_cleaned_up_as_by_the_reference(text_cases: dict[str, list[dict[str, Any]]]) -> None:
    for case in text_cases["helpers"]:
        text = case["text"]
        assert close_blanks(text) == case["blank"]
        assert clean_chinese(text) in {case["corner"], case["bracket"]} - ({text} if case["corner"] != text else set())


def test_what_cannot_be_spoken_is_dropped_as_by_the_reference(text_cases: dict[str, list[dict[str, Any]]]) -> None:
    for case in text_cases["only_punctuation"]:
        found = segments(case["text"], normalize=leave, markup=MARKUP, length=count_words)
        assert (not found) == (case["only_punct"] or not case["text"].strip())


def test_segments_are_those_of_the_reference(text_cases: dict[str, list[dict[str, Any]]]) -> None:
    for case in text_cases["text_normalize_without_wetext"]:
        text = case["text"]
        found = segments(text, normalize=leave, markup=MARKUP, length=count_words)
        untouched = segments(text, normalize=None, markup=MARKUP, length=count_words)
        if text not in DEVIATING:
            assert [segment.text for segment in found] == case["split"]
            assert [segment.text for segment in untouched] == case["no_frontend"]
            assert read_as_one(text, normalize=leave, markup=MARKUP) == case["nosplit"]
        else:
            same = [segment.text for segment in found] == case["split"]
            assert not (same and [segment.text for segment in untouched] == case["no_frontend"]), DEVIATING[text]
