import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cosystream.engines.cosyvoice.wording import Wording, instruction_prompt, sort_out, transcript_prompt
from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.special_tokens import END_OF_PROMPT


@pytest.mark.parametrize(
    ("given", "sorted_out"),
    [
        (("你好", None, None), Wording("你好", None, None)),
        (("你好", "用四川话说这句话", None), Wording("你好", "用四川话说这句话", None)),
        (("你好", "用四川话说这句话<|endofprompt|>", None), Wording("你好", "用四川话说这句话", None)),
        (
            ("hi", "You are a helpful assistant. 请用广东话表达。<|endofprompt|>", None),
            Wording("hi", "请用广东话表达。", None),
        ),
        (("You are a helpful assistant.<|endofprompt|>hi", None, None), Wording("hi", None, None)),
        (
            ("You are a helpful assistant. Whisper.<|endofprompt|>hi", None, None),
            Wording("hi", "Whisper.", None),
        ),
        (("Whisper.<|endofprompt|>hi", "Shout.", None), Wording("hi", "Shout.", None)),
        (
            ("hi", None, "You are a helpful assistant.<|endofprompt|>希望你好"),
            Wording("hi", None, "希望你好"),
        ),
        (("a<|endofprompt|>b<|endofprompt|>c", None, None), Wording("c", "a b", None)),
        (("hi<|endofprompt|>", None, None), Wording("", "hi", None)),
        (("hi", "<|endofprompt|>", " "), Wording("hi", None, None)),
        (("<|en|>hi <|im_start|>there", None, None), Wording(" hi  there", None, None)),
    ],
)
def test_prompts_and_control_tokens_are_told_from_words(
    given: tuple[str, str | None, str | None], sorted_out: Wording
) -> None:
    assert sort_out(*given) == sorted_out


pieces = st.lists(
    st.sampled_from([END_OF_PROMPT, "<|", "|>", "<|en|>", "endofprompt", "你好", " ", "You are a helpful assistant."])
).map("".join)


@given(pieces, pieces, pieces)
@example("|>", "", "<|endofprompt")
def test_whatever_the_caller_sends_the_marker_is_in_the_prompt_once_and_nowhere_else(
    text: str, instruction: str, transcript: str
) -> None:
    wording = sort_out(text, instruction, transcript)
    for version, times in ((Version.V2, 0), (Version.V3, 1)):
        spoken_of = transcript_prompt(version, wording.transcript or "")
        assert (spoken_of + wording.text).count(END_OF_PROMPT) == times
        if wording.instruction:
            assert (instruction_prompt(version, wording.instruction) + wording.text).count(END_OF_PROMPT) == 1
