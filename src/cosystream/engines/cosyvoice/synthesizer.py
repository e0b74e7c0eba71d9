"""A CosyVoice checkpoint that speaks: one segment after the other, hop by hop."""

import logging
from collections.abc import Iterator
from pathlib import Path

import torch

from cosystream.audio.pcm import to_pcm
from cosystream.engines.cosyvoice.frontend import FrontEnd
from cosystream.engines.cosyvoice.prompts import PromptEncoder
from cosystream.engines.cosyvoice.recordings import borrowed, installed
from cosystream.engines.cosyvoice.sequence import Sequence
from cosystream.engines.cosyvoice.utterance import Segment, Utterance
from cosystream.engines.cosyvoice.voices import DEFAULT_NAMES, with_stand_ins
from cosystream.errors import CheckpointError, ConfigError
from cosystream.models.cosyvoice.checkpoint import read_config
from cosystream.models.cosyvoice.flow import Solve
from cosystream.models.cosyvoice.folder import QWEN_FOLDER, VOICES
from cosystream.models.cosyvoice.model import load_model
from cosystream.models.cosyvoice.speakers import read_speakers
from cosystream.models.cosyvoice.tokenizer import TextTokenizer
from cosystream.types import AudioChunk, EngineInfo, SynthesisRequest

logger = logging.getLogger(__name__)


class CosyVoiceSynthesizer:
    """A ``Synthesizer`` over the models of one folder.

    The same request gives the same samples, on the same machine. A step is a piece of a prefill, a speech token or an
    Euler step.
    """

    def __init__(self, folder: Path, *, voices_dir: Path, cache_dir: Path, num_threads: int, may_borrow: bool) -> None:
        """Load everything. Raises CheckpointError for what is amiss in ``folder``.

        Where there is no voice at all and it ``may_borrow``, the embedded voice speaks some into ``cache_dir``.
        """
        logger.info("loading %s", folder)
        torch.set_num_threads(num_threads)
        config = read_config(folder)  # what takes least to read is read first: an error is to come soon
        tokenizer = TextTokenizer(folder / QWEN_FOLDER, config.version)
        if len(tokenizer) > config.lm.body.vocab_size:
            raise CheckpointError(
                f"{folder / QWEN_FOLDER}: the tokenizer has {len(tokenizer)} tokens, but llm.pt embeds "
                f"{config.lm.body.vocab_size}; they are not of one checkpoint"
            )
        speakers = read_speakers(folder / VOICES)
        self._front_end = FrontEnd(config.version, tokenizer, PromptEncoder(folder, config, num_threads))
        self._model = load_model(folder, "cuda" if torch.cuda.is_available() else "cpu")
        voices = dict(self._front_end.saved(speakers))
        recordings = installed(voices_dir)
        voices |= self._front_end.installed(recordings.prompts)
        notes = list(recordings.problems)
        if may_borrow and not voices:
            try:
                voices |= self._front_end.installed(borrowed(DEFAULT_NAMES, cache_dir, num_threads))
                notes.append(f"{' and '.join(DEFAULT_NAMES)} are learnt from the embedded voice")
            except (ConfigError, OSError) as error:
                notes.append(f"the embedded voice could not be recorded: {error}")
        complete = with_stand_ins(voices, voices_dir)
        self._voices = complete.by_name
        note = "; ".join([*notes, *complete.notes])
        if note:
            logger.warning("voices: %s", note)
        self.info = EngineInfo(
            name="cosyvoice",
            model=folder.absolute().name,
            sample_rate=config.sample_rate,
            voices=tuple(voice.voice for voice in complete.by_name.values()),
            default_speaker=DEFAULT_NAMES[0],
            can_instruct=True,
            can_clone=True,
            voices_note=note,
        )

    def prepare(self, request: SynthesisRequest) -> Utterance:
        """Raises InvalidRequest for a text without words and for a recording that cannot be learnt from."""
        return self._front_end.prepare(request, self._voices)

    def synthesize(self, prepared: Utterance) -> Iterator[AudioChunk | None]:
        generator = torch.Generator().manual_seed(prepared.seed)
        for segment in prepared.segments:
            yield from self._segment(segment, prepared, generator)

    def close(self) -> None:
        """What is held is memory, and goes with this object."""

    def _segment(
        self, segment: Segment, utterance: Utterance, generator: torch.Generator
    ) -> Iterator[AudioChunk | None]:
        begins: str | None = segment.written or None
        sequence = Sequence(self._model, segment, utterance.conditions, speed=utterance.speed, generator=generator)
        while not sequence.is_read:
            sequence.read()
            yield None
        while prompt := sequence.start_prompt():
            yield from _solved(sequence, prompt)
            sequence.finish_prompt(prompt)
        while not sequence.is_spoken:
            while not sequence.is_ready:
                sequence.decode()
                yield None
            solve = sequence.start()
            yield from _solved(sequence, solve)
            waveform = sequence.finish(solve)
            if waveform.size:
                yield AudioChunk(to_pcm(waveform), begins)
                begins = None


def _solved(sequence: Sequence, solve: Solve) -> Iterator[None]:
    while not solve.done:
        sequence.step(solve)
        yield None
