"""Speech as a client wants to have it, made piece by piece out of an engine's PCM."""

from cosystream.audio.encode import Encoder
from cosystream.audio.formats import Format, rate_for
from cosystream.audio.gain import amplify
from cosystream.audio.resample import Resampler
from cosystream.audio.tempo import Tempo
from cosystream.web.encoding import at_tempo, encode_beside, finish_beside


class Renderer:
    """PCM of an engine in, what is sent out: louder or softer, higher or deeper, at another rate, in a format."""

    def __init__(
        self,
        source_rate: int,
        format_: Format,
        sample_rate: int,
        *,
        bit_rate: int | None = None,
        gain: float = 1.0,
        pitch: float = 1.0,
    ) -> None:
        """A ``sample_rate`` that ``format_`` cannot hold gives way to the next that it can.

        ``pitch`` is a factor. It is done by making the speech as much longer and then playing it as much faster, which
        moves the voice as a whole, like a tape.
        """
        sample_rate = rate_for(format_, sample_rate)
        self._gain = gain
        self._tempo = Tempo(source_rate, 1 / pitch)
        self._resampler = Resampler(round(source_rate * pitch), sample_rate)
        self._encoder = Encoder(format_, sample_rate, bit_rate)
        self._format: Format = format_

    async def feed(self, pcm: bytes) -> bytes:
        """What can be sent now; it may be nothing."""
        shaped = self._resampler.feed(await at_tempo(self._tempo, amplify(pcm, self._gain)))
        return b"".join(await encode_beside(self._format, self._encoder.feed, shaped))

    async def finish(self) -> bytes:
        """The rest, once, after the last ``feed``."""
        rest = self._resampler.feed(self._tempo.finish()) + self._resampler.finish()
        return await finish_beside(self._format, lambda: self._encoder.feed(rest) + self._encoder.finish())
