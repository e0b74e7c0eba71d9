"""Figures: how one listener was served, and how fast the engine is."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobReport:
    """How one listener was served. Times count from the job's arrival, as seen by the event loop."""

    chunks: int
    samples: int
    audio_seconds: float
    queue_seconds: float
    """From arrival until the engine began with it."""
    first_audio_seconds: float | None
    """Until the first chunk; None if there was none."""
    rtf: float
    """Seconds from the beginning to the last chunk, without pauses, over seconds of audio."""
    underruns: int
    """How often a player that starts at the first chunk and never skips would have run dry."""
    gaps_seconds: tuple[float, ...]
    """The waits between one chunk and the next."""


class JobMeter:
    """Watches one job. Every ``now`` is a reading of one monotonic clock, in seconds."""

    def __init__(self, sample_rate: int, now: float) -> None:
        self._sample_rate = sample_rate
        self._arrived = now
        self._begun: float | None = None
        self._first: float | None = None
        self._last = now
        self._worked = now
        self._runs_dry = now
        self._paused_seconds = 0.0
        self._chunks = 0
        self._samples = 0
        self._underruns = 0
        self._gaps: list[float] = []

    @property
    def audio_seconds(self) -> float:
        return self._samples / self._sample_rate

    @property
    def silent_since(self) -> float:
        """Since when a listener in real time has had nothing to hear; later than now if he still has."""
        return max(self._last, self._runs_dry)

    @property
    def stalled_since(self) -> float:
        """Since when, besides, nothing has been computed either."""
        return max(self.silent_since, self._worked)

    def begin(self, now: float) -> None:
        self._begun = self._last = now

    def resume(self, now: float) -> None:
        """Do not count the time since the last chunk, for which the job was paused."""
        paused_seconds = now - self._last
        self._paused_seconds += paused_seconds
        self._runs_dry += paused_seconds
        self._last = now

    def worked(self, now: float) -> None:
        """Something was computed that is not to be heard yet."""
        self._worked = now

    def chunk(self, now: float, num_samples: int) -> None:
        if self._first is None:
            self._first = self._runs_dry = now
        else:
            self._gaps.append(now - self._last)
        if now > self._runs_dry:
            self._underruns += 1
            self._runs_dry = now
        self._runs_dry += num_samples / self._sample_rate
        self._last = now
        self._chunks += 1
        self._samples += num_samples

    def report(self) -> JobReport:
        begun = self._last if self._begun is None else self._begun
        return JobReport(
            chunks=self._chunks,
            samples=self._samples,
            audio_seconds=self.audio_seconds,
            queue_seconds=begun - self._arrived,
            first_audio_seconds=None if self._first is None else self._first - self._arrived,
            rtf=(self._last - begun - self._paused_seconds) / self.audio_seconds if self._samples else 0.0,
            underruns=self._underruns,
            gaps_seconds=tuple(self._gaps),
        )


class Distribution:
    """How often something was at most so much, for each of ``bounds``, which rise."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """Not summed up; the last are those beyond all bounds."""
        self.total = 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


LOAD_LIMIT = 0.9
"""The share of real time that the jobs at work may need together; the rest absorbs noise and arrivals."""


class Ratio:
    """A running quotient that forgets: what was seen ``half_life`` units of the divisor ago counts half."""

    def __init__(self, initial: float, half_life: float) -> None:
        self._half_life = half_life
        self._divisor = half_life / 200  # a guess that the first observation outvotes
        self._dividend = initial * self._divisor

    def observe(self, dividend: float, divisor: float) -> None:
        keep = 0.5 ** (divisor / self._half_life)
        self._dividend = self._dividend * keep + dividend
        self._divisor = self._divisor * keep + divisor

    @property
    def value(self) -> float:
        return self._dividend / self._divisor


class Workload:
    """How much of its time a core works, as it speaks."""

    def __init__(self) -> None:
        self._rtf = Ratio(initial=LOAD_LIMIT, half_life=20.0)  # seconds at work per second of audio

    def observe(self, busy_seconds: float, audio_seconds: float) -> None:
        self._rtf.observe(busy_seconds, audio_seconds)

    @property
    def streams_at_once(self) -> int:
        """As many as it can keep ahead of real time together; at least one."""
        return max(1, int(LOAD_LIMIT / self._rtf.value))
