"""Which of the answers on offer a caller would rather have: the Accept header of RFC 9110, section 12.5.1."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")

LONGEST = 4096
"""In characters, many times what browsers send. What stands behind them is not read."""


def choose(accept: str, offers: Mapping[str, T], otherwise: T) -> T | None:
    """The offer that ``accept`` likes best; None if it likes none.

    ``offers`` are by media type, an offer's proper name first. ``otherwise``, which is one of them, is for callers to
    whom anything is as good as anything. How much an offer is liked says the most exact entry that fits it, so that
    ``audio/wav;q=0, */*`` refuses WAV alone. Of offers liked equally the one named first wins; parameters other than
    ``q`` are ignored.
    """
    said: dict[str, tuple[float, int]] = {}
    entries = [entry for entry in accept[:LONGEST].split(",") if entry.strip()]
    for place, entry in enumerate(entries or ["*/*"]):
        media_type, quality = _parse(entry)
        said[media_type] = max(said.get(media_type, (0.0, -place)), (quality, -place))
    best, best_rank = None, (0.0, 0)
    for offer in dict.fromkeys([otherwise, *offers.values()]):
        names = [name for name, other in offers.items() if other == offer]
        rank = _liking(names, said)
        if rank > best_rank:
            best, best_rank = offer, rank
    return best


def _liking(names: Sequence[str], said: Mapping[str, tuple[float, int]]) -> tuple[float, int]:
    """How much is ``said`` for what has these ``names``, and by which entry. Groups fit the first name only."""
    group = f"{names[0].partition('/')[0]}/*"
    for fitting in (names, [group], ["*/*"]):
        if found := [said[name] for name in fitting if name in said]:
            return max(found)
    return 0.0, 0


def _parse(entry: str) -> tuple[str, float]:
    media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                quality = 0.0
            return media_type, quality if 0.0 <= quality <= 1.0 else 0.0
    return media_type, 1.0
