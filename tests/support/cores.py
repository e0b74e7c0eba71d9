"""Engines that do what a test's text tells them to: its words are their stage directions."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from cosystream.errors import InvalidRequest, SynthesisFailed
from cosystream.runtime.protocol import CoreLoad, Failed, Finished, Output, VoiceLibrary, Worked
from cosystream.types import AudioChunk, EngineInfo, JobId, SynthesisRequest, Voice

INFO = EngineInfo(
    name="scripted",
    model="scripted",
    sample_rate=1_000,
    voices=(Voice("Ann", ("en",), "female"), Voice("Bob", ("en",), "male")),
    default_speaker="Ann",
)
WORD_SECONDS = 0.1
FLOOD_SECONDS = 60.0
NOBODY_COMES_SECONDS = 30.0
"""Until a thread that a failed test has left behind goes on."""


def audio(seconds: float, sentence: str | None = None) -> AudioChunk:
    """Silence at the rate of INFO."""
    return AudioChunk(bytes(2 * round(seconds * INFO.sample_rate)), sentence)


class ScriptedCore:
    """An ``EngineCore`` that takes one word of each job's text in a step, and keeps a diary.

    A word is spoken in 100 ms, with itself as the sentence, unless it is one of these:

    ============  ===================================================================================
    ``rest``      a millisecond passes and nothing comes of it
    ``work``      the same, but the core says that it has worked for the job
    ``hold``      the job goes no further, and the core sleeps if no other job does
    ``break``     the same, until the job is resumed
    ``flood``     a minute of audio
    ``fail``      the job fails
    ``die``       the step raises
    ``wait``      the step does not return before ``wake``
    ``hang``      the same, and then it speaks for every job there may be
    ``cling``     does nothing, but cancelling the job does not return before ``wake``
    ``refuse``    ``prepare`` raises what is the caller's fault
    ``stumble``   ``prepare`` raises what is ours
    ``ponder``    ``prepare`` does not return before ``pondered``
    ============  ===================================================================================

    ``instead`` replaces texts, such as the engine's own warm-up.
    """

    def __init__(self, streams_at_once: int = 1, *, instead: Mapping[str, str] | None = None) -> None:
        self.info = INFO
        self.library: VoiceLibrary | None = None
        self.load = CoreLoad(streams_at_once)
        self.diary: list[tuple[str, JobId]] = []
        self.jobs: dict[JobId, deque[str]] = {}
        self.threads = {threading.current_thread()}
        """Those on which it was built and used; ``prepare`` does not count."""
        self.pondering, self.pondered = threading.Event(), threading.Event()
        self.hanging, self.wake = threading.Event(), threading.Event()
        self.closed = threading.Event()
        self._instead = instead or {}
        self._paused: set[JobId] = set()
        self._resumed: set[JobId] = set()
        self._clinging: set[JobId] = set()

    def jobs_that_were(self, what: str) -> list[JobId]:
        """``submit``, ``pause``, ``resume`` or ``cancel``, in order."""
        return [job for done, job in self.diary if done == what]

    def prepare(self, request: SynthesisRequest) -> list[str]:
        words = self._instead.get(request.text, request.text).split()
        if "refuse" in words:
            raise InvalidRequest("text: refused")
        if "stumble" in words:
            raise RuntimeError("prepare stumbled")
        if "ponder" in words:
            self.pondering.set()
            self.pondered.wait(NOBODY_COMES_SECONDS)
        return [word for word in words if word != "ponder"]

    def submit(self, job: JobId, prepared: list[str]) -> None:
        self._note("submit", job)
        self.jobs[job] = deque(word for word in prepared if word != "cling")
        if "cling" in prepared:
            self._clinging.add(job)

    def pause(self, job: JobId) -> None:
        self._note("pause", job)
        self._paused.add(job)

    def resume(self, job: JobId) -> None:
        self._note("resume", job)
        self._paused.discard(job)
        self._resumed.add(job)

    def cancel(self, job: JobId) -> None:
        self._note("cancel", job)
        self.jobs.pop(job, None)
        if job in self._clinging:
            self._hang()

    def step(self) -> Sequence[tuple[JobId, Output]]:
        self.threads.add(threading.current_thread())
        outputs: list[tuple[JobId, Output]] = []
        for job in [job for job in self.jobs if self._can_go_on(job)]:
            outputs += self._act(job, self.jobs[job])
        for job, output in outputs:
            if isinstance(output, Finished | Failed):
                del self.jobs[job]
        return outputs

    @property
    def has_work(self) -> bool:
        return any(map(self._can_go_on, self.jobs))

    def close(self) -> None:
        self.threads.add(threading.current_thread())
        self.closed.set()

    def _can_go_on(self, job: JobId) -> bool:
        word = next(iter(self.jobs[job]), None)
        return job not in self._paused and word != "hold" and (word != "break" or job in self._resumed)

    def _act(self, job: JobId, words: deque[str]) -> Iterator[tuple[JobId, Output]]:
        word = words.popleft() if words else None
        match word:
            case None:
                yield job, Finished()
            case "rest" | "work":
                until = time.monotonic() + 0.001
                while time.monotonic() < until:
                    pass
                if word == "work":
                    yield job, Worked()
            case "break":
                pass
            case "flood":
                yield job, audio(FLOOD_SECONDS)
            case "fail":
                yield job, Failed("it fails, as it was told to")
            case "die":
                raise RuntimeError("it dies, as it was told to")
            case "wait":
                self._hang()
            case "hang":
                self._hang()
                yield from ((JobId(number), audio(WORD_SECONDS, "late")) for number in range(1, 100))
            case _:
                yield job, audio(WORD_SECONDS, word)

    def _hang(self) -> None:
        self.hanging.set()
        self.wake.wait(NOBODY_COMES_SECONDS)

    def _note(self, what: str, job: JobId) -> None:
        self.threads.add(threading.current_thread())
        self.diary.append((what, job))


class Builder:
    """Builds one core after the other from what it is given, the last of which it builds for ever."""

    def __init__(self, *recipes: Callable[[], ScriptedCore] | Exception) -> None:
        self._recipes = deque(recipes)
        self.calls = 0
        self.built: list[ScriptedCore] = []

    def __call__(self) -> ScriptedCore:
        self.calls += 1
        recipe = self._recipes.popleft() if len(self._recipes) > 1 else self._recipes[0]
        if isinstance(recipe, Exception):
            raise recipe
        self.built.append(recipe())
        return self.built[-1]


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class ScriptedSynthesizer:
    """A ``Synthesizer`` whose texts are made of durations: ``1 0.5`` is a chunk of a second and one of half a second.

    Other words last 100 ms. A chunk takes ``cost_seconds`` of the clock, as does ``think``, of which nothing is heard.
    The words ``fail`` and ``crash`` raise our own exception and another; a text with ``eager`` raises before there is a
    generator.
    """

    def __init__(self, clock: Clock, cost_seconds: float = 0.01) -> None:
        self.info = INFO
        self.cost_seconds = cost_seconds
        self.ended_on: list[threading.Thread] = []
        """The thread on which each generator came to its end or was closed."""
        self.is_closed = False
        self._clock = clock

    def prepare(self, request: SynthesisRequest) -> list[str]:
        return request.text.split()

    def synthesize(self, prepared: list[str]) -> Iterator[AudioChunk | None]:
        if "eager" in prepared:
            raise RuntimeError("it crashes before it begins")
        return self._speak(prepared)

    def close(self) -> None:
        self.is_closed = True

    def _speak(self, words: list[str]) -> Iterator[AudioChunk | None]:
        try:
            for word in words:
                self._clock.now += self.cost_seconds
                if word == "fail":
                    raise SynthesisFailed("it fails, as it was told to")
                if word == "crash":
                    raise RuntimeError("it crashes, as it was told to")
                yield None if word == "think" else audio(float(word) if word[0].isdigit() else WORD_SECONDS)
        finally:
            self.ended_on.append(threading.current_thread())
