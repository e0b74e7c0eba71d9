"""Where the golden data lies: tiny checkpoints in the official format among them."""

from pathlib import Path

GOLDEN = Path(__file__).parents[1] / "parity" / "golden"
