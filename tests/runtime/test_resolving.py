"""What a request leaves open is filled in once, and stays."""

from dataclasses import replace

import pytest

from cosystream.errors import UnknownVoice
from cosystream.runtime.resolving import resolve
from cosystream.types import PROMPTED, EngineInfo, Prompt, SynthesisRequest, Voice

ANN, BOB = (Voice(name, ("en",), "unknown", "cloned", conditions=object()) for name in ("ann", "bob"))
INFO = EngineInfo("one", "one", 24_000, (ANN, BOB), default_speaker="ann", can_clone=True)
NOBODY = replace(INFO, voices=())
PROMPT = Prompt(b"RIFF")


@pytest.mark.parametrize(
    ("speaker", "default", "voice"), [("bob", None, BOB), (None, None, ANN), ("", None, ANN), (None, "bob", BOB)]
)
def test_the_voice_is_the_one_that_is_named_or_else_the_default(
    speaker: str | None, default: str | None, voice: Voice
) -> None:
    resolved = resolve(SynthesisRequest("hi", speaker), INFO, default)
    assert resolved.voice is voice
    assert resolved.speaker == voice.name
    assert resolved.seed is not None


@pytest.mark.parametrize("request_", [SynthesisRequest("hi", "bob"), SynthesisRequest("hi", "bob", prompt=PROMPT)])
def test_what_has_been_filled_in_stays_when_its_voice_has_gone(request_: SynthesisRequest) -> None:
    resolved = resolve(request_, INFO)
    again = resolve(resolved, replace(NOBODY, voices=(replace(BOB, conditions=object()),)))
    assert again == resolve(resolved, NOBODY) == resolved
    assert again.voice is resolved.voice


def test_a_recording_is_the_voice_whoever_is_named() -> None:
    assert resolve(SynthesisRequest("hi", prompt=PROMPT), NOBODY).speaker == PROMPTED
    resolved = resolve(SynthesisRequest("hi", "bob", prompt=PROMPT), INFO)
    assert (resolved.speaker, resolved.voice) == (PROMPTED, None)


@pytest.mark.parametrize("prompt", [None, PROMPT])
def test_whoever_is_named_has_to_be_there(prompt: Prompt | None) -> None:
    with pytest.raises(UnknownVoice, match="no voice 'carl'; there are ann, bob"):
        resolve(SynthesisRequest("hi", "carl", prompt=prompt), INFO)
