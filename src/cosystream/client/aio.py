"""The client for an event loop; otherwise as ``Client``."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from types import TracebackType
from typing import Self, Unpack

import anyio
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


class AsyncClient:
    """A server. ``aclose`` it, or use it in an ``async with``; see ``Client`` for the rest."""

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
        self._http = httpx.AsyncClient(**self._address.connection)

    def stream(self, text: str, **options: Unpack[Options]) -> "AsyncSpeech":
        """Speech as it is made: ``async for chunk in client.stream("你好")``. The loop's beginning asks the server."""
        return AsyncSpeech(self._http, self._address, body_of(text, options), retries=self._retries)

    async def synthesize(self, text: str, **options: Unpack[Options]) -> Audio:
        """The whole speech, when all of it has been made."""
        async with self.stream(text, **options) as speech:
            return Audio.join([chunk async for chunk in speech], speech.start, speech.done)

    async def voices(self) -> VoiceList:
        """What ``speaker`` may be."""
        return read(await self._ask("GET", VOICES), VoiceList)

    async def add_voice(self, name: str, prompt: Prompt) -> VoiceEntry:
        """Have a voice learnt from a recording, and kept: from then on ``speaker`` may be ``name``."""
        seconds = self._address.learning_seconds
        return read(await self._ask("POST", VOICES, voice_body(name, prompt), seconds=seconds), VoiceEntry)

    async def remove_voice(self, name: str) -> None:
        """Have a voice forgotten that was learnt."""
        await self._ask("DELETE", voice_path(name))

    async def cancel(self, request_id: str) -> None:
        """End a request that is in flight, whoever listens to it. Raises UnknownRequest if it is not."""
        await self._ask("DELETE", request_path(request_id))

    async def aclose(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _ask(self, method: str, path: str, body: bytes | None = None, *, seconds: float | None = None) -> bytes:
        seconds = seconds or self._address.timeout  # of silence
        with self._address.in_our_words(seconds):
            answer = await self._http.request(method, path, content=body, headers=JSON, timeout=seconds)
        if not answer.is_success:
            raise refusal(answer.status_code, answer.headers, answer.content)
        return answer.content


class AsyncSpeech(Hearing):
    """Speech on its way, heard by iterating once.

    Leaving the loop, however, closes the connection, and that ends the work on the server. After a ``break`` the event
    loop sees to that when it next turns; an ``async with`` has it done before the next line.
    """

    def __init__(self, http: httpx.AsyncClient, address: Address, body: bytes, *, retries: int) -> None:
        super().__init__(retries=retries, longest_wait_seconds=address.timeout)
        self._http = http
        self._address = address
        self._body = body
        self._response: httpx.Response | None = None
        self._is_closed = False

    async def __aiter__(self) -> AsyncIterator[Chunk]:
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, Chunk):
                    yield event

    async def events(self) -> AsyncGenerator[Event, None]:
        """All that is told, in order: places in the queue, the start, sentences, chunks and the figures."""
        self._begin()
        while True:
            try:
                async with aclosing(self._attempt()) as events:
                    async for event in events:
                        yield event
            except (TryLater, ConnectionLost, Unreachable) as problem:
                if self.done is not None or self._is_closed:
                    return  # all that was lost is the end of the connection, or we have ended it
                seconds = self._wait_before_retry(problem)
            else:
                return
            await anyio.sleep(seconds)

    async def aclose(self) -> None:
        """End it."""
        self._is_closed = True
        if self._response is not None:
            await self._response.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _attempt(self) -> AsyncGenerator[Event, None]:
        if self._is_closed:
            return
        request = self._http.build_request("POST", STREAM, content=self._body, headers=self._headers)
        with self._address.in_our_words():
            # Not by httpx's stream(), a generator: a loop that ends closes all generators at once, in any order.
            async with aclosing(await self._http.send(request, stream=True)) as response:
                self._response = response
                if self._is_closed:
                    return
                if not response.is_success:
                    raise refusal(response.status_code, response.headers, await response.aread())
                self._answered(response.status_code, response.headers)
                async for body in response.aiter_bytes():
                    for event in self._feed(body):
                        yield event
                        if self._is_closed:
                            return
        self._end()
