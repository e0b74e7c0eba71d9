"""Who holds which page of the flow's memory."""

from collections.abc import Iterable


class PagePool:
    """Pages by number, each with a count of its holders; a page nobody holds is free."""

    def __init__(self, num_pages: int) -> None:
        self.num_pages = num_pages
        self._holders = [0] * num_pages
        self._free = list(reversed(range(num_pages)))

    @property
    def num_free(self) -> int:
        return len(self._free)

    def take(self, number: int) -> tuple[int, ...] | None:
        """So many free pages, now with one holder each; None if there are not so many."""
        if number > len(self._free):
            return None
        pages = tuple(self._free.pop() for _ in range(number))
        for page in pages:
            self._holders[page] = 1
        return pages

    def share(self, pages: Iterable[int]) -> None:
        """Count one more holder of each."""
        for page in pages:
            assert self._holders[page] > 0, f"page {page} is free"
            self._holders[page] += 1

    def give_back(self, pages: Iterable[int]) -> None:
        """Count one holder less of each; a page that has lost its last one is free."""
        for page in pages:
            assert self._holders[page] > 0, f"page {page} is free"
            self._holders[page] -= 1
            if not self._holders[page]:
                self._free.append(page)
