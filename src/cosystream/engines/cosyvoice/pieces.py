"""The flow's pieces: which are due, which are on their way, and whose pages they take."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cosystream.engines.cosyvoice.pages import PagePool
from cosystream.engines.cosyvoice.prompt_cache import HeldPrompt, PromptCache
from cosystream.engines.cosyvoice.streams import Stream, own_pages, prompt_tokens
from cosystream.engines.cosyvoice.ticks import Limits, Owner, Piece, PromptKey, Solve
from cosystream.types import JobId


@dataclass(slots=True, eq=False)
class _Due:
    """A piece, on its way or ready to be started once there are pages for it."""

    piece: Piece
    holder: Stream | HeldPrompt
    num_pages: int
    """To be taken first."""
    next_rung: int = 0
    num_steps: int = 0
    is_started: bool = False


class Pieces:
    """Each stream has one piece at a time: of its prompt until that is solved, then of its own sequence."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.pool = PagePool(limits.num_pages)
        self.num_preempted = 0
        prompt_slots = range(limits.num_jobs, limits.num_jobs + limits.num_prompts)
        self._prompts = PromptCache(self.pool, prompt_slots, self._forget)
        self._on_their_way: dict[Owner, _Due] = {}
        self._dropped: list[Owner] = []

    def take_dropped(self) -> tuple[Owner, ...]:
        """Who has lost what the flow has of it, since this was last asked."""
        dropped, self._dropped = tuple(self._dropped), []
        return dropped

    def has_room(self, newcomer: Stream, streams: Collection[Stream]) -> bool:
        """Whether there are pages for it, with what those who were let in before are likely to need."""
        schedule, work = self._limits.hops, newcomer.work
        prompt = self._prompts.get(work.prompt)
        num_due = newcomer.num_pages_due(schedule)
        if prompt is None:
            num_due += prompt_tokens(work, schedule) // schedule.block
        num_due += sum(p.num_tokens // schedule.block - len(p.pages) for p in self._prompts if p.users or p is prompt)
        idle = [stream for stream in streams if not stream.is_running]  # what these hold can be taken from them
        num_free = self.pool.num_free + sum(len(stream.pages) for stream in idle)
        num_free += self._prompts.pages_without({stream.job for stream in idle}, spared=prompt)
        return num_due + sum(stream.num_pages_due(schedule) for stream in streams if stream.is_running) <= num_free

    def hold_prompt(self, stream: Stream) -> None:
        """Keep the prompt of its present segment for the stream, and no other."""
        if stream.prompt is not None and stream.prompt.key != stream.work.prompt:
            self._let_go(stream)
        num_tokens = prompt_tokens(stream.work, self._limits.hops)
        if stream.prompt is None and num_tokens:
            stream.prompt = self._prompts.hold(stream.work.prompt, num_tokens, stream.job)

    def end(self, stream: Stream) -> None:
        """The stream's sequence is not gone on with: free its pages."""
        self._on_their_way.pop(stream.job, None)
        self.pool.give_back(stream.shared_pages)
        self.pool.give_back(stream.pages)
        stream.shared_pages = ()
        stream.pages.clear()
        stream.has_state = False

    def leave(self, stream: Stream) -> None:
        """The stream itself is not gone on with."""
        self.end(stream)
        self._let_go(stream)
        self._dropped = [owner for owner in self._dropped if owner != stream.job]

    def fail_prompt(self, key: PromptKey) -> None:
        """Forget a prompt that nobody uses any more."""
        if prompt := self._prompts.get(key):
            self._prompts.evict(prompt)

    def users(self, key: PromptKey) -> tuple[JobId, ...]:
        """The jobs that speak behind a prompt, or will."""
        prompt = self._prompts.get(key)
        return tuple(sorted(prompt.users)) if prompt else ()

    def solve(self, leader: Stream, others: Sequence[Stream], idle: Sequence[Stream], now: float) -> Solve | None:
        """An Euler step of the piece due for ``leader``, and with it of ``others`` that have as many frames.

        All are in order of urgency. If pages run short, ``leader`` takes those of whom comes behind it; ``idle`` are
        streams that can do without any. None if nothing is due, or if there are not enough pages all the same.
        """
        due = self._due(leader, now)
        if due is None:
            return None
        if not due.is_started:
            self._make_room(due.num_pages, leader, [*idle, *reversed(others)])
            if not self._start(due):
                return None
        group = {due.piece.owner: due}
        num_frames = due.piece.num_frames
        most = max(1, self._limits.flow_frames // num_frames)
        for stream in others:
            if len(group) == most:
                break
            joining = self._due(stream, now, num_frames)
            if joining is not None and (joining.is_started or self._start(joining)):
                group[joining.piece.owner] = joining
        begins = tuple(due.piece for due in group.values() if not due.num_steps)
        return Solve(begins, tuple(group), tuple(self._step(group.values())))

    # Which are due

    def _due(self, stream: Stream, now: float, num_frames: int | None = None) -> _Due | None:
        """The stream's piece, if it has one, and that has so many frames."""
        if stream.prompt is None:
            self.hold_prompt(stream)
        prompt = stream.prompt
        due: _Due | None
        if prompt is not None and not prompt.is_solved:
            due = self._on_their_way.get(prompt.key) or self._of_prompt(prompt)
        else:
            due = self._on_their_way.get(stream.job) or self._of_sequence(stream, now, num_frames)
        return None if due is None or num_frames not in (None, due.piece.num_frames) else due

    def _of_prompt(self, prompt: HeldPrompt) -> _Due:
        schedule = self._limits.hops
        num_tokens = min(prompt.num_tokens - prompt.num_solved, self._limits.prompt_blocks * schedule.block)
        piece = Piece(
            owner=prompt.key,
            slot=prompt.slot,
            begins=not prompt.num_solved,
            prompt=None,
            pages=(),
            first=prompt.num_solved,
            num_tokens=num_tokens,
            num_silent=num_tokens,
            num_frames=self._limits.frames_per_token * num_tokens,
            commit=True,
            final=False,
        )
        return _Due(piece, prompt, num_tokens // schedule.block)

    def _of_sequence(self, stream: Stream, now: float, num_frames: int | None) -> _Due | None:
        hop = stream.next_hop(now, self._limits)
        if hop is None:
            return None
        assert stream.slot is not None
        work, schedule = stream.work, self._limits.hops
        whole = hop.final and self._limits.final_whole
        first = 0 if whole else stream.committed
        end = stream.committed + hop.num_tokens
        num_due = end - first
        if not first:  # what is left of the prompt goes with it
            num_due += work.num_prompt_tokens - (0 if whole else prompt_tokens(work, schedule))
        if num_frames not in (None, self._limits.frames_per_token * num_due):
            return None  # found out early, since it is asked of everybody
        piece = Piece(
            owner=stream.job,
            slot=stream.slot,
            begins=not whole and not stream.has_state,
            prompt=stream.prompt.key if stream.prompt else None,
            pages=(),
            first=first,
            num_tokens=end - first,
            num_silent=min(max(0, stream.heard - first), end - first),
            num_frames=self._limits.frames_per_token * num_due,
            commit=hop.commit,
            final=hop.final,
            whole=whole,
        )
        num_pages = 0 if whole else max(0, own_pages(work, end, schedule) - len(stream.pages))
        return _Due(piece, stream, num_pages, hop.next_rung)

    # On their way

    def _start(self, due: _Due) -> bool:
        """Take the pages, those of cached prompts too; False if there are not so many."""
        self._prompts.free_pages(due.num_pages)
        pages = self.pool.take(due.num_pages)
        if pages is None:
            return False
        due.piece = piece = replace(due.piece, pages=pages)
        due.is_started = True
        holder = due.holder
        if isinstance(holder, Stream) and piece.begins:
            holder.has_state = True
            holder.shared_pages = tuple(holder.prompt.pages) if holder.prompt else ()
            self.pool.share(holder.shared_pages)
        holder.pages.extend(pages)
        self._on_their_way[piece.owner] = due
        return True

    def _step(self, group: Iterable[_Due]) -> Iterator[Piece]:
        """Those for which it is the last step."""
        for due in group:
            due.num_steps += 1
            if due.num_steps == self._limits.num_steps:
                del self._on_their_way[due.piece.owner]
                self._finish(due)
                yield due.piece

    def _finish(self, due: _Due) -> None:
        piece, holder = due.piece, due.holder
        end = piece.first + piece.num_tokens
        if isinstance(holder, HeldPrompt):
            holder.num_solved = end
            return
        holder.heard = max(holder.heard, end)
        holder.rung = due.next_rung
        if piece.commit:
            holder.committed = end
        if piece.final:
            holder.is_spoken = True
            self.end(holder)

    # Whose pages they take

    def _make_room(self, number: int, leader: Stream, victims: Sequence[Stream]) -> None:
        """Free so many pages, if that can be done: cached prompts go first, then sequences in the order given."""
        self._prompts.free_pages(number)
        jobs = {stream.job for stream in victims}
        num_possible = self.pool.num_free + sum(len(stream.pages) for stream in victims)
        if num_possible + self._prompts.pages_without(jobs) < number:
            return
        for stream in victims:
            if self.pool.num_free >= number:
                return
            if stream.pages or stream.prompt is not leader.prompt:
                self._preempt(stream)
                self._prompts.free_pages(number)

    def _preempt(self, stream: Stream) -> None:
        """Take all its pages. It is solved again from the prompt on, in silence as far as it was heard."""
        if stream.has_state:
            self.num_preempted += 1
            self._dropped.append(stream.job)
        self.end(stream)
        self._let_go(stream)
        stream.committed = 0

    def _let_go(self, stream: Stream) -> None:
        if stream.prompt is not None:
            self._prompts.let_go(stream.prompt, stream.job)
            stream.prompt = None

    def _forget(self, key: PromptKey) -> None:
        self._on_their_way.pop(key, None)
        self._dropped.append(key)
