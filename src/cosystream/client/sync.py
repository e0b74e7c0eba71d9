"""The client for code that may block: no threads, one connection a stream."""

import socket
import time
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from types import TracebackType
from typing import Self, Unpack

import httpx

from cosystream.client.asking import (
    JSON,
    STREAM,
    VOICES,
    Address,
    Options,
    body_of,
    request_path,
    voice_body,
    voice_path,
)
from cosystream.client.audio import Audio, Chunk
from cosystream.client.errors import ConnectionLost, Unreachable, refusal
from cosystream.client.hearing import Event, Hearing, read
from cosystream.errors import TryLater
from cosystream.types import Prompt
from cosystream.wire.voices import VoiceEntry, VoiceList


class Client:
    """A server. It may be shared between threads; ``close`` it, or use it in a ``with``.

    What the server refuses is raised as it was there, by the classes of ``cosystream.errors``; besides, there are
    ``Unreachable`` and ``BrokenOff``. ``timeout`` is how many seconds of silence are too long (a server that lives says
    something every five). ``retries`` is how often to ask again for a speech when told to come back later, after as
    long as the server says, or when the connection is lost; of what has been heard in part the rest is asked for.
    """

    def __init__(
        self,
        url: str = "http://localhost:50000",
        *,
        api_key: str | None = None,
        timeout: float = 30.0,
        retries: int = 2,
    ) -> None:
        self._address = Address.parse(url, api_key, timeout)
        self._retries = retries
        self._http = httpx.Client(**self._address.connection)

    def stream(self, text: str, **options: Unpack[Options]) -> "Speech":
        """Speech as it is made: ``for chunk in client.stream("你好")``. The loop's beginning asks the server."""
        return Speech(self._http, self._address, body_of(text, options), retries=self._retries)

    def synthesize(self, text: str, **options: Unpack[Options]) -> Audio:
        """The whole speech, when all of it has been made."""
        with self.stream(text, **options) as speech:
            return Audio.join(list(speech), speech.start, speech.done)

    def voices(self) -> VoiceList:
        """What ``speaker`` may be."""
        return read(self._ask("GET", VOICES), VoiceList)

    def add_voice(self, name: str, prompt: Prompt) -> VoiceEntry:
        """Have a voice learnt from a recording, and kept: from then on ``speaker`` may be ``name``."""
        seconds = self._address.learning_seconds
        return read(self._ask("POST", VOICES, voice_body(name, prompt), seconds=seconds), VoiceEntry)

    def remove_voice(self, name: str) -> None:
        """Have a voice forgotten that was learnt."""
        self._ask("DELETE", voice_path(name))

    def cancel(self, request_id: str) -> None:
        """End a request that is in flight, whoever listens to it. Raises UnknownRequest if it is not."""
        self._ask("DELETE", request_path(request_id))

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: bytes | None = None, *, seconds: float | None = None) -> bytes:
        seconds = seconds or self._address.timeout  # of silence
        with self._address.in_our_words(seconds):
            answer = self._http.request(method, path, content=body, headers=JSON, timeout=seconds)
        if not answer.is_success:
            raise refusal(answer.status_code, answer.headers, answer.content)
        return answer.content


class Speech(Hearing):
    """Speech on its way, heard by iterating once.

    Leaving the loop, however, closes the connection, and that ends the work on the server; a ``with`` makes sure of it
    where an iterator is kept.
    """

    def __init__(self, http: httpx.Client, address: Address, body: bytes, *, retries: int) -> None:
        super().__init__(retries=retries, longest_wait_seconds=address.timeout)
        self._http = http
        self._address = address
        self._body = body
        self._response: httpx.Response | None = None
        self._is_closed = False

    def __iter__(self) -> Iterator[Chunk]:
        with closing(self.events()) as events:
            for event in events:
                if isinstance(event, Chunk):
                    yield event

    def events(self) -> Generator[Event, None, None]:
        """All that is told, in order: places in the queue, the start, sentences, chunks and the figures."""
        self._begin()
        while True:
            try:
                yield from self._attempt()
            except (TryLater, ConnectionLost, Unreachable) as problem:
                if self.done is not None or self._is_closed:
                    return  # all that was lost is the end of the connection, or we have ended it
                seconds = self._wait_before_retry(problem)
            else:
                return
            time.sleep(seconds)

    def close(self) -> None:
        """End it. Another thread that waits for its next chunk is woken."""
        self._is_closed = True
        if self._response is not None and not self._response.is_closed:
            _wake(self._response)
            self._response.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _attempt(self) -> Iterator[Event]:
        if self._is_closed:
            return
        with (
            self._address.in_our_words(),
            self._http.stream("POST", STREAM, content=self._body, headers=self._headers) as response,
        ):
            self._response = response
            if self._is_closed:
                return
            if not response.is_success:
                raise refusal(response.status_code, response.headers, response.read())
            self._answered(response.status_code, response.headers)
            for body in response.iter_bytes():
                for event in self._feed(body):
                    yield event
                    if self._is_closed:
                        return
        self._end()


def _wake(response: httpx.Response) -> None:
    """End the wait for the next bytes of ``response``: to close a socket does not."""
    connection: socket.socket = response.extensions["network_stream"].get_extra_info("socket")
    with suppress(OSError):  # the server has left
        connection.shutdown(socket.SHUT_RDWR)
