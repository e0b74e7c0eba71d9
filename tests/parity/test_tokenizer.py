"""Text ids, compared with those of the reference implementation."""

import pytest

from cosystream.models.cosyvoice.tokenizer import TextTokenizer
from tests.parity.conftest import Golden

PROMPT_TEXT = "hello world this is a test"
TEXT = "the quick brown fox jumps over the lazy dog"
HELPFUL = "You are a helpful assistant."
TEXTS = {
    "v2": {
        "zero_shot.prompt_text": PROMPT_TEXT,
        "cross_lingual.text": TEXT,
        "instruct2.prompt_text": "speak slowly<|endofprompt|>",
    },
    "v3": {
        "zero_shot.prompt_text": f"{HELPFUL}<|endofprompt|>{PROMPT_TEXT}",
        "cross_lingual.text": f"{HELPFUL}<|endofprompt|>{PROMPT_TEXT}{TEXT}",
        "instruct2.prompt_text": f"{HELPFUL} speak slowly.<|endofprompt|>",
    },
}
BOTH = {"zero_shot.text": TEXT, "instruct2.text": TEXT, "sft.text": TEXT}


@pytest.fixture(scope="module")
def tokenizer(either: Golden) -> TextTokenizer:
    return TextTokenizer(either.model / "CosyVoice-BlankEN", either.config.version)


def test_texts_have_the_ids_of_the_reference(either: Golden, tokenizer: TextTokenizer) -> None:
    for case in either.json("text_tokens")["encode"]:
        assert tokenizer.encode(case["text"]) == case["ids"], case["text"]


def test_special_tokens_have_the_ids_of_the_reference(either: Golden, tokenizer: TextTokenizer) -> None:
    expected = either.json("text_tokens")
    assert expected["special"].items() <= tokenizer.specials.items()
    assert len(tokenizer) == expected["len_tokenizer"]
    assert tokenizer.end_of_prompt == either.json("dims")["endofprompt_id"]


def test_each_mode_reads_its_texts_as_the_reference_does(either: Golden, tokenizer: TextTokenizer) -> None:
    tensors = either.tensors("frontend")
    for name, text in (TEXTS[either.path.name] | BOTH).items():
        ids = tokenizer.encode(text)
        assert ids == tensors[name][0].tolist(), name
        assert [len(ids)] == tensors[f"{name}_len"].tolist(), name
