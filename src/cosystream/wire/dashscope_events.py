"""DashScope's CosyVoice protocol: the events that tell a client what it hears.

The names and their order are those of "CosyVoice server-side events" (Alibaba Cloud, Model Studio, June 2026).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from cosystream.errors import (
    CallerError,
    Cancelled,
    CosystreamError,
    NotReady,
    Overloaded,
    ShuttingDown,
    Stalled,
)

SYLLABLE_LETTERS = 3
"""For how long a Chinese character or a digit sounds, in letters of a word that is spelt."""

_HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_SPELT = rf"(?:(?![{_HAN}])[^\W_])+"
_WORD = re.compile(rf"[{_HAN}]|{_SPELT}(?:['’]{_SPELT})*")
_SYLLABLE = re.compile(rf"[{_HAN}\d]")


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it sounds, which is an estimate between the ends of its sentence, from the words' lengths."""

    text: str
    begin_index: int
    end_index: int
    begin_time: int
    end_time: int


def word_times(sentence: str, begin_ms: int, end_ms: int) -> tuple[Word, ...]:
    """The words of ``sentence`` from its beginning to its end, each with its share of the time."""
    found = list(_WORD.finditer(sentence))
    letters = [len(word[0]) + (SYLLABLE_LETTERS - 1) * len(_SYLLABLE.findall(word[0])) for word in found]
    words, before = [], 0
    for word, num_letters in zip(found, letters, strict=True):
        begin, end = (
            begin_ms + round((end_ms - begin_ms) * share / sum(letters)) for share in (before, before + num_letters)
        )
        words.append(Word(word[0], word.start(), word.end(), begin, end))
        before += num_letters
    return tuple(words)


def billed_characters(text: str) -> int:
    """As DashScope counts: a Chinese character is two."""
    return len(text) + len(re.findall(f"[{_HAN}]", text))


class Narration:
    """The events of one task, in JSON. Times count from the beginning of its audio."""

    def __init__(self, task_id: str, request_id: str, *, says_all: bool = False, word_times: bool = False) -> None:
        self._task_id = task_id
        self._request_id = request_id
        self._says_all = says_all
        self._word_times = word_times
        self._index = -1
        self._text = ""
        self._begin_ms = 0
        self._characters = 0

    @property
    def has_begun(self) -> bool:
        """Whether there is a sentence that sounds."""
        return self._index >= 0

    def started(self) -> str:
        return self._event("task-started", {})

    def begins(self, text: str, at_ms: int) -> list[str]:
        """A sentence begins to sound, and the one before it has ended."""
        ended = self.ends(at_ms)
        self._index, self._text, self._begin_ms = self._index + 1, text, at_ms
        self._characters += billed_characters(text)
        return [*ended, self._sentence("sentence-begin", at_ms, original_text=text)]

    def sounds(self, until_ms: int) -> str:
        """Comes before each piece of audio."""
        return self._sentence("sentence-synthesis", until_ms)

    def ends(self, at_ms: int) -> list[str]:
        """The last sentence has ended, if there was one."""
        if not self.has_begun:
            return []
        words = word_times(self._text, self._begin_ms, at_ms) if self._word_times else ()
        return [self._sentence("sentence-end", at_ms, words, usage=True, original_text=self._text)]

    def finished(self, num_characters: int) -> str:
        # The clients of run-tasks that say all tell the last event by its null; the others look into it.
        output: object = None if self._says_all else {"sentence": {"words": []}}
        return self._event("task-finished", {"output": output, "usage": {"characters": num_characters}})

    def failed(self, error: CosystreamError) -> str:
        return self._event("task-failed", {}, error_code=error_code(error), error_message=str(error))

    def _sentence(self, kind: str, end_ms: int, words: Sequence[Word] = (), *, usage: bool = False, **more: str) -> str:
        sentence = {"index": self._index, "begin_time": self._begin_ms, "end_time": end_ms, "words": words}
        payload: dict[str, object] = {"output": {"type": kind, "sentence": sentence, **more}}
        if usage:
            payload["usage"] = {"characters": self._characters}
        return self._event("result-generated", payload)

    def _event(self, name: str, payload: Mapping[str, object], **more: str) -> str:
        header = {"task_id": self._task_id, "event": name, **more, "attributes": {"request_uuid": self._request_id}}
        return orjson.dumps({"header": header, "payload": payload}).decode()


def error_code(error: CosystreamError) -> str:
    """DashScope's word for it."""
    match error:
        case CallerError():
            return "InvalidParameter"
        case Overloaded():
            return "Throttling"
        case NotReady() | ShuttingDown():
            return "ServiceUnavailable"
        case Stalled():
            return "GatewayTimeout"
        case Cancelled():
            return "TaskCancelled"
    return "InternalError"
