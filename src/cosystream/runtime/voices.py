"""An engine's voices: found by name, and changed on helper threads while it speaks."""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from cosystream.errors import (
    CosystreamError,
    InvalidRequest,
    Overloaded,
    Stalled,
    SynthesisFailed,
    UnknownVoice,
)
from cosystream.runtime.helpers import Helpers
from cosystream.runtime.protocol import EngineCore
from cosystream.types import EngineInfo, Prompt, Voice

T = TypeVar("T")
logger = logging.getLogger(__name__)

MOST_IN_LINE = 4
"""Recordings that wait to be learnt from; one more is told to come back."""
LEARNING_SECONDS = 60.0
LONGEST_SHOWN = 64


def named(info: EngineInfo, name: str) -> Voice:
    """Raises UnknownVoice, which lists those there are."""
    for voice in info.voices:
        if voice.name == name:
            return voice
    there_are = f"there are {', '.join(info.speakers)}" if info.speakers else info.voices_note
    raise UnknownVoice(f"no voice {name[:LONGEST_SHOWN]!r}; {there_are}")


class VoiceChanges:
    """What is done to a core's voices: one recording is learnt at a time, so that speaking keeps the processor."""

    def __init__(self) -> None:
        self._learning = Helpers(1)
        self._num_learning = 0  # and waiting for it
        self._reading = Helpers(2)

    async def add(self, core: EngineCore[Any], name: str, prompt: Prompt) -> Voice:
        info, library = core.info, core.library
        if library is None:
            raise InvalidRequest(
                f"the engine {info.name!r} learns no voices; serve a CosyVoice checkpoint, which does",
                field="prompt_wav",
            )
        if self._num_learning > MOST_IN_LINE:
            raise Overloaded(f"{MOST_IN_LINE} other voices wait to be learnt", retry_after_seconds=5.0)
        self._num_learning += 1
        try:
            return await _on_thread(partial(library.add, name, prompt), self._learning)
        finally:
            self._num_learning -= 1

    async def remove(self, core: EngineCore[Any], name: str) -> None:
        info, library = core.info, core.library
        if library is None:
            named(info, name)
            raise InvalidRequest(f"the voices of the engine {info.name!r} are part of it; only cloned ones are deleted")
        await _on_thread(partial(library.remove, name), self._reading)

    async def sample(self, core: EngineCore[Any], name: str) -> bytes:
        info, library = core.info, core.library
        if library is None:
            named(info, name)
            raise UnknownVoice(f"{name!r} is part of the engine {info.name!r}, and was not learnt from a recording")
        return await _on_thread(partial(library.sample, name), self._reading)


async def _on_thread(work: Callable[[], T], helpers: Helpers) -> T:
    """What was begun ends, even if nobody waits for it any more."""
    try:
        return await helpers.call(work, longest_seconds=LEARNING_SECONDS)
    except TimeoutError:
        raise Stalled(f"it takes longer than {LEARNING_SECONDS:g} s; see later what came of it") from None
    except CosystreamError:
        raise
    except Exception as error:
        logger.exception("changing a voice failed")
        raise SynthesisFailed("the engine could not do this with a voice; the server's log says why") from error
