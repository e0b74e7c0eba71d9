import json
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tokenizers.pre_tokenizers import ByteLevel

from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.special_tokens import added_tokens, is_control
from cosystream.models.cosyvoice.tokenizer import TextTokenizer

BYTES = sorted(ByteLevel.alphabet())
MERGES = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "hello"), ("o", "w")]
OWN = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
SPECIAL = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("qwen")
    write_folder(path)
    return path


@pytest.fixture(scope="module", params=list(Version))
def tokenizer(folder: Path, request: pytest.FixtureRequest) -> TextTokenizer:
    return TextTokenizer(folder, request.param)


def write_folder(path: Path) -> None:
    vocabulary = [*BYTES, *(left + right for left, right in MERGES)]
    added = {str(len(vocabulary) + index): {"content": token, **SPECIAL} for index, token in enumerate(OWN)}
    (path / "vocab.json").write_text(json.dumps({token: index for index, token in enumerate(vocabulary)}), "utf-8")
    (path / "merges.txt").write_text("\n".join(["#version: 0.2", *map(" ".join, MERGES), ""]), "utf-8")
    (path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}), "utf-8")


def pieces(tokenizer: TextTokenizer, text: str) -> list[str]:
    """The tokens of ``text``, a space written as Ġ."""
    names = [*BYTES, *(left + right for left, right in MERGES)]
    names += [token for token, _ in sorted(tokenizer.specials.items(), key=lambda item: item[1])]
    return [names[index] for index in tokenizer.encode(text)]


def test_the_longest_known_pieces_are_taken(tokenizer: TextTokenizer) -> None:
    assert pieces(tokenizer, "hello hello!") == ["hello", "Ġhello", "!"]


def test_tokens_do_not_reach_across_words(tokenizer: TextTokenizer) -> None:
    assert pieces(tokenizer, "o\nw") == ["o", "Ċ", "w"]
    assert pieces(tokenizer, "hello's 42") == ["hello", "'", "s", "Ġ", "4", "2"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "<|" not in text and "[" not in text))
def test_nothing_of_a_text_is_lost_but_how_its_accents_are_composed(tokenizer: TextTokenizer, text: str) -> None:
    if not any(token in text for token in tokenizer.specials):
        assert len("".join(pieces(tokenizer, text))) == len(unicodedata.normalize("NFC", text).encode())


def test_special_tokens_follow_the_folders_own_in_order(tokenizer: TextTokenizer) -> None:
    first = len(BYTES) + len(MERGES)
    assert list(tokenizer.specials.values()) == list(range(first, len(tokenizer)))
    assert tuple(tokenizer.specials)[: len(OWN)] == OWN
    assert tokenizer.end_of_prompt == first + len(OWN)


def test_a_special_token_is_one_token_wherever_it_stands(tokenizer: TextTokenizer) -> None:
    for token, number in tokenizer.specials.items():
        assert tokenizer.encode(token) == [number]
    hello = tokenizer.encode("hello")
    assert tokenizer.encode("hello<strong>hello</strong>") == [
        *hello,
        tokenizer.specials["<strong>"],
        *hello,
        tokenizer.specials["</strong>"],
    ]


def test_special_tokens_are_taken_literally(tokenizer: TextTokenizer) -> None:
    assert len(tokenizer.encode("[Laughter]")) == len("[Laughter]")


def test_markup_is_the_sounds_and_not_what_steers_the_model(tokenizer: TextTokenizer) -> None:
    found = {token for token in tokenizer.specials if tokenizer.markup.fullmatch(token)}
    assert {"[laughter]", "<strong>", "[vocalized-noise]"} <= found
    assert found == {token for token in tokenizer.specials if not is_control(token)}
    assert tokenizer.markup.findall("好[laughter]<strong>笑</strong>[x<|im_end|>") == [
        "[laughter]",
        "<strong>",
        "</strong>",
    ]


def test_only_the_third_generation_reads_phonemes_and_pinyin(folder: Path) -> None:
    second, third = (TextTokenizer(folder, version) for version in Version)
    text = "[j][ǐ][AA1]<|endofsystem|>"
    assert third.encode(text) == [third.specials[t] for t in ("[j]", "[ǐ]", "[AA1]", "<|endofsystem|>")]
    assert len(second.encode(text)) == len(text.encode())
    assert second.markup.findall(text) == []
    assert third.markup.findall(text) == ["[j]", "[ǐ]", "[AA1]"]


def test_the_third_generation_adds_to_the_tokens_of_the_second() -> None:
    second, third = (added_tokens(version) for version in Version)
    assert (len(second), len(third)) == (17, 278)
    assert third[:17] == second
    assert len(set(third)) == len(third)
    assert all(unicodedata.is_normalized("NFC", token) for token in third)


def test_tokens_that_the_folder_has_already_keep_their_ids(tmp_path: Path) -> None:
    write_folder(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    first = len(BYTES) + len(MERGES) + len(OWN)
    config["added_tokens_decoder"] |= {
        str(first): {"content": "<|endofprompt|>", **SPECIAL},
        str(first + 1): {"content": "<|of_its_own|>", **SPECIAL},
    }
    path.write_text(json.dumps(config), "utf-8")
    tokenizer = TextTokenizer(tmp_path, Version.V2)
    assert tokenizer.end_of_prompt == first
    assert tokenizer.specials["[breath]"] == first + 2
    assert not tokenizer.markup.search("<|of_its_own|>")


def test_threads_may_share_it(tokenizer: TextTokenizer) -> None:
    texts = [f"hello {number} [laughter] 你好" * 20 for number in range(50)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(tokenizer.encode, texts)) == [tokenizer.encode(text) for text in texts]


def edit(name: str, change: Callable[[str], str]) -> Callable[[Path], Path]:
    def apply(folder: Path) -> Path:
        path = folder / name
        path.write_text(change(path.read_text("utf-8")), "utf-8")
        return path

    return apply


def without(name: str) -> Callable[[Path], Path]:
    def apply(folder: Path) -> Path:
        (folder / name).unlink()
        return folder / name

    return apply


def not_text(folder: Path) -> Path:
    (folder / "merges.txt").write_bytes(b"\xff\xfe")
    return folder / "merges.txt"


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (without("vocab.json"), "No such file"),
        (without("merges.txt"), "No such file"),
        (without("tokenizer_config.json"), "No such file"),
        (edit("vocab.json", lambda text: text[:100]), "not JSON"),
        (edit("vocab.json", lambda _: "[]"), "expected an object, found list"),
        (edit("vocab.json", lambda text: text.replace('"hell": ', '"hell": 1')), "the ids are not 0 to"),
        (edit("vocab.json", lambda text: text.replace(": 0", ": null")), "the ids are not 0 to"),
        (edit("vocab.json", lambda text: text.replace('"A":', '"AA":')), "1 of the 256 bytes have no token"),
        (edit("merges.txt", lambda text: text.replace("l l", "l")), "line 3 is not a pair of tokens"),
        (edit("merges.txt", lambda text: text + "z z\n"), "line 8 is not a pair of tokens"),
        (not_text, "not text in UTF-8"),
        (edit("tokenizer_config.json", lambda _: "{}"), "added_tokens_decoder: expected an object"),
        (
            edit("tokenizer_config.json", lambda text: text.replace('"262"', '"900"')),
            "do not follow those of vocab.json",
        ),
        (edit("tokenizer_config.json", lambda text: text.replace('"<|im_end|>"', "7")), "has no content"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, damage: Callable[[Path], Path], words: str) -> None:
    write_folder(tmp_path)
    path = damage(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        TextTokenizer(tmp_path, Version.V3)
    assert str(caught.value).startswith(f"{path}: ")
    assert words in str(caught.value)
