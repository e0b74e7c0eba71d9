"""The voices: the names they are asked for by, and what makes the model sound like each of them.

``data/voices.npz`` is made by ``tools/make_voices.py``; the NOTICE beside it says of what.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from cosystream.types import Voice

Floats = NDArray[np.float32]

DEFAULT_SPEAKER = "中文女"

PUBLISHED_NAMES = {
    Voice("中文女", ("zh", "en"), "female"): "zf_xiaoxiao",
    Voice("中文男", ("zh", "en"), "male"): "zm_yunjian",
    Voice("英文女", ("en", "zh"), "female"): "af_heart",
    Voice("英文男", ("en", "zh"), "male"): "am_michael",
    Voice("zf_xiaobei", ("zh", "en"), "female"): "zf_xiaobei",
    Voice("zf_xiaoyi", ("zh", "en"), "female"): "zf_xiaoyi",
    Voice("zm_yunxi", ("zh", "en"), "male"): "zm_yunxi",
    Voice("zm_yunxia", ("zh", "en"), "male"): "zm_yunxia",
    Voice("zm_yunyang", ("zh", "en"), "male"): "zm_yunyang",
    Voice("af_bella", ("en", "zh"), "female"): "af_bella",
    Voice("am_fenrir", ("en", "zh"), "male"): "am_fenrir",
    Voice("bf_emma", ("en", "zh"), "female"): "bf_emma",
    Voice("bm_george", ("en", "zh"), "male"): "bm_george",
}
"""What their makers call the voices, and ``voices.npz`` its arrays. Not offered are those of languages that have no
front end here, and one whose tones are a dialect's (zf_xiaoni)."""

VOICES = tuple(PUBLISHED_NAMES)

_SHORTEST_PROSODY = 60
"""Rows for fewer tokens make short clauses quiet and slow."""


@dataclass(frozen=True, slots=True, eq=False)
class VoiceStyle:
    """What makes the model sound like one voice. S norm statistics."""

    timbre: Floats
    """(128,), the same for clauses of all lengths: the statistics were measured with it."""
    prosody: Floats
    """(300, 128), row i for a clause of i + 1 tokens."""
    statistics: Floats
    """(1, S, 1), in the order that the generator takes them."""
    gain: float
    """What brings its speech to about -22 dBFS; as they are, some voices clip."""

    def vector(self, num_tokens: int) -> Floats:
        """The model's style input for a clause of ``num_tokens``, (1, 256)."""
        return style_vector(self.timbre, self.prosody, num_tokens)


def style_vector(timbre: Floats, prosody: Floats, num_tokens: int) -> Floats:
    """``timbre`` (128,) and the row of ``prosody`` (300, 128) for a clause of ``num_tokens``, as (1, 256)."""
    row = min(max(num_tokens - 1, _SHORTEST_PROSODY), len(prosody) - 1)
    return np.concatenate([timbre, prosody[row]])[np.newaxis]


def load_styles() -> Mapping[str, VoiceStyle]:
    """By the names in VOICES."""
    with resources.files(__package__).joinpath("data/voices.npz").open("rb") as file, np.load(file) as arrays:
        return {
            voice.name: VoiceStyle(
                timbre=arrays[f"{key}.timbre"],
                prosody=arrays[f"{key}.prosody"].astype(np.float32),
                statistics=arrays[f"{key}.statistics"].reshape(1, -1, 1),
                gain=float(arrays[f"{key}.gain"]),
            )
            for voice, key in PUBLISHED_NAMES.items()
        }
