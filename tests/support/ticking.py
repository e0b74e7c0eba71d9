"""A core without models: it does what a scheduler's ticks say, and notices whatever could not be done."""

import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field
from functools import partial

from cosystream.engines.cosyvoice.scheduler import Scheduler
from cosystream.engines.cosyvoice.ticks import Decode, Limits, Owner, Piece, Prefill, PromptKey, Solve, Tick, Work
from cosystream.types import JobId


@dataclass(frozen=True, slots=True)
class Script:
    """A segment, and what the language model will draw for it."""

    work: Work
    num_tokens: int
    """Kept; those that are dropped come first."""
    num_dropped: int = 0


@dataclass(slots=True)
class Job:
    segments: list[Script]
    slot: int | None = None
    num_read: int = 0
    num_draws: int = 0
    num_heard: int = 0
    is_paused: bool = False
    log: list[tuple[int, int]] = field(default_factory=list)
    """Tokens [first, end) of the segments, as they became audio."""

    @property
    def script(self) -> Script:
        return self.segments[0]

    @property
    def num_tokens(self) -> int:
        return min(self.script.num_tokens, max(0, self.num_draws - self.script.num_dropped))

    @property
    def has_ended(self) -> bool:
        return self.num_draws >= min(self.script.work.max_tokens, self.script.num_tokens + self.script.num_dropped + 1)


@dataclass(slots=True)
class State:
    """What the flow has of a sequence or a prompt."""

    slot: int
    pages: list[int]
    num_tokens: int
    """Committed, with the prompt's."""


@dataclass(slots=True)
class Solving:
    piece: Piece
    num_steps: int = 0


class TickingCore:
    """Asserts that each tick can be carried out: nothing missing, nothing used twice, nothing in the wrong order."""

    def __init__(self, limits: Limits, *, tells_late: bool = False) -> None:
        """If it ``tells_late``, the scheduler hears what became of a tick only after it has said the next one."""
        self.limits = limits
        self.tells_late = tells_late
        self._news: list[Callable[[], None]] = []
        self.scheduler = Scheduler(limits)
        self.now = 0.0
        self.jobs: dict[JobId, Job] = {}
        self.states: dict[Owner, State] = {}
        self.solves: dict[Owner, Solving] = {}
        self.prompts: dict[PromptKey, int] = {}
        """Tokens of each."""
        self.finished: list[JobId] = []
        self.first_sounds: list[JobId] = []

    def submit(self, job: JobId, segments: Sequence[Script]) -> None:
        self.jobs[job] = Job(list(segments))
        self.prompts |= {script.work.prompt: script.work.num_prompt_tokens for script in segments}
        self.scheduler.submit(job, segments[0].work)

    def cancel(self, job: JobId) -> None:
        self.jobs.pop(job, None)
        self._forget(job)
        self.scheduler.cancel(job)

    def pause(self, job: JobId) -> None:
        self.jobs[job].is_paused = True
        self.scheduler.pause(job, self.now)

    def resume(self, job: JobId) -> None:
        self.jobs[job].is_paused = False
        self.scheduler.resume(job, self.now)

    def fail_prompt(self, key: PromptKey) -> None:
        for job in self.scheduler.fail_prompt(key):
            assert self.jobs[job].script.work.prompt == key
            self.cancel(job)
        self._forget(key)

    def step(self, seconds: float = 0.0) -> Tick | None:
        """Carry out a tick that takes so many seconds."""
        tick = self.scheduler.tick(self.now)
        assert self.scheduler.has_work == (tick is not None)
        old_news, self._news = self._news, []
        if tick is not None:
            self.now += seconds
            self._carry_out(tick)
        if not self.tells_late:
            old_news, self._news = self._news, []
        for tell in old_news:
            tell()
        return tick

    def _carry_out(self, tick: Tick) -> None:
        for owner in tick.dropped:
            assert isinstance(owner, PromptKey) or owner in self.jobs
            self._forget(owner)
        match tick.work:
            case Prefill():
                self._check_pages()
                self._prefill(tick.work)
            case Decode():
                self._check_pages()
                self._decode(tick.work)
            case Solve():
                for piece in tick.work.begins:
                    self._begin(piece)
                self._check_pages(but_for={piece.owner for piece in tick.work.ends if piece.final})
                self._solve(tick.work)

    def _check_pages(self, but_for: Set[Owner] = frozenset()) -> None:
        """A page belongs to one sequence, or to a prompt and those behind it; all others are free."""
        pages: dict[int, Owner] = {}
        states = {owner: state for owner, state in self.states.items() if owner not in but_for}
        for owner, state in states.items():
            num_shared = self._num_solvable(owner) // self.limits.hops.block if not isinstance(owner, PromptKey) else 0
            for page in state.pages[num_shared:]:
                assert pages.setdefault(page, owner) == owner, f"page {page} belongs to {owner} and {pages[page]}"
        shared = {page for state in states.values() for page in state.pages}
        assert shared == set(pages), "pages of a prompt that is gone"
        assert self.scheduler.pool.num_free == self.limits.num_pages - len(pages)
        slots = [job.slot for job in self.jobs.values() if job.slot is not None]
        assert len(set(slots)) == len(slots)
        prompt_slots = [state.slot for owner, state in self.states.items() if isinstance(owner, PromptKey)]
        assert len(set(prompt_slots)) == len(prompt_slots)
        assert all(
            self.limits.num_jobs <= slot < self.limits.num_jobs + self.limits.num_prompts for slot in prompt_slots
        )

    def _prefill(self, prefill: Prefill) -> None:
        longest = prefill.readings[0].num_positions
        assert longest * len(prefill.readings) <= self.limits.prefill_positions
        for reading in prefill.readings:
            job = self._at_work(reading.job, reading.slot)
            assert reading.first == job.num_read
            assert 0 < reading.num_positions <= longest
            job.num_read += reading.num_positions
            assert job.num_read <= job.script.work.num_positions

    def _decode(self, decode: Decode) -> None:
        assert 0 < len(decode.jobs) <= self.limits.decode_batch
        assert len(set(decode.jobs)) == len(decode.jobs) == len(decode.slots)
        for job_id, slot in zip(decode.jobs, decode.slots, strict=True):
            job = self._at_work(job_id, slot)
            assert job.num_read == job.script.work.num_positions
            assert not job.has_ended or self.tells_late
            job.num_draws += 1
            assert job.num_draws <= job.script.work.max_tokens
            self._news.append(partial(self._tell_drawn, job_id, job, job.script, job.num_tokens, job.has_ended))

    def _solve(self, solve: Solve) -> None:
        assert len(set(solve.owners)) == len(solve.owners)
        sizes = {self.solves[owner].piece.num_frames for owner in solve.owners}
        assert len(sizes) == 1
        assert len(solve.owners) == 1 or len(solve.owners) * sizes.pop() <= self.limits.flow_frames
        done = []
        for owner in solve.owners:
            if not isinstance(owner, PromptKey):
                assert not self.jobs[owner].is_paused
            self.solves[owner].num_steps += 1
            if self.solves[owner].num_steps == self.limits.num_steps:
                done.append(self.solves.pop(owner).piece)
        assert tuple(done) == solve.ends
        for piece in done:
            self._end(piece)

    def _begin(self, piece: Piece) -> None:
        owner, block = piece.owner, self.limits.hops.block
        assert owner not in self.solves
        self.solves[owner] = Solving(piece)
        if piece.begins:
            assert owner not in self.states
            behind = State(piece.slot, [], 0) if piece.prompt is None else self.states[piece.prompt]
            assert behind.num_tokens == self._num_solvable(owner) or isinstance(owner, PromptKey)
            self.states[owner] = State(piece.slot, list(behind.pages), behind.num_tokens)
        end = piece.first + piece.num_tokens
        if isinstance(owner, PromptKey):
            state, num_prompt, num_solved = self.states[owner], 0, 0
            assert end + self.limits.hops.lookahead <= self.prompts[owner]
            assert piece.commit
            assert not piece.final
        else:
            job = self._at_work(owner, piece.slot)
            num_prompt = job.script.work.num_prompt_tokens
            num_solved = 0 if piece.whole else self._num_solvable(owner)
            assert end <= job.num_tokens - (0 if piece.final else self.limits.hops.lookahead)
            assert not piece.final or (job.has_ended and end == job.num_tokens and piece.commit)
            if piece.whole:
                assert piece.final
                assert not piece.first
                assert not piece.pages
                assert piece.num_frames == self.limits.frames_per_token * (num_prompt + end)
                return
            state = self.states[owner]
        assert state.num_tokens == (num_prompt + piece.first if piece.first else num_solved)
        assert piece.num_frames == self.limits.frames_per_token * (num_prompt + end - state.num_tokens)
        assert not set(piece.pages) & {page for other in self.states.values() for page in other.pages}
        state.pages.extend(piece.pages)
        assert len(state.pages) * block >= num_prompt + end
        assert not piece.commit or piece.final or (num_prompt + end) % block == 0

    def _end(self, piece: Piece) -> None:
        end = piece.first + piece.num_tokens
        if isinstance(piece.owner, PromptKey):
            self.states[piece.owner].num_tokens = end
            return
        job = self.jobs[piece.owner]
        if piece.commit and not piece.whole:
            self.states[piece.owner].num_tokens = job.script.work.num_prompt_tokens + end
        if piece.num_silent < piece.num_tokens:
            begin = piece.first + piece.num_silent
            assert begin == job.num_heard, f"{begin} tokens follow upon {job.num_heard}"
            if not job.log:
                self.first_sounds.append(piece.owner)
            job.log.append((begin, end))
            job.num_heard = end
            seconds = (end - begin) / self.limits.token_rate / job.script.work.speed
            self._news.append(partial(self._tell_sounded, piece.owner, job, seconds))
        else:
            assert end <= job.num_heard
        if piece.final:
            self._forget(piece.owner)
            self._news.append(partial(self._go_on, piece.owner, job, job.script))

    def _tell_drawn(self, job_id: JobId, job: Job, script: Script, num_tokens: int, ended: bool) -> None:
        if self.jobs.get(job_id) is job and job.segments and job.script is script:
            self.scheduler.drawn(job_id, num_tokens, ended=ended)
            if not num_tokens:
                self._go_on(job_id, job, script)

    def _tell_sounded(self, job_id: JobId, job: Job, seconds: float) -> None:
        if self.jobs.get(job_id) is job:
            self.scheduler.sounded(job_id, seconds, self.now)

    def _go_on(self, job_id: JobId, job: Job, script: Script) -> None:
        """With the next segment, if this one is spoken."""
        if self.jobs.get(job_id) is not job or job.script is not script or not self.scheduler.is_spoken(job_id):
            return
        assert job.has_ended
        assert job.num_heard == job.script.num_tokens
        job.segments.pop(0)
        job.num_read = job.num_draws = job.num_heard = 0
        if job.segments:
            self.scheduler.follow(job_id, job.script.work)
        else:
            self.finished.append(job_id)
            self.cancel(job_id)

    def _at_work(self, job_id: JobId, slot: int) -> Job:
        job = self.jobs[job_id]
        assert not job.is_paused
        assert job.slot in (None, slot)
        assert 0 <= slot < self.limits.num_jobs
        job.slot = slot
        return job

    def _forget(self, owner: Owner) -> None:
        self.states.pop(owner, None)
        self.solves.pop(owner, None)

    def _num_solvable(self, owner: Owner) -> int:
        """Tokens of its prompt that are solved apart."""
        key = owner if isinstance(owner, PromptKey) else self.jobs[owner].script.work.prompt
        block = self.limits.hops.block
        return math.floor(max(0, self.prompts[key] - self.limits.hops.lookahead) / block) * block
