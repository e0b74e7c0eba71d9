"""One speech as a client hears it: what the events of its stream have told so far, and whether its end was one."""

import base64
from collections.abc import Iterator, Mapping
from typing import TypeVar

import msgspec

from cosystream.client.asking import STREAM_HEADERS
from cosystream.client.audio import Chunk
from cosystream.client.errors import BrokenOff, ConnectionLost, Unreachable, failure
from cosystream.client.events import EventReader
from cosystream.errors import TryLater
from cosystream.wire.fields import Encoding
from cosystream.wire.native import Audio, Done, FailureEvent, Queued, Sentence, Start

T = TypeVar("T")

Event = Queued | Start | Sentence | Chunk | Done
"""What a stream is made of. An ``error`` is raised."""

SHORTEST_WAIT_SECONDS = 0.25
"""Before another try, however soon the server would have it."""


class Hearing:
    """What is known of a speech on its way. Reading it is left to those who have a connection."""

    def __init__(self, *, retries: int, longest_wait_seconds: float) -> None:
        self._retries = retries
        self._problem: TryLater | ConnectionLost | None = None  # why it was asked again
        self._longest_wait_seconds = longest_wait_seconds
        self._is_begun = False
        self._forget()

    def _forget(self) -> None:
        """As before the server answered."""
        self.request_id: str | None = None
        """By which it can be cancelled, from the moment the server answers."""
        self.place: Queued | None = None
        """Where it stands in the queue, while it waits there."""
        self.start: Start | None = None
        """What speaks, and how: the speaker and the seed are those that were taken."""
        self.sentence: Sentence | None = None
        """The one that sounds in the latest chunk."""
        self.done: Done | None = None
        """The figures, once all has been heard."""
        self._num_chunks = 0
        self._num_samples = 0
        self._reader = EventReader()

    def _begin(self) -> None:
        if self._is_begun:
            raise RuntimeError("a speech is heard once; ask for another with stream()")
        self._is_begun = True

    @property
    def _headers(self) -> dict[str, str]:
        """Of the next request: for all of it, or for what follows the last chunk."""
        if self.start is None or not self._num_chunks:
            return STREAM_HEADERS
        return {**STREAM_HEADERS, "Last-Event-ID": f"{self.start.request_id}:{self._num_chunks - 1}"}

    def _answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Raises BrokenOff for an answer that is no stream of events; if there is no rest, what cut it off."""
        if status == 204 and self._problem is not None:
            self._retries = 0
            raise self._problem
        content_type = headers.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != "text/event-stream":
            raise BrokenOff(f"the answer is {content_type or 'nothing'}, not a stream of events; is this cosystream?")
        if not self._num_chunks:  # the rest goes by the id of the whole
            self.request_id = headers.get("x-request-id")

    def _feed(self, body: bytes) -> Iterator[Event]:
        """The events that ``body`` completes; those that this client does not know are skipped.

        Raises what the server says has ended the speech, and BrokenOff for what is no stream of ours.
        """
        for event in self._reader.feed(body):
            match event.name:
                case "queued":
                    self.place = read(event.data, Queued)
                    yield self.place
                case "start":
                    self.start, self.place = read(event.data, Start), None
                    yield self.start
                case "sentence":
                    self.sentence = read(event.data, Sentence)
                    yield self.sentence
                case "audio":
                    yield self._chunk(read(event.data, Audio))
                case "done":
                    done = read(event.data, Done)
                    if done.samples != self._num_samples:
                        raise BrokenOff(f"{self._num_samples} samples arrived, and {done.samples} were sent")
                    self.done = done
                    yield done
                case "error":
                    raise failure(read(event.data, FailureEvent).error)

    def _chunk(self, audio: Audio) -> Chunk:
        if self.start is None:
            raise BrokenOff("audio came before the start, which says how to read it")
        if audio.index != self._num_chunks:
            raise BrokenOff(f"chunk {audio.index} came in place of chunk {self._num_chunks}")
        try:
            pcm = _decoded(audio.audio, self.start.encoding)
        except ValueError:
            raise BrokenOff(f"chunk {audio.index} is not {self.start.encoding}") from None
        self._num_chunks += 1
        self._num_samples += len(pcm) // 2
        return Chunk(pcm, self.start.sample_rate, audio.index, audio.offset_ms)

    def _end(self) -> None:
        """No more bytes will come. Raises BrokenOff if that is not the end."""
        if self.done is None:
            raise ConnectionLost(f"the stream stopped after {self._num_chunks} chunks, without its end")

    def _wait_before_retry(self, problem: TryLater | ConnectionLost | Unreachable) -> float:
        """Seconds until it is to be asked again. Raises ``problem`` after the last try, and if that is too long.

        Where nobody answers there is no other try: what the server said before it went is raised, if it said anything.
        """
        if isinstance(problem, Unreachable):
            if isinstance(self._problem, TryLater):
                raise self._problem from problem
            raise problem
        wanted = problem.retry_after_seconds if isinstance(problem, TryLater) else 0.0
        seconds = max(wanted, SHORTEST_WAIT_SECONDS)
        if not self._retries or seconds > self._longest_wait_seconds:
            raise problem
        self._retries -= 1
        self._problem = problem
        self._reader, self.place = EventReader(), None
        if not self._num_chunks:
            self._forget()
        return seconds


def _decoded(audio: str, encoding: Encoding) -> bytes:
    """Raises ValueError."""
    return bytes.fromhex(audio) if encoding == "hex" else base64.b64decode(audio, validate=True)


def read(data: bytes, kind: type[T]) -> T:
    """``data`` as JSON of a ``kind``; what else is in it is ignored. Raises BrokenOff."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BrokenOff(f"what should be {kind.__name__} is not: {error}") from None
