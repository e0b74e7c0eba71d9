"""What one listener met with, whatever the way in which the audio came."""

from dataclasses import dataclass

from cosystream.bench.playback import Arrival, PlaybackClock


@dataclass(frozen=True, slots=True)
class Heard:
    """What a listener met with."""

    text: str
    status: int
    """Of HTTP; 0 without an answer."""
    retry_after_seconds: float | None
    first_audio_seconds: float | None
    """From the request, connecting included."""
    audio_seconds: float
    chunks: int
    underruns: int
    starved_seconds: float
    rtf: float | None
    """As the server reports it."""
    problem: str | None
    """What an answer lacks that began as speech, or why there was none; None if it is whole, or was refused."""
    arrivals: tuple[Arrival, ...] = ()
    """The chunks, in order."""

    @property
    def served(self) -> bool:
        return self.status == 200 and self.problem is None

    @property
    def refused(self) -> bool:
        """Told to come back later, and when."""
        return self.status == 503 and self.retry_after_seconds is not None


class Listener:
    """Writes down when audio comes. Every ``now`` is a reading of one clock, in seconds."""

    def __init__(self, text: str, now: float) -> None:
        self._text = text
        self._asked = now
        self._clock = PlaybackClock()
        self._arrivals: list[Arrival] = []

    @property
    def chunks(self) -> int:
        return len(self._arrivals)

    def audio(self, now: float, seconds: float) -> None:
        """A chunk of ``seconds`` has arrived."""
        self._arrivals.append(Arrival(now - self._asked, seconds))
        self._clock.audio(now, seconds)

    def heard(self, status: int, *, retry_after_seconds: float | None, rtf: float | None, problem: str | None) -> Heard:
        """All of it, and how it ended."""
        return Heard(
            text=self._text,
            status=status,
            retry_after_seconds=retry_after_seconds,
            first_audio_seconds=self._arrivals[0].seconds if self._arrivals else None,
            audio_seconds=self._clock.audio_seconds,
            chunks=self.chunks,
            underruns=self._clock.underruns,
            starved_seconds=self._clock.starved_seconds,
            rtf=rtf,
            problem=problem,
            arrivals=tuple(self._arrivals),
        )
