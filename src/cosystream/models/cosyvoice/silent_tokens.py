"""Long silences shortened: v3 drops silent speech tokens beyond the first few in a row before they are spoken."""

from cosystream.models.cosyvoice.config import Version

SILENT = frozenset({1, 2, 28, 29, 55, 248, 494, 2241, 2242, 2322, 2323})
"""v3's speech tokens of silence and breath."""
LONGEST_RUN = 5


class SilenceFilter:
    """Says of each token of a sequence, in order, whether it is to be spoken. The language model remembers them all."""

    def __init__(self, version: Version) -> None:
        self._silent = SILENT if version is Version.V3 else frozenset[int]()
        self._run = 0

    def keeps(self, token: int) -> bool:
        self._run = self._run + 1 if token in self._silent else 0
        return self._run <= LONGEST_RUN
