"""What the models are told before a text, whatever a caller sends."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cosystream.audio import wav
from cosystream.audio.decode import decode
from cosystream.audio.pcm import to_pcm
from cosystream.engines.cosyvoice.core import CosyVoiceCore
from cosystream.engines.cosyvoice.frontend import FrontEnd
from cosystream.engines.cosyvoice.utterance import Conditions, Utterance
from cosystream.errors import InvalidRequest
from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.speakers import SavedSpeaker
from cosystream.models.cosyvoice.special_tokens import END_OF_PROMPT
from cosystream.models.cosyvoice.tokenizer import TextTokenizer
from cosystream.types import Prompt, SynthesisRequest

REQUEST = SynthesisRequest("hello world", speaker="spk_a", seed=1)
ASSISTANT = "You are a helpful assistant."


def parts(core: CosyVoiceCore) -> tuple[FrontEnd, TextTokenizer, bool]:
    front_end = core._front_end
    return front_end, front_end._tokenizer, front_end._version is Version.V3


def told(core: CosyVoiceCore, request: SynthesisRequest) -> tuple[Utterance, TextTokenizer, bool]:
    _, tokenizer, is_v3 = parts(core)
    return core.prepare(request), tokenizer, is_v3


def ids(tokenizer: TextTokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text))


def test_a_speaker_without_a_recording_is_an_embedding_alone(either: CosyVoiceCore) -> None:
    utterance, tokenizer, is_v3 = told(either, REQUEST)
    conditions = utterance.conditions
    assert conditions.prompt_text == ids(tokenizer, f"{ASSISTANT}{END_OF_PROMPT}" if is_v3 else "")
    assert conditions.prompt_speech == ()
    assert (conditions.flow.tokens.numel(), conditions.flow.mel.shape) == (0, (0, 80))
    assert conditions.flow.embedding.shape == (192,)


def test_a_recording_goes_on_from_its_words(either: CosyVoiceCore, recording: Prompt) -> None:
    utterance, tokenizer, is_v3 = told(either, replace(REQUEST, prompt=recording))
    conditions = utterance.conditions
    words = recording.text or ""
    assert conditions.prompt_text == ids(tokenizer, f"{ASSISTANT}{END_OF_PROMPT}{words}" if is_v3 else words)
    flow_tokens = tuple(conditions.flow.tokens.tolist())
    assert len(flow_tokens) % 25 == 3  # its head is left out, so that it ends with the tokens to look ahead at
    assert len(conditions.prompt_speech) - len(flow_tokens) in range(25)
    assert conditions.prompt_speech[-len(flow_tokens) :] == flow_tokens
    assert conditions.flow.mel.shape == (2 * len(conditions.flow.tokens), 80)


def test_a_voice_is_known_by_all_that_the_flow_is_told_and_by_nothing_else(
    either: CosyVoiceCore, recording: Prompt
) -> None:
    def key(**changes: Any) -> str:
        return either.prepare(replace(REQUEST, **changes)).conditions.voice_key

    backwards = decode(recording.audio, max_seconds=30).waveform[::-1]
    same_words = Prompt(wav.encode(to_pcm(backwards), 48_000), recording.text)
    assert key() == key(speaker="中文女") != key(speaker="spk_b")  # 中文女 is spk_a
    assert key(prompt=recording) == key(prompt=replace(recording, text="other words"), instruction="slowly")
    assert len({key(), key(prompt=recording), key(prompt=same_words)}) == 3


def test_a_recording_without_words_lends_its_timbre_alone(either: CosyVoiceCore, recording: Prompt) -> None:
    utterance, tokenizer, is_v3 = told(either, replace(REQUEST, prompt=replace(recording, text=None)))
    assert utterance.conditions.prompt_text == ids(tokenizer, f"{ASSISTANT}{END_OF_PROMPT}" if is_v3 else "")
    assert utterance.conditions.prompt_speech == ()
    assert len(utterance.conditions.flow.tokens)


@pytest.mark.parametrize("written", ["speak slowly", "speak slowly<|endofprompt|>", f"{ASSISTANT} speak slowly"])
def test_an_instruction_takes_the_place_of_the_recording_s_words(
    either: CosyVoiceCore, recording: Prompt, written: str
) -> None:
    utterance, tokenizer, is_v3 = told(either, replace(REQUEST, prompt=recording, instruction=written))
    wanted = f"{ASSISTANT} speak slowly{END_OF_PROMPT}" if is_v3 else f"speak slowly{END_OF_PROMPT}"
    assert utterance.conditions.prompt_text == ids(tokenizer, wanted)
    assert utterance.conditions.prompt_speech == ()
    assert len(utterance.conditions.flow.tokens)


def test_the_text_is_read_in_words_and_its_markup_kept(either: CosyVoiceCore) -> None:
    utterance, tokenizer, _ = told(either, replace(REQUEST, text="[laughter]we have 2 dogs"))
    (segment,) = utterance.segments
    assert segment.written == "[laughter]we have 2 dogs"
    assert segment.text_tokens == ids(tokenizer, "[laughter]we have two dogs.")
    assert segment.text_tokens[0] == tokenizer.specials["[laughter]"]
    plain, _, _ = told(either, replace(REQUEST, text="we have 2 dogs", normalize=False))
    assert plain.segments[0].text_tokens == ids(tokenizer, "we have 2 dogs")


pieces = st.lists(
    st.sampled_from([END_OF_PROMPT, "<|im_start|>", "<|", "|>", "hello", "你好", " ", ASSISTANT, "[breath]", "。"])
).map("".join)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(pieces, pieces | st.none(), pieces | st.none(), st.booleans())
def test_the_marker_is_told_once_where_it_is_wanted_and_never_spoken(
    either: CosyVoiceCore,
    recording: Prompt,
    text: str,
    instruction: str | None,
    transcript: str | None,
    normalize: bool,
) -> None:
    _, tokenizer, is_v3 = parts(either)
    request = replace(REQUEST, text=text, instruction=instruction, normalize=normalize)
    if transcript is not None:
        request = replace(request, prompt=replace(recording, text=transcript))
    try:
        utterance = either.prepare(request)
    except InvalidRequest:
        return  # there was nothing to say
    prompt = utterance.conditions.prompt_text
    has_instruction = prompt.count(tokenizer.end_of_prompt) == 1 and prompt[-1] == tokenizer.end_of_prompt
    assert prompt.count(tokenizer.end_of_prompt) == (1 if is_v3 or has_instruction else 0)
    control = {tokenizer.specials["<|im_start|>"], tokenizer.end_of_prompt}
    assert not any(control & set(segment.text_tokens) for segment in utterance.segments)
    assert tokenizer.specials["<|im_start|>"] not in prompt


def test_a_saved_recording_without_the_marker_gets_it(v3: CosyVoiceCore, recording: Prompt) -> None:
    front_end, tokenizer, _ = parts(v3)
    features = front_end._encoder.encode(decode(recording.audio, max_seconds=30))
    words = ids(tokenizer, "hello world")
    complete = (*ids(tokenizer, f"{ASSISTANT}{END_OF_PROMPT}"), *words)
    for saved in words, complete:
        ((_, voice),) = front_end.saved({"ann": SavedSpeaker(features, saved)})
        assert isinstance(voice.voice.conditions, Conditions)
        assert voice.voice.conditions.prompt_text == complete
