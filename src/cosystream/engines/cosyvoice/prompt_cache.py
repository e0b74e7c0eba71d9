"""Solved prompts, each shared by all who speak behind it, and kept for the next as long as nobody needs the room."""

from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field

from cosystream.engines.cosyvoice.pages import PagePool
from cosystream.engines.cosyvoice.ticks import PromptKey
from cosystream.types import JobId


@dataclass(slots=True, eq=False)
class HeldPrompt:
    """The blocks of a prompt that can be solved before there is anything to speak."""

    key: PromptKey
    slot: int
    num_tokens: int
    """To be solved; whole blocks."""
    num_solved: int = 0
    pages: list[int] = field(default_factory=list)
    users: set[JobId] = field(default_factory=set)
    """Jobs that speak behind it or will: it stays while there is one."""

    @property
    def is_solved(self) -> bool:
        return self.num_solved == self.num_tokens


class PromptCache:
    """A slot for each prompt held. What nobody uses goes when there is need, the longest unused first."""

    def __init__(self, pool: PagePool, slots: range, on_evicted: Callable[[PromptKey], None]) -> None:
        self._pool = pool
        self._free_slots = list(reversed(slots))
        self._on_evicted = on_evicted
        self._prompts: dict[PromptKey, HeldPrompt] = {}  # in the order of their last use

    def __iter__(self) -> Iterator[HeldPrompt]:
        return iter(self._prompts.values())

    def get(self, key: PromptKey) -> HeldPrompt | None:
        return self._prompts.get(key)

    def hold(self, key: PromptKey, num_tokens: int, user: JobId) -> HeldPrompt:
        """The prompt, which stays until ``user`` lets go of it. There must be a slot or a prompt that nobody uses."""
        prompt = self._prompts.get(key)
        if prompt is None:
            if not self._free_slots:
                self.evict(next(prompt for prompt in self if not prompt.users))
            prompt = self._prompts[key] = HeldPrompt(key, self._free_slots.pop(), num_tokens)
        assert prompt.num_tokens == num_tokens, f"{key} has {prompt.num_tokens} tokens, not {num_tokens}"
        prompt.users.add(user)
        return prompt

    def let_go(self, prompt: HeldPrompt, user: JobId) -> None:
        prompt.users.remove(user)
        self._prompts[prompt.key] = self._prompts.pop(prompt.key)  # last used now

    def evict(self, prompt: HeldPrompt) -> None:
        """Forget a prompt that nobody uses."""
        assert not prompt.users, f"{prompt.key} is in use"
        del self._prompts[prompt.key]
        self._pool.give_back(prompt.pages)
        self._free_slots.append(prompt.slot)
        self._on_evicted(prompt.key)

    def free_pages(self, number: int) -> None:
        """Evict until so many pages are free; nothing, if that cannot be."""
        if number <= self._pool.num_free or number > self._pool.num_free + self.pages_without(frozenset()):
            return
        for prompt in [prompt for prompt in self if not prompt.users and prompt.pages]:
            self.evict(prompt)
            if number <= self._pool.num_free:
                return

    def pages_without(self, users: Set[JobId], *, spared: HeldPrompt | None = None) -> int:
        """How many pages could be freed, but for those of the one ``spared``, if these users were not."""
        return sum(len(prompt.pages) for prompt in self if prompt is not spared and prompt.users <= users)
