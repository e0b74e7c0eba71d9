"""Text to token ids: the byte-level BPE of Qwen2, out of a checkpoint's files, with the tokens that CosyVoice adds."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from tokenizers import AddedToken, Regex, Tokenizer
from tokenizers.models import BPE
from tokenizers.normalizers import NFC
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split

from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.special_tokens import END_OF_PROMPT, added_tokens, is_control

WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    r"|[^\r\n\p{L}\p{N}]?\p{L}+"
    r"|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+"
    r"|\s+(?!\S)"
    r"|\s+"
)
"""What Qwen2 takes for a word: tokens never reach across two of them."""
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


class TextTokenizer:
    """The tokens of one checkpoint. Any thread may call it."""

    def __init__(self, folder: Path, version: Version) -> None:
        """Read the tokenizer's three files in ``folder``; CheckpointError says what is amiss."""
        vocabulary = _read_vocabulary(folder / "vocab.json")
        self._tokenizer = Tokenizer(BPE(vocabulary, _read_merges(folder / "merges.txt", vocabulary)))
        self._tokenizer.normalizer = NFC()
        words = Split(Regex(WORDS), "isolated")
        self._tokenizer.pre_tokenizer = Sequence([words, ByteLevel(add_prefix_space=False, use_regex=False)])

        specials = _read_added_tokens(folder / "tokenizer_config.json", first_id=len(vocabulary))
        specials += [AddedToken(token, normalized=False, special=True) for token in added_tokens(version)]
        self._tokenizer.add_special_tokens(specials)

        self.specials: Mapping[str, int] = MappingProxyType(
            {token.content: number for number, token in self._tokenizer.get_added_tokens_decoder().items()}
        )
        """Each special token's id."""
        self.end_of_prompt = self.specials[END_OF_PROMPT]
        self.markup = re.compile("|".join(re.escape(token) for token in self.specials if not is_control(token)))
        """Finds the special tokens that stand for sounds: welcome in a caller's text, and not to be rewritten."""

    def __len__(self) -> int:
        """How many ids there are."""
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """The ids of ``text``. Special tokens are recognised wherever they stand, exactly as they are written."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise CheckpointError(f"{path}: is not text in UTF-8; download it again") from None


def _read_object(path: Path) -> dict[str, object]:
    try:
        content = json.loads(_read_text(path))
    except (json.JSONDecodeError, RecursionError):
        raise CheckpointError(f"{path}: is not JSON; download it again") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected an object, found {type(content).__name__}")
    return content


def _read_vocabulary(path: Path) -> dict[str, int]:
    content = _read_object(path)
    vocabulary = {token: number for token, number in content.items() if type(number) is int}
    if len(vocabulary) < len(content) or set(vocabulary.values()) != set(range(len(content))):
        raise CheckpointError(f"{path}: the ids are not 0 to {len(content) - 1}, each once")
    if missing := set(ByteLevel.alphabet()) - vocabulary.keys():  # text would be lost without a word
        raise CheckpointError(f"{path}: {len(missing)} of the 256 bytes have no token")
    return vocabulary


def _read_merges(path: Path, vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    merges = []
    for number, line in enumerate(_read_text(path).split("\n"), 1):
        if line.startswith("#version") or not line.strip():
            continue
        left, _, right = line.rstrip("\r").partition(" ")
        if not {left, right, left + right} <= vocabulary.keys():
            raise CheckpointError(f"{path}: line {number} is not a pair of tokens that make a token of vocab.json")
        merges.append((left, right))
    return merges


def _read_added_tokens(path: Path, first_id: int) -> list[AddedToken]:
    """The special tokens that the folder itself adds to its vocabulary, in the order of their ids."""
    by_id = _read_object(path).get("added_tokens_decoder")
    if not isinstance(by_id, dict):
        raise CheckpointError(f"{path}: added_tokens_decoder: expected an object, found {type(by_id).__name__}")
    tokens = []
    for token_id in range(first_id, first_id + len(by_id)):
        token = by_id.get(str(token_id))
        if token is None:
            raise CheckpointError(f"{path}: added_tokens_decoder: the ids do not follow those of vocab.json")
        if not isinstance(token, dict) or not isinstance(token.get("content"), str) or not token["content"]:
            raise CheckpointError(f"{path}: added_tokens_decoder.{token_id}: has no content")
        tokens.append(AddedToken(token["content"], **{flag: token.get(flag) is True for flag in FLAGS}))
    return tokens
