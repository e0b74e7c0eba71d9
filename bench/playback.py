"""The clock of a player that starts with the first audio and plays in real time."""


class PlaybackClock:
    """Knows when the player will have played all that it has, and counts the times when that was too soon.

    Every ``now`` is a reading of one clock, in seconds.
    """

    def __init__(self) -> None:
        self._runs_dry: float | None = None
        self.underruns = 0
        self.starved_seconds = 0.0
        """Silence that was heard where speech should have been."""
        self.audio_seconds = 0.0

    def audio(self, now: float, seconds: float) -> None:
        """``seconds`` of audio have arrived."""
        runs_dry = now if self._runs_dry is None else self._runs_dry
        if now > runs_dry:
            self.underruns += 1
            self.starved_seconds += now - runs_dry
        self._runs_dry = max(now, runs_dry) + seconds
        self.audio_seconds += seconds
