"""What a network keeps between two pieces of a stream, a row for each of the streams that go through it together."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its name everywhere


@dataclass(frozen=True, slots=True)
class Tails:
    """Tensors by name, of as many rows as there are streams.

    Shapes: R rows, T steps, C channels, P steps behind.
    """

    kept: dict[str, Tensor] = field(default_factory=dict)  # (R, ...) each

    def extend(self, layer: str, x: Tensor, num_past: int) -> Tensor:
        """``x`` (R, T, C) with the ``num_past`` steps before it in front, (R, P + T, C); silence before all."""
        tail = self.kept.get(layer)
        x = F.pad(x, (0, 0, num_past, 0)) if tail is None else torch.cat([tail, x], dim=1)
        self.kept[layer] = x[:, x.size(1) - num_past :].clone()  # a view would keep all of x
        return x

    def join(self, name: str, x: Tensor) -> Tensor:
        """``x`` (R, T, ...) behind what is kept under ``name``, if there is something, which is handed over."""
        tail = self.kept.pop(name, None)
        return x if tail is None else torch.cat([tail, x], dim=1)

    def rows(self, num_rows: int) -> list["Tails"]:
        """Those of each stream, which share their memory until they are replaced."""
        return [Tails({name: x[row : row + 1] for name, x in self.kept.items()}) for row in range(num_rows)]


def stacked(rows: Sequence[Tails]) -> Tails:
    """Those of streams that have come equally far; what becomes of them leaves ``rows`` as they are."""
    if len(rows) == 1:
        return Tails(dict(rows[0].kept))
    return Tails({name: torch.cat([row.kept[name] for row in rows]) for name in rows[0].kept})


def alike(keys: Sequence[Hashable]) -> list[list[int]]:
    """The places of equal ``keys``, together."""
    groups: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        groups.setdefault(key, []).append(place)
    return list(groups.values())
