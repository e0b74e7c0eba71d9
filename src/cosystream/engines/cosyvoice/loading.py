"""A checkpoint's folder, opened: its models, its front end and everybody who can speak with it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from cosystream.engines.cosyvoice.alignment import num_dropped
from cosystream.engines.cosyvoice.frontend import FrontEnd
from cosystream.engines.cosyvoice.kept_features import KeptFeatures
from cosystream.engines.cosyvoice.library import CheckpointLibrary
from cosystream.engines.cosyvoice.options import CosyVoiceOptions
from cosystream.engines.cosyvoice.prompts import PromptEncoder
from cosystream.engines.cosyvoice.voices import DEFAULT_NAMES
from cosystream.errors import CheckpointError
from cosystream.models.cosyvoice.checkpoint import read_config
from cosystream.models.cosyvoice.config import CosyVoiceConfig
from cosystream.models.cosyvoice.folder import QWEN_FOLDER, VOICES
from cosystream.models.cosyvoice.model import CosyVoice, load_model
from cosystream.models.cosyvoice.speakers import read_speakers
from cosystream.models.cosyvoice.tokenizer import TextTokenizer
from cosystream.types import EngineInfo

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenedFolder:
    """All that is to be had from one folder."""

    model: CosyVoice
    front_end: FrontEnd
    library: CheckpointLibrary


def open_folder(folder: Path, options: CosyVoiceOptions) -> OpenedFolder:
    """Load everything. Raises CheckpointError for what is amiss in ``folder``."""
    logger.info("loading %s", folder)
    torch.set_num_threads(options.num_threads)
    config = read_config(folder)  # what takes least to read is read first: an error is to come soon
    tokenizer = TextTokenizer(folder / QWEN_FOLDER, config.version)
    if len(tokenizer) > config.lm.body.vocab_size:
        raise CheckpointError(
            f"{folder / QWEN_FOLDER}: the tokenizer has {len(tokenizer)} tokens, but llm.pt embeds "
            f"{config.lm.body.vocab_size}; they are not of one checkpoint"
        )
    speakers = read_speakers(folder / VOICES)
    encoder = PromptEncoder(folder, config, options.num_threads)
    front_end = FrontEnd(config.version, tokenizer, encoder, _alignment(config, options))
    model = load_model(folder, "cuda" if torch.cuda.is_available() else "cpu", options.flow)
    info = EngineInfo(
        name="cosyvoice",
        model=folder.absolute().name,
        sample_rate=config.sample_rate,
        voices=(),
        default_speaker=DEFAULT_NAMES[0],
        can_instruct=True,
        can_clone=True,
    )
    kept = KeptFeatures(options.cache_dir / "prompts", encoder.identity)
    return OpenedFolder(model, front_end, CheckpointLibrary(front_end, kept, speakers, options, info))


def _alignment(config: CosyVoiceConfig, options: CosyVoiceOptions) -> Callable[[int], int]:
    if options.prompt_align == "official":
        return lambda _: 0
    return partial(num_dropped, block=config.flow.chunk_size, lookahead=config.flow.lookahead)
