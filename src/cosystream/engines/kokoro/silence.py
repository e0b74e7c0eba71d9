"""How much silence is heard: what the model puts around a clause is not computed, and pauses last as they should.

Kokoro surrounds each clause with up to 1.5 s of silence, and hardly pauses at commas within one.
"""

import numpy as np
from numpy.typing import NDArray

from cosystream.engines.kokoro.windows import Frames

_AUDIBLE_ENERGY = 0.0
"""In the front's measure, which tells the loudness of a frame before it sounds: 4 is -30 dB, 0 -50 dB, -6 -75 dB."""
_FRAMES_BEFORE, _FRAMES_AFTER = 3, 6
"""The onset of a consonant may be quieter, and a voice needs room to die away."""

SENTENCE_PAUSE_SECONDS = 0.30
_PAUSE_SECONDS = {
    ",": 0.10,
    ";": 0.20,
    ":": 0.20,
    "—": 0.20,
    ".": SENTENCE_PAUSE_SECONDS,
    "!": SENTENCE_PAUSE_SECONDS,
    "?": SENTENCE_PAUSE_SECONDS,
    "…": SENTENCE_PAUSE_SECONDS,
}
_SHORTEST_PAUSE_SECONDS = 0.02
_CLOSERS = '”")'


def audible(energy: NDArray[np.float32]) -> Frames:
    """From a clause's first sound to its last, with some room. ``energy`` is (T,), and so are the frames it spans."""
    sounding = np.flatnonzero(energy >= min(_AUDIBLE_ENERGY, energy.max()))
    return Frames(max(0, int(sounding[0]) - _FRAMES_BEFORE), min(len(energy), int(sounding[-1]) + 1 + _FRAMES_AFTER))


def pause_seconds(phonemes: str) -> float:
    """What to add between a clause and the next, by the sign that ends it: the room around them makes it 0.1 s more."""
    return _PAUSE_SECONDS.get(phonemes.rstrip().rstrip(_CLOSERS)[-1:], _SHORTEST_PAUSE_SECONDS)
