"""Streaming text to speech that starts at once and never stutters."""

__version__ = "0.1.0"
