"""From phonemes to the model's tokens, of which there is one for each character."""

import json
from collections.abc import Iterator, Mapping
from importlib import resources

MAX_TOKENS = 160
"""Of a clause. The model could take 510, but a clause is one step until its first window."""


def load_vocabulary() -> Mapping[str, int]:
    """The model's 114 symbols, which the English front end's package carries."""
    symbols = resources.files("hibari").joinpath("assets/vocab.json").read_text(encoding="utf-8")
    vocabulary: Mapping[str, int] = json.loads(symbols)
    return vocabulary


def split_to_fit(phonemes: str, limit: int = MAX_TOKENS) -> Iterator[str]:
    """Cut ``phonemes`` into even pieces that are no longer than ``limit``: after a space, where there is one.

    Joined together again, the pieces are ``phonemes``.
    """
    while phonemes:
        num_pieces = -(-len(phonemes) // limit)
        share = -(-len(phonemes) // num_pieces)
        end = len(phonemes)
        if num_pieces > 1:
            space = phonemes.rfind(" ", share // 2, share)
            end = share if space < 0 else space + 1
        yield phonemes[:end]
        phonemes = phonemes[end:]
