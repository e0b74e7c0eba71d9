"""In which pieces a clause leaves the generator: small at first, so that it is heard early, then of even size."""

from collections.abc import Iterator
from dataclasses import dataclass

_LADDER = (24, 32, 48)
"""The first is soon made, 0.3 s of audio, and each lasts twice as long as it takes to make the next."""
_LIMIT = 64
"""0.8 s of audio: a third of that to compute, which is how long a cancel or another listener waits."""


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames ``start <= frame < end`` of a clause, 80 a second."""

    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


def plan_windows(frames: Frames) -> Iterator[Frames]:
    """Cut ``frames`` into windows to compute one by one."""
    start, left = frames.start, len(frames)
    for size in _LADDER:
        if left < size + size // 2:  # what would be left is not worth a window with its context
            break
        yield Frames(start, start + size)
        start, left = start + size, left - size
    for windows_left in range(-(-left // _LIMIT), 0, -1):
        size = -(-left // windows_left)
        yield Frames(start, start + size)
        start, left = start + size, left - size
