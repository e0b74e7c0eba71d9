"""What to compute next: for the stream that needs it most, and with it all whom the same step serves."""

from collections.abc import Iterable, Sequence
from itertools import count

from cosystream.engines.cosyvoice.pages import PagePool
from cosystream.engines.cosyvoice.pieces import Pieces
from cosystream.engines.cosyvoice.streams import Stream
from cosystream.engines.cosyvoice.ticks import Decode, Limits, Prefill, PromptKey, Reading, Solve, Tick, Work
from cosystream.types import JobId


class Scheduler:
    """Decides, one tick after the other, and keeps account of slots, pages and prompts.

    A tick counts as done when it is handed out. Back comes only what cannot be known before: the tokens drawn and the
    audio made of them. Whatever goes wrong with a job on the way, ``cancel`` makes as if it had never been.

    It cannot come to a standstill. The most urgent stream gets the pages it needs, if need be from all the others, and
    ``fits`` has made sure that these are enough. It stays the most urgent until it has sounded, so each sounds in turn.
    """

    def __init__(self, limits: Limits) -> None:
        assert limits.num_prompts >= limits.num_jobs, "each job may have a prompt of its own"
        self._limits = limits
        self._pieces = Pieces(limits)
        self._streams: dict[JobId, Stream] = {}  # in the order of arrival
        self._arrivals = count()
        self._free_slots = list(reversed(range(limits.num_jobs)))
        self._is_idle = False

    @property
    def has_work(self) -> bool:
        """False once there is nothing to do before something is told."""
        return bool(self._streams) and not self._is_idle

    @property
    def num_running(self) -> int:
        """Jobs that have a slot."""
        return self._limits.num_jobs - len(self._free_slots)

    @property
    def num_waiting(self) -> int:
        """Jobs that wait for one, or for pages."""
        return len(self._streams) - self.num_running

    @property
    def waiting(self) -> Iterable[JobId]:
        """These jobs."""
        return (stream.job for stream in self._streams.values() if stream.slot is None)

    @property
    def num_preempted(self) -> int:
        """How often a sequence has lost its pages to a more urgent one."""
        return self._pieces.num_preempted

    @property
    def pool(self) -> PagePool:
        return self._pieces.pool

    def fits(self, work: Work) -> bool:
        """Whether the segment could be spoken if there were nothing else."""
        limits = self._limits
        num_blocks = -(-(work.num_prompt_tokens + work.max_tokens) // limits.hops.block)
        return num_blocks <= limits.num_pages and work.num_positions + work.max_tokens <= limits.slot_positions

    def submit(self, job: JobId, work: Work) -> None:
        """Begin with a job, behind those that arrived before."""
        assert self.fits(work)
        self._is_idle = False
        self._streams[job] = Stream(job, next(self._arrivals), work)

    def follow(self, job: JobId, work: Work) -> None:
        """Go on with the next segment of a job, once the last one is spoken."""
        stream = self._streams[job]
        assert stream.is_spoken
        assert self.fits(work)
        self._is_idle = False
        stream.follow(work)
        self._pieces.hold_prompt(stream)

    def pause(self, job: JobId, now: float) -> None:
        """Compute nothing for the job until it is resumed. Unknown jobs are ignored."""
        if stream := self._streams.get(job):
            self._is_idle = False
            stream.pause(now)

    def resume(self, job: JobId, now: float) -> None:
        """Go on with the job. Unknown jobs are ignored."""
        if stream := self._streams.get(job):
            self._is_idle = False
            stream.resume(now)

    def cancel(self, job: JobId) -> None:
        """Forget a job, finished or not: all that it holds is free at once. Unknown jobs are ignored."""
        stream = self._streams.pop(job, None)
        if stream is None:
            return
        self._is_idle = False
        self._pieces.leave(stream)
        if stream.slot is not None:
            self._free_slots.append(stream.slot)

    def fail_prompt(self, key: PromptKey) -> tuple[JobId, ...]:
        """Forget a prompt that could not be solved, and with it the jobs that it was for: these."""
        jobs = self._pieces.users(key)
        for job in jobs:
            self.cancel(job)
        self._pieces.fail_prompt(key)
        return jobs

    def drawn(self, job: JobId, num_tokens: int, *, ended: bool) -> None:
        """The job's segment has so many speech tokens by now, and gets no more if it has ``ended``.

        May be told some ticks late. Unknown jobs are ignored.
        """
        stream = self._streams.get(job)
        if stream is None:
            return
        assert num_tokens >= stream.num_tokens
        self._is_idle = False
        stream.num_tokens = num_tokens
        stream.ended = ended
        if ended and stream.heard == num_tokens:
            stream.is_spoken = True
            self._pieces.end(stream)

    def sounded(self, job: JobId, seconds: float, now: float) -> None:
        """So much audio of the job has gone out. Unknown jobs are ignored."""
        if stream := self._streams.get(job):
            self._is_idle = False
            stream.sounded(seconds, now)

    def is_spoken(self, job: JobId) -> bool:
        """Whether the segment is: its last piece has ended, or it has none because no token was drawn."""
        return self._streams[job].is_spoken

    def tick(self, now: float) -> Tick | None:
        """The next thing to do; None if there is nothing before something is told."""
        self._admit()
        running = self._in_order(now)
        if self._may_read(running, now):
            return Tick(self._pieces.take_dropped(), self._prefill(running))
        idle = [stream for stream in self._streams.values() if stream.slot is not None and not stream.is_running]
        for index in range(len(running)):
            if work := self._work(running[index:], idle, now):
                return Tick(self._pieces.take_dropped(), work)
        self._is_idle = True
        return None

    def _in_order(self, now: float) -> list[Stream]:
        """Those at work, the most urgent first.

        While others wait to be let in, it is better to finish with some of those who are in no hurry than to bring all
        of them on: that frees pages.
        """
        safe_lead_seconds, oldest_first = self._limits.safe_lead_seconds, self.num_waiting > 0
        return sorted(
            (stream for stream in self._streams.values() if stream.is_running),
            key=lambda stream: stream.urgency(now, safe_lead_seconds, oldest_first=oldest_first),
        )

    def _work(self, running: Sequence[Stream], idle: Sequence[Stream], now: float) -> Prefill | Decode | Solve | None:
        """What brings the first on, and others with it; None if it can only wait."""
        first = running[0]
        if first.num_unread:
            return self._prefill(running)
        if solve := self._pieces.solve(first, running[1:], idle, now):
            return solve
        return self._decode(running) if first.may_draw else None

    def _admit(self) -> None:
        """Let in who waits, in the order of arrival; who is paused is passed over."""
        for stream in self._streams.values():
            if not self._free_slots:
                return
            if stream.slot is None and stream.paused_at is None:
                if not self._pieces.has_room(stream, self._streams.values()):
                    return
                stream.slot = self._free_slots.pop()
                self._pieces.hold_prompt(stream)

    def _may_read(self, running: Sequence[Stream], now: float) -> bool:
        """Whether some are to be read, and nobody is about to run dry.

        They are read before anything else: from then on they draw with all others, and each token drawn for one alone
        costs as much as one for all.
        """
        soon = now + self._limits.safe_lead_seconds
        return any(stream.num_unread for stream in running) and not any(
            stream.runs_dry is not None and now < stream.runs_dry < soon for stream in running
        )

    def _prefill(self, running: Sequence[Stream]) -> Prefill:
        """All that the most urgent lacks, or as much as may be read at once; with it others that lack about as much."""
        unread = [stream for stream in running if stream.num_unread]
        limit = self._limits.prefill_positions
        longest = min(limit, unread[0].num_unread)
        similar = [stream for stream in unread if 2 * stream.num_unread > longest][: limit // longest]
        readings = []
        for stream in similar:
            assert stream.slot is not None
            readings.append(Reading(stream.job, stream.slot, stream.num_read, min(longest, stream.num_unread)))
            stream.num_read += readings[-1].num_positions
        return Prefill(tuple(readings))

    def _decode(self, running: Sequence[Stream]) -> Decode:
        """A token of everybody who may draw one: a further row costs next to nothing."""
        drawing = [stream for stream in running if stream.may_draw][: self._limits.decode_batch]
        for stream in drawing:
            stream.num_draws += 1
        return Decode(
            tuple(stream.job for stream in drawing), tuple(stream.slot for stream in drawing if stream.slot is not None)
        )
