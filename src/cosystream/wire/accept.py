"""Which of the answers on offer a caller would rather have: the Accept header of RFC 9110, section 12.5.1."""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")


def choose(accept: str, offers: Mapping[str, T], otherwise: T) -> T | None:
    """The offer that ``accept`` likes best; None if it likes none.

    ``offers`` are by media type. ``otherwise`` is for callers to whom anything is as good as anything. Of types liked
    equally the one named first wins; types with ``q=0`` are refused; parameters other than ``q`` are ignored.
    """
    best, best_quality = None, 0.0
    for entry in accept.split(",") if accept.strip() else ["*/*"]:
        media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
        quality = _quality(parameters)
        if media_type == "*/*":
            liked = [otherwise]
        elif media_type.endswith("/*"):
            liked = [offer for name, offer in offers.items() if name.startswith(media_type[:-1])]
        else:
            liked = [offers[media_type]] if media_type in offers else []
        if liked and quality > best_quality:
            best, best_quality = liked[0], quality
    return best


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
