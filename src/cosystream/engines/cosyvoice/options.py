"""How a checkpoint is to be computed, beyond what its own configuration says."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cosystream.models.cosyvoice.flow import FlowOptions
from cosystream.models.linear import Precision


@dataclass(frozen=True, slots=True)
class CosyVoiceOptions:
    """What ``engines.registry`` makes of the settings."""

    voices_dir: Path
    cache_dir: Path
    num_threads: int = 1
    may_borrow: bool = False
    """Whether the embedded voice may lend itself where the checkpoint has no voices."""
    max_voices: int = 100
    """Learnt from recordings."""
    precision: Precision | None = None
    """Of the matrix products; None is what the device is good at."""
    lm_precision: Precision | None = None
    """Of those in the language model; None is as ``precision``."""
    num_steps: int = 10
    """Of the flow's solver. Fewer are faster and no longer what the reference computes."""
    window_blocks: int | None = None
    """How many blocks of attention the flow looks back, beyond the prompt; None is all."""
    first_hop: int = 8
    """Tokens of the provisional first hop; 0 is none, so that the first audio waits for a whole block."""
    prompt_align: Literal["trim", "official"] = "trim"
    final_hop: Literal["causal", "official"] = "causal"
    """Whether the last hop sees the blocks behind it alone, as all others, or is solved anew with all seeing all."""
    memory_bytes: int | None = None
    """For what the flow keeps of its sequences; None is a share of what is free."""
    max_streams: int = 64
    """Sequences at work at once."""
    flow_backend: Literal["torch", "tensorrt"] = "torch"

    @property
    def flow(self) -> FlowOptions:
        """What is traded for speed in the flow."""
        return FlowOptions(self.num_steps, self.window_blocks)
