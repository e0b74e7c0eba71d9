"""A checkpoint's folder, opened: its models, its front end and everybody who can speak with it."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from cosystream.engines.cosyvoice.alignment import num_dropped
from cosystream.engines.cosyvoice.frontend import FrontEnd
from cosystream.engines.cosyvoice.options import CosyVoiceOptions
from cosystream.engines.cosyvoice.prompts import PromptEncoder
from cosystream.engines.cosyvoice.recordings import borrowed, installed
from cosystream.engines.cosyvoice.voices import DEFAULT_NAMES, CheckpointVoice, Voices, with_stand_ins
from cosystream.errors import CheckpointError, ConfigError
from cosystream.models.cosyvoice.checkpoint import read_config
from cosystream.models.cosyvoice.config import CosyVoiceConfig
from cosystream.models.cosyvoice.folder import QWEN_FOLDER, VOICES
from cosystream.models.cosyvoice.model import CosyVoice, load_model
from cosystream.models.cosyvoice.speakers import SavedSpeaker, read_speakers
from cosystream.models.cosyvoice.tokenizer import TextTokenizer
from cosystream.types import EngineInfo

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class OpenedFolder:
    """All that is to be had from one folder."""

    model: CosyVoice
    front_end: FrontEnd
    voices: Mapping[str, CheckpointVoice]
    info: EngineInfo


def open_folder(folder: Path, options: CosyVoiceOptions) -> OpenedFolder:
    """Load everything. Raises CheckpointError for what is amiss in ``folder``.

    Where there is no voice at all and the options allow it, the embedded voice speaks some into the cache folder.
    """
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
    voices = _find_voices(front_end, speakers, options)
    note = "; ".join(voices.notes)
    if note:
        logger.warning("voices: %s", note)
    info = EngineInfo(
        name="cosyvoice",
        model=folder.absolute().name,
        sample_rate=config.sample_rate,
        voices=tuple(voice.voice for voice in voices.by_name.values()),
        default_speaker=DEFAULT_NAMES[0],
        can_instruct=True,
        can_clone=True,
        voices_note=note,
    )
    return OpenedFolder(model, front_end, voices.by_name, info)


def _alignment(config: CosyVoiceConfig, options: CosyVoiceOptions) -> Callable[[int], int]:
    if options.prompt_align == "official":
        return lambda _: 0
    return partial(num_dropped, block=config.flow.chunk_size, lookahead=config.flow.lookahead)


def _find_voices(front_end: FrontEnd, speakers: Mapping[str, SavedSpeaker], options: CosyVoiceOptions) -> Voices:
    voices = dict(front_end.saved(speakers))
    recordings = installed(options.voices_dir)
    voices |= front_end.installed(recordings.prompts)
    notes = list(recordings.problems)
    if options.may_borrow and not voices:
        try:
            voices |= front_end.installed(borrowed(DEFAULT_NAMES, options.cache_dir, options.num_threads))
            notes.append(f"{' and '.join(DEFAULT_NAMES)} are learnt from the embedded voice")
        except (ConfigError, OSError) as error:
            notes.append(f"the embedded voice could not be recorded: {error}")
    complete = with_stand_ins(voices, options.voices_dir)
    return Voices(complete.by_name, (*notes, *complete.notes))
