"""Speech faster or slower at its own pitch: mel frames interpolated along time, whole or as they come in."""

from typing import TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - its name everywhere

_Frame = TypeVar("_Frame", float, Tensor)


def stretch(mel: Tensor, speed: float) -> Tensor:
    """``mel`` (T, M) at ``speed``, (int(T / speed), M), as the reference does: the frames there are, spread evenly."""
    size = int(len(mel) / speed)
    return F.interpolate(mel.T[None], size=size, mode="linear")[0].T  # (T', M)


class Stretcher:
    """The same for a mel whose length is not known yet: frame n lies at (n + 0.5) * speed - 0.5, however it is cut.

    Shapes: T frames, M mel bins.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._num_in = 0
        self._num_out = 0
        self._held: Tensor | None = None
        """The end of what came in, from the first frame on that is still needed."""

    def feed(self, mel: Tensor, *, last: bool) -> Tensor:
        """The frames that ``mel`` (T, M) completes, of int(T / speed) in all."""
        frames = mel if self._held is None else torch.cat([self._held, mel])
        self._num_in += len(mel)
        num_gone = self._num_in - len(frames)
        end = int(self._num_in / self.speed)
        if not last:  # none beyond the frames there are; behind the end the last frame stands still
            end = min(end, int((self._num_in - 0.5) / self.speed + 0.5))
        end = max(end, self._num_out)
        outs = torch.arange(self._num_out, end, dtype=torch.float64, device=mel.device)
        positions = self._position(outs).clamp(0, max(0, self._num_in - 1))
        left = positions.floor()
        weight = (positions - left).to(mel.dtype)[:, None]
        left = left.long() - num_gone
        right = (left + 1).clamp(max=len(frames) - 1)
        self._held = frames[max(0, int(self._position(end)) - num_gone) :]
        self._num_out = end
        return torch.lerp(frames[left], frames[right], weight)  # (T', M)

    def _position(self, frame: _Frame) -> _Frame:
        """Where in what comes in a frame of what goes out lies."""
        return (frame + 0.5) * self.speed - 0.5
