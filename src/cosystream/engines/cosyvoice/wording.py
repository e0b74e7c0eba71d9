"""How each generation wants its prompt written, and what of a caller's text is prompt and not to be spoken."""

import re
from dataclasses import dataclass

from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.special_tokens import END_OF_PROMPT

ASSISTANT = "You are a helpful assistant."
"""How every prompt of the third generation begins."""
_CONTROL = re.compile(r"<\|[^<>|\s]{1,32}\|>|<\||\|>")
"""A control token, or what looks like one, or half of one, whose other half the next text may have: never speech."""


@dataclass(frozen=True, slots=True)
class Wording:
    """A caller's words, sorted: none of them holds a control token."""

    text: str
    instruction: str | None
    transcript: str | None


def sort_out(text: str, instruction: str | None, transcript: str | None) -> Wording:
    """What is to be spoken, how, and what the recording says.

    Callers who know the models write the marker that ends a prompt by themselves: at the end of an instruction, between
    the prompt and the words in a text or a transcript. What stands before it in a text is an instruction, unless there
    is another or it is the formula with which every prompt begins.
    """
    prompt, text = _parted(text)
    _, transcript = _parted(transcript or "")
    instruction = _bare((instruction or "").replace(END_OF_PROMPT, " "))
    return Wording(text, instruction or _bare(prompt) or None, transcript.strip() or None)


def transcript_prompt(version: Version, transcript: str) -> str:
    """The prompt with which the voice of a recording goes on; ``transcript`` is empty where its words are not known."""
    return f"{ASSISTANT}{END_OF_PROMPT}{transcript}" if version is Version.V3 else transcript


def instruction_prompt(version: Version, instruction: str) -> str:
    """The prompt that tells how to speak."""
    return f"{ASSISTANT} {instruction}{END_OF_PROMPT}" if version is Version.V3 else f"{instruction}{END_OF_PROMPT}"


def _parted(text: str) -> tuple[str, str]:
    """What stands before the last marker, and what behind it."""
    prompt, _, words = text.rpartition(END_OF_PROMPT)
    return prompt.replace(END_OF_PROMPT, " "), _CONTROL.sub(" ", words)


def _bare(prompt: str) -> str:
    return _CONTROL.sub(" ", prompt).strip().removeprefix(ASSISTANT).strip()
