"""What a request leaves open, filled in; and what an engine cannot do, refused."""

import secrets
from dataclasses import replace

from cosystream.errors import InvalidRequest
from cosystream.runtime.voices import named
from cosystream.types import PROMPTED, EngineInfo, SynthesisRequest


def resolve(request: SynthesisRequest, info: EngineInfo, default_speaker: str | None = None) -> SynthesisRequest:
    """``request`` with speaker, voice and seed. One that has these keeps them, whoever is gone by now.

    Raises UnknownVoice, and InvalidRequest for what the engine lacks.
    """
    voice = None
    if request.prompt is None:
        voice = request.voice or named(info, request.speaker or default_speaker or info.default_speaker)
    elif request.speaker not in (None, "", PROMPTED):
        named(info, request.speaker)
    if request.instruction is not None and not info.can_instruct:
        raise InvalidRequest(
            f"the engine {info.name!r} follows none; leave it out, or serve a CosyVoice checkpoint",
            field="instruction",
        )
    if request.prompt is not None and not info.can_clone:
        raise InvalidRequest(
            f"the engine {info.name!r} cannot imitate a recording; leave it out and name a speaker, "
            "or serve a CosyVoice checkpoint",
            field="prompt_wav",
        )
    seed = secrets.randbelow(2**31) if request.seed is None else request.seed
    return replace(request, speaker=PROMPTED if voice is None else voice.name, voice=voice, seed=seed)
