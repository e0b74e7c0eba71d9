"""From a request to what the models are given: words to token ids, a name or a recording to a voice."""

import hashlib
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import torch

from cosystream.audio.decode import decode
from cosystream.engines.cosyvoice.prompts import MAX_SECONDS, PromptEncoder
from cosystream.engines.cosyvoice.utterance import Conditions, Segment, Utterance
from cosystream.engines.cosyvoice.voices import CheckpointVoice, describe
from cosystream.engines.cosyvoice.wording import instruction_prompt, sort_out, transcript_prompt
from cosystream.errors import InvalidRequest
from cosystream.models.cosyvoice.config import Version
from cosystream.models.cosyvoice.flow import FlowPrompt
from cosystream.models.cosyvoice.speakers import FRAMES_PER_TOKEN, PromptFeatures, SavedSpeaker
from cosystream.models.cosyvoice.special_tokens import END_OF_PROMPT
from cosystream.models.cosyvoice.speech_lm import speech_length
from cosystream.models.cosyvoice.tokenizer import TextTokenizer
from cosystream.text.normalize import Normalizer
from cosystream.text.segments import Segment as TextSegment
from cosystream.text.segments import read_as_one, segments
from cosystream.types import Prompt, SynthesisRequest

LONGEST_TRANSCRIPT = 1000
"""Characters: more than anybody says in 30 s."""


class FrontEnd:
    """All that happens to a request before a model sees it. Any thread may call it."""

    def __init__(
        self, version: Version, tokenizer: TextTokenizer, encoder: PromptEncoder, num_dropped: Callable[[int], int]
    ) -> None:
        """``num_dropped`` says of a recording's speech tokens how many at their head the flow is not told."""
        self._num_dropped = num_dropped
        self._version = version
        self._tokenizer = tokenizer
        self._encoder = encoder
        self._normalize = Normalizer()

    def prepare(self, request: SynthesisRequest) -> Utterance:
        """``request`` has a recording or a voice of the library.

        Raises InvalidRequest for a text without words and for a recording that cannot be learnt from.
        """
        transcript = None if request.prompt is None else request.prompt.text
        wording = sort_out(request.text, request.instruction, transcript)
        pieces = segments(
            wording.text,
            normalize=self._normalize if request.normalize else None,
            markup=self._tokenizer.markup,
            length=self._num_tokens,
        )
        if not pieces:
            if END_OF_PROMPT in request.text:
                problem = f"there is nothing to say behind {END_OF_PROMPT}; what stands before it is an instruction"
            else:
                problem = "there is nothing to say in it"
            raise InvalidRequest(problem, field="text")
        if request.prompt is None:
            assert request.voice is not None
            assert isinstance(request.voice.conditions, Conditions)
            conditions = request.voice.conditions
        else:
            conditions = self._conditions(self.encode(request.prompt), self._transcript_tokens(wording.transcript))
        return Utterance(
            segments=tuple(self._segment(piece) for piece in pieces),
            conditions=self._instructed(conditions, wording.instruction),
            speed=request.speed,
            seed=request.seed or 0,
        )

    def encode(self, prompt: Prompt) -> PromptFeatures:
        """What the models take from a recording. Raises InvalidRequest for one that no voice can be learnt from."""
        return self._encoder.encode(decode(prompt.audio, max_seconds=MAX_SECONDS + 1))

    def learnt(self, name: str, features: PromptFeatures, words: str | None) -> CheckpointVoice:
        """The voice of a recording in which ``words`` are said."""
        transcript = sort_out("", None, words).transcript
        conditions = self._conditions(features, self._transcript_tokens(transcript))
        return CheckpointVoice(describe(name, transcript or "", conditions=conditions))

    def saved(self, speakers: Mapping[str, SavedSpeaker]) -> Iterable[tuple[str, CheckpointVoice]]:
        """The voices of the checkpoint's own speakers."""
        for written, speaker in speakers.items():
            name, tokens = unicodedata.normalize("NFC", written), speaker.text_tokens
            if self._version is Version.V3 and tokens and self._tokenizer.end_of_prompt not in tokens:
                tokens = (*self._transcript_tokens(""), *tokens)
            conditions = self._conditions(speaker.features, tokens)
            yield name, CheckpointVoice(describe(name, kind="checkpoint", conditions=conditions))

    def _transcript_tokens(self, transcript: str | None) -> tuple[int, ...]:
        if transcript is None:
            return ()
        spoken = read_as_one(transcript[:LONGEST_TRANSCRIPT], normalize=self._normalize, markup=self._tokenizer.markup)
        return tuple(self._tokenizer.encode(transcript_prompt(self._version, spoken)))

    def _conditions(self, features: PromptFeatures, prompt_text: tuple[int, ...]) -> Conditions:
        """Without ``prompt_text``, which ends with what is said in it, a recording lends its timbre alone."""
        flow = flow_prompt(features, num_dropped=self._num_dropped(len(features.speech_tokens)))
        if prompt_text:
            return Conditions(prompt_text, tuple(features.speech_tokens.tolist()), flow, voice_key(flow))
        prompt = transcript_prompt(self._version, "")
        return Conditions(tuple(self._tokenizer.encode(prompt)), (), flow, voice_key(flow))

    def _instructed(self, conditions: Conditions, instruction: str | None) -> Conditions:
        """An instruction takes the place of the recording's words, and its speech tokens would speak those."""
        if instruction is None:
            return conditions
        prompt = instruction_prompt(self._version, instruction)
        return replace(conditions, prompt_text=tuple(self._tokenizer.encode(prompt)), prompt_speech=())

    def _segment(self, piece: TextSegment) -> Segment:
        tokens = tuple(self._tokenizer.encode(piece.text))
        return Segment(piece.written.strip(), tokens, speech_length(len(tokens)))

    def _num_tokens(self, text: str) -> int:
        return len(self._tokenizer.encode(text))


def flow_prompt(features: PromptFeatures, *, num_dropped: int = 0) -> FlowPrompt:
    """What the flow is told of a voice, without the first ``num_dropped`` tokens of its recording."""
    num_frames = FRAMES_PER_TOKEN * num_dropped
    return FlowPrompt(
        torch.tensor(features.speech_tokens[num_dropped:]),
        torch.tensor(features.mel[num_frames:]),
        torch.tensor(features.embedding),
    )


def voice_key(flow: FlowPrompt) -> str:
    """A digest of all that the flow is told."""
    digest = hashlib.sha256()
    for tensor in (flow.tokens, flow.mel, flow.embedding):
        digest.update(f"{tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()
