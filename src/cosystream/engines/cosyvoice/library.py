"""Who can speak with a checkpoint, and how that changes: voices are learnt, kept and forgotten while others speak."""

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from cosystream.audio import wav
from cosystream.audio.decode import decode
from cosystream.audio.pcm import to_pcm
from cosystream.engines.cosyvoice.frontend import FrontEnd
from cosystream.engines.cosyvoice.kept_features import KeptFeatures
from cosystream.engines.cosyvoice.options import CosyVoiceOptions
from cosystream.engines.cosyvoice.prompts import MAX_SECONDS, check_recording
from cosystream.engines.cosyvoice.recordings import Recordings, borrowed
from cosystream.engines.cosyvoice.voices import DEFAULT_NAMES, CheckpointVoice, missing, with_stand_ins
from cosystream.engines.cosyvoice.voices_folder import VoicesFolder
from cosystream.errors import ConfigError, InvalidRequest, TooManyVoices, UnknownVoice, VoiceExists
from cosystream.models.cosyvoice.speakers import SavedSpeaker
from cosystream.runtime.voices import named
from cosystream.types import EngineInfo, Prompt, Voice

logger = logging.getLogger(__name__)

MIN_SECONDS = 1.0
"""Of a recording that is to be kept; whoever sends one with each request may try with less."""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All voices at one moment."""

    voices: Mapping[str, CheckpointVoice]
    info: EngineInfo


@dataclass(frozen=True, slots=True)
class _Cloned:
    """A voice that can be forgotten, and what there is of it on the disk."""

    voice: CheckpointVoice
    recording: Path
    features: str
    """The key of what is kept of it."""


class CheckpointLibrary:
    """A ``VoiceLibrary``: a checkpoint's speakers, what is learnt from recordings, and stand-ins for well-known names.

    Readers take the catalogue, which is replaced as a whole: whoever has found a voice in one keeps it.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        kept: KeptFeatures,
        speakers: Mapping[str, SavedSpeaker],
        options: CosyVoiceOptions,
        info: EngineInfo,
    ) -> None:
        """``info`` is to get the voices, and what there is to know about them.

        Where the checkpoint has no speakers and the options allow it, the embedded voice speaks some into the cache.
        """
        self._front_end = front_end
        self._kept = kept
        self._folder = VoicesFolder(options.voices_dir)
        self._most = options.max_voices
        self._changing = threading.Lock()
        self._saved = dict(front_end.saved(speakers))
        recordings = self._folder.recordings()
        self._problems = list(recordings.problems)
        cloned = dict(self._installed(recordings))
        self._lent: Mapping[str, CheckpointVoice] = {}
        if options.may_borrow and not self._saved and missing(cloned):
            self._lent = self._borrow(options)
        self._publish(info, cloned)
        if note := self.catalogue.info.voices_note:
            logger.warning("voices: %s", note)

    def add(self, name: str, prompt: Prompt) -> Voice:
        self._refuse(name)  # here, too, since learning takes seconds
        prompt = _as_kept(prompt)
        key = self._kept.key(prompt)
        features = self._kept.get(key) or self._front_end.encode(prompt)
        voice = self._front_end.learnt(name, features, prompt.text)
        with self._changing:
            self._refuse(name)
            recording = self._folder.keep(name, prompt)
            self._publish(self.catalogue.info, {**self._cloned, name: _Cloned(voice, recording, key)})
        self._kept.keep(key, features)
        return voice.voice

    def remove(self, name: str) -> None:
        with self._changing:
            cloned = self._cloned.get(name)
            if cloned is None:
                kind = named(self.catalogue.info, name).kind
                raise InvalidRequest(f"{name!r} is a {kind} voice; only cloned ones can be deleted")
            self._folder.remove(cloned.recording)
            others = {other: voice for other, voice in self._cloned.items() if other != name}
            self._publish(self.catalogue.info, others)
        self._kept.forget(cloned.features)

    def sample(self, name: str) -> bytes:
        catalogue = self.catalogue
        voice = catalogue.voices.get(name)
        if voice is None or voice.recording is None:
            kind = named(catalogue.info, name).kind
            raise UnknownVoice(f"{name!r} is a {kind} voice, of which there is no recording")
        try:
            return _as_kept(Prompt(voice.recording.read_bytes()), min_seconds=0.0).audio
        except (OSError, InvalidRequest):
            raise UnknownVoice(f"the recording of {name!r} is gone from the server's disk, or damaged") from None

    def _refuse(self, name: str) -> None:
        """A preset's name may be taken: it is there for want of somebody of that name."""
        voice = self.catalogue.voices.get(name)
        if voice is not None and voice.voice.kind != "preset":
            raise VoiceExists(f"there is a {voice.voice.kind} voice {name!r} already; choose another name")
        if len(self._cloned) >= self._most:
            raise TooManyVoices(
                f"{len(self._cloned)} voices are learnt from recordings; no more than {self._most} may be (max_voices)"
            )

    def _publish(self, info: EngineInfo, cloned: Mapping[str, _Cloned]) -> None:
        """Say from now on that these are there besides those of the checkpoint."""
        learnt = {name: replace(one.voice, recording=one.recording) for name, one in cloned.items()}
        complete = with_stand_ins({**self._saved, **self._lent, **learnt}, self._folder.path)
        notes = list(self._problems)
        if lent := [name for name in self._lent if name not in cloned]:
            notes.append(f"{' and '.join(lent)} {'are' if len(lent) > 1 else 'is'} learnt from the embedded voice")
        voices = tuple(voice.voice for voice in complete.by_name.values())
        note = "; ".join((*notes, *complete.notes))
        self._cloned = cloned
        self.catalogue = Catalogue(complete.by_name, replace(info, voices=voices, voices_note=note))

    def _installed(self, recordings: Recordings) -> Iterator[tuple[str, _Cloned]]:
        for name, prompt in recordings.prompts.items():
            key = self._kept.key(prompt)
            if (features := self._kept.get(key)) is None:
                features = self._front_end.encode(prompt)
                self._kept.keep(key, features)
            voice = self._front_end.learnt(name, features, prompt.text)
            yield name, _Cloned(voice, recordings.paths[name], key)

    def _borrow(self, options: CosyVoiceOptions) -> Mapping[str, CheckpointVoice]:
        try:
            recordings = borrowed(DEFAULT_NAMES, options.cache_dir, options.num_threads)
        except (ConfigError, OSError) as error:
            self._problems.append(f"the embedded voice could not be recorded: {error}")
            return {}
        return {
            name: replace(one.voice, recording=one.recording, voice=replace(one.voice.voice, kind="preset"))
            for name, one in self._installed(recordings)
        }


def _as_kept(prompt: Prompt, min_seconds: float = MIN_SECONDS) -> Prompt:
    """The same as 16-bit mono WAV, without whatever else was in the file. Raises InvalidRequest."""
    recording = decode(prompt.audio, max_seconds=MAX_SECONDS + 1)
    check_recording(recording, min_seconds=min_seconds)
    audio = wav.encode(to_pcm(recording.waveform), recording.sample_rate)
    return Prompt(audio, (prompt.text or "").strip() or None)
