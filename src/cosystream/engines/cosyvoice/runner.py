"""Carries out with the models what the scheduler plans, and knows which tensors are whose."""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Generator, Tensor

from cosystream.engines.cosyvoice.sequence import Sequence as Decoding
from cosystream.engines.cosyvoice.ticks import Limits, Owner, Piece, PromptKey, Reading
from cosystream.engines.cosyvoice.utterance import Segment, Utterance, prompt_of
from cosystream.models.cosyvoice.decoder import Arrival, Decoder, Drawn
from cosystream.models.cosyvoice.flow import Flow, FlowPrompt, FlowState, Solve
from cosystream.models.cosyvoice.flow_memory import FlowMemory
from cosystream.models.cosyvoice.flow_recorded import RecordedFlow
from cosystream.models.cosyvoice.model import CosyVoice
from cosystream.models.graphs import Download, upload
from cosystream.types import JobId

logger = logging.getLogger(__name__)

_computing = torch.inference_mode()
"""Entered for each call: held any longer it would leak into whatever runs in between."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A token each of several sequences, perhaps still on its way from the device."""

    jobs: Sequence[JobId]
    sequences: Sequence[Decoding]
    drawn: Drawn


@dataclass(frozen=True, slots=True, eq=False)
class Spoken:
    """What a piece sounds like, perhaps still on its way from the device."""

    job: JobId
    sequence: Decoding
    waveform: Download
    is_last: bool
    """Of its segment."""


class Runner:
    """The models and all that they keep, by owner."""

    def __init__(
        self,
        model: CosyVoice,
        decoder: Decoder,
        memory: FlowMemory,
        stepper: RecordedFlow,
        limits: Limits,
        load_flow: Callable[[], Flow],
    ) -> None:
        """``load_flow`` brings another flow, in float32, should one be needed."""
        self.limits = limits
        self._model = model
        self._decoder = decoder
        self._memory = memory
        self._stepper = stepper
        self._load_flow = load_flow
        self._sequences: dict[JobId, Decoding] = {}
        self._states: dict[Owner, FlowState] = {}
        self._solves: dict[Owner, Solve] = {}
        self._precise: set[JobId] = set()

    @property
    def reads_late(self) -> bool:
        """Whether results are better read after the next step was launched."""
        return self._model.device.type != "cpu"

    @property
    def audio_limit(self) -> float:
        """Of the vocoder, which clips there."""
        return self._model.config.hift.audio_limit

    # Whose is what

    @_computing
    def begin(self, job: JobId, segment: Segment, utterance: Utterance, generator: Generator) -> None:
        """The next segment of ``job``; what is random in it comes from ``generator``."""
        draws = torch.rand(segment.length.maximum, 2, generator=generator)
        seed = int(torch.randint(2**31, (), generator=generator))
        self._sequences[job] = Decoding(
            segment=segment,
            conditions=utterance.conditions,
            version=self._model.config.version,
            speed=utterance.speed,
            draws=draws,
            vocoder_state=self._model.vocoder.begin(seed),
        )

    def sequence_of(self, job: JobId) -> Decoding | None:
        return self._sequences.get(job)

    def drop(self, owner: Owner) -> None:
        """Forget what the flow has solved for ``owner``, and what it is solving."""
        self._states.pop(owner, None)
        self._solves.pop(owner, None)

    def forget(self, job: JobId) -> None:
        """The job has ended."""
        self.drop(job)
        self._sequences.pop(job, None)
        self._precise.discard(job)

    def be_precise(self, job: JobId) -> None:
        """Solve all pieces of ``job`` in float32, each from the beginning: slow, and needed hardly ever."""
        self._precise.add(job)

    def is_precise(self, job: JobId) -> bool:
        """Whether there is nothing more precise to be tried."""
        return job in self._precise or self._memory.pages.dtype == torch.float32

    # What the scheduler plans

    @_computing
    def prefill(self, readings: Sequence[Reading]) -> None:
        """Let the language model read."""
        for reading in readings:
            if reading.first == 0:
                self._decoder.arrive(self._arrival(reading))
        self._decoder.prefill({reading.slot: reading.num_positions for reading in readings})

    @_computing
    def decode(self, jobs: Sequence[JobId], slots: Sequence[int]) -> Decoded:
        """One token of each job."""
        return Decoded(jobs, [self._sequences[job] for job in jobs], self._decoder.step(slots))

    def note(self, sequence: Decoding, token: int) -> None:
        """Take down what was drawn."""
        sequence.note(token, is_speech=self._model.lm.ids.is_speech(token))

    @_computing
    def begin_piece(self, piece: Piece) -> None:
        """Start to solve ``piece``."""
        owner, device = piece.owner, self._model.device
        if isinstance(owner, PromptKey):
            solve = self._model.flow.start_prompt(self._state(piece), piece.num_tokens)
            assert solve is not None, "more of a prompt than there is"
            self._solves[owner] = solve
            return
        end = piece.first + piece.num_tokens
        tokens = self._sequences[owner].tokens[: end if piece.final else end + self.limits.hops.lookahead]
        is_precise = owner in self._precise
        if piece.whole or is_precise:
            flow = self._precise_flow if is_precise else self._model.flow
            ids = upload(tokens, torch.long, device)
            self._solves[owner] = flow.start_whole(
                self._prompt(owner), ids, final=piece.final, streaming=not piece.whole
            )
            return
        ids = upload(tokens[piece.first :], torch.long, device)
        self._solves[owner] = self._model.flow.start(self._state(piece), ids, final=piece.final)

    @_computing
    def euler_step(self, owners: Iterable[Owner]) -> None:
        """One Euler step of each owner's piece."""
        solves = {owner: self._solves[owner] for owner in owners if owner in self._solves}
        precise = [solve for owner, solve in solves.items() if owner in self._precise]
        if others := [solve for owner, solve in solves.items() if owner not in self._precise]:
            self._stepper.euler_step(others)
        for solve in precise:
            self._precise_flow.euler_step([solve])

    @_computing
    def end_pieces(self, pieces: Iterable[Piece]) -> list[Spoken]:
        """Keep what was solved, and vocode what is to be heard of it."""
        jobs, states, mels, lasts = [], [], [], []
        for piece in pieces:
            mel = self._mel(piece)
            if isinstance(piece.owner, PromptKey) or mel is None:
                continue
            sequence = self._sequences[piece.owner]
            jobs.append(piece.owner)
            states.append(sequence.vocoder_state)
            mels.append(sequence.stretcher.feed(mel, last=piece.final))
            lasts.append(piece.final)
        if not jobs:
            return []
        waveforms = self._model.vocoder.vocode(states, mels, last=lasts)
        return [
            Spoken(job, self._sequences[job], Download(waveform), last)
            for job, waveform, last in zip(jobs, waveforms, lasts, strict=True)
        ]

    def _arrival(self, reading: Reading) -> Arrival:
        sequence = self._sequences[reading.job]
        pieces = prompt_of(sequence.segment, sequence.conditions)
        return Arrival(reading.slot, pieces, sequence.segment.length.minimum, sequence.draws)

    def _prompt(self, owner: Owner) -> FlowPrompt:
        """What the flow is told of the voice of ``owner``, on the device."""
        if isinstance(owner, PromptKey):
            everybody = (sequence.conditions for sequence in self._sequences.values())
            conditions = next(conditions for conditions in everybody if conditions.voice_key == owner.key)
        else:
            conditions = self._sequences[owner].conditions
        return conditions.flow.to(self._model.device)

    def _state(self, piece: Piece) -> FlowState:
        flow, owner = self._model.flow, piece.owner
        if piece.begins:
            if piece.prompt is None:
                self._states[owner] = flow.begin(self._prompt(owner), self._memory, piece.slot)
            else:
                self._states[owner] = flow.fork(self._states[piece.prompt], piece.slot)
        state = self._states[owner]
        state.pages.extend(piece.pages)
        return state

    def _mel(self, piece: Piece) -> Tensor | None:
        """What is new in a piece that is solved, (N, M); None if nothing of it is to be heard."""
        owner = piece.owner
        solve = self._solves.pop(owner, None)
        if solve is None:
            return None  # it could not be begun
        flow = self._precise_flow if owner in self._precise else self._model.flow
        mel = flow.finish(solve, commit=piece.commit)
        num_heard, num_solved = piece.num_silent, piece.num_tokens
        if solve.state is None:  # from the first token on
            num_heard, num_solved = num_heard + piece.first, num_solved + piece.first
        if num_heard == num_solved and not piece.final:
            return None
        return mel[self.limits.frames_per_token * num_heard :]

    @cached_property
    def _precise_flow(self) -> Flow:
        logger.warning("loading the flow once more, in float32")
        return self._load_flow()
