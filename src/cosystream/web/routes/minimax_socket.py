"""MiniMax's T2A v2 over a WebSocket: texts in, one after the other, and audio out."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import anyio
import anyio.lowlevel
import orjson
from anyio.abc import TaskGroup
from starlette.types import Message, Scope, Send
from starlette.websockets import WebSocket

from cosystream.errors import CosystreamError, InvalidField, InvalidRequest, Stalled, TextTooLong, TryLater
from cosystream.runtime.protocol import AudioStream
from cosystream.types import Voice
from cosystream.web.outbox import LOST
from cosystream.web.reading import ESCAPED_BYTES, OTHER_FIELDS_BYTES
from cosystream.web.routes.minimax import T2ASpeech
from cosystream.web.services import Services, services_of
from cosystream.wire.minimax import T2A, T2ASettings, base_resp_of, extra_info, t2a_of
from cosystream.wire.minimax_task import (
    TaskAudio,
    TaskContinue,
    TaskContinued,
    TaskEvent,
    TaskFinish,
    TaskStart,
    TextSpoken,
    parse_event,
)
from cosystream.wire.native import problem_of

IDLE_SECONDS = 120.0
"""A client that sends nothing for so long, not even an empty text, after all has been spoken is told goodbye."""

MOST_WAITING = 16
"""Texts of the greatest length, or as many characters in shorter ones."""
MOST_EVENTS = 1000
"""That wait, whatever they say."""

Event = TaskStart | TaskContinue | TaskFinish
Tell = Callable[[object], Awaitable[None]]


async def t2a_socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await _Task(websocket).run()


class _Task:
    """One connection, and the task on it.

    Each text is a job of its own and spoken to its end, as clients wait for its ``is_final`` before they go on. The
    next one is opened as soon as the present one sounds, so that it follows without a gap; there are never more than
    these two, and the others wait. Whoever leaves ends all of it.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._services = services_of(websocket)
        self._id = str(websocket.state.request_id)
        self._reader_timeout_seconds = self._services.settings.reader_timeout_ms / 1000
        self._settings: T2ASettings | None = None
        """Of the task, once somebody has asked for it."""
        self._events: asyncio.Queue[Event | CosystreamError] = asyncio.Queue()
        self._num_waiting = 0
        """Characters of texts that nobody has begun with."""
        self._num_chars = 0
        """Of those that somebody has."""
        self._last: _Text | None = None
        """Of the texts that have been opened."""
        self._outcome: str | None = None

    async def run(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._listen, tasks.cancel_scope)
                await self._serve()
                tasks.cancel_scope.cancel()
        finally:
            noted = self._websocket.state.noted
            noted["chars"] = self._num_chars
            noted["outcome"] = self._outcome or noted.get("outcome", "closed")  # that of the text that was being spoken

    # What comes.

    async def _listen(self, scope: anyio.CancelScope) -> None:
        """Queue what is asked for, until the connection is closed; what cannot be done as well, to be told in turn."""
        is_over = False
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            await anyio.lowlevel.checkpoint()  # receiving gives others no turn while messages are there
            if not is_over:
                try:
                    self._events.put_nowait(self._parsed(message.get("text") or message.get("bytes") or b""))
                except CosystreamError as error:
                    self._events.put_nowait(error)
                    is_over = True
        scope.cancel()

    def _parsed(self, message: str | bytes) -> Event:
        """Raises CosystreamError for what cannot be done after all that was asked for before it."""
        max_text_chars = self._services.settings.max_text_chars
        longest = max_text_chars * ESCAPED_BYTES + OTHER_FIELDS_BYTES
        if len(message) > longest:
            raise TextTooLong(f"a message of {len(message)} bytes is too long; {longest} are the most")
        if self._events.qsize() >= MOST_EVENTS:
            raise InvalidRequest(f"{MOST_EVENTS} events wait, which are the most; wait for is_final before you go on")
        match event := parse_event(message):
            case TaskStart(settings):
                if self._settings is not None:
                    raise InvalidField("event", "is task_start, but the task has been started")
                self._settings = settings
            case TaskContinue(text):
                self._require_start("task_continue")
                self._num_waiting += _size(text)
                most = MOST_WAITING * max_text_chars
                if self._num_waiting > most:
                    raise TextTooLong(f"text: {self._num_waiting} characters wait to be spoken; {most} are the most")
            case TaskFinish():
                self._require_start("task_finish")
        return event

    def _require_start(self, event: str) -> None:
        if self._settings is None:
            raise InvalidField("event", f"is {event}, but no task has been started; send task_start first")

    # What goes.

    async def _serve(self) -> None:
        try:
            await self._tell(TaskEvent("connected_success", self._id, self._id))
            async with anyio.create_task_group() as texts:
                await self._obey(texts)
            self._outcome = "finished"
            await self._websocket.close()
        except* CosystreamError as errors:
            error = next(_each(errors))
            self._outcome = error.type
            with suppress(*LOST, TimeoutError):
                await self._tell(TaskEvent("task_failed", self._id, self._id, base_resp_of(problem_of(error))))
                await self._websocket.close()
        except* LOST:
            pass
        except* TimeoutError:
            self._outcome = "reader_stalled"

    async def _obey(self, texts: TaskGroup) -> None:
        """Do what is asked for, up to the end of the task. What cannot be done is told behind what is being spoken."""
        try:
            while await self._has_more(await self._next_event(), texts):
                pass
        except CosystreamError:
            await self._all_spoken()
            raise

    async def _next_event(self) -> Event | CosystreamError:
        silent_since = anyio.current_time()
        while True:
            try:
                async with asyncio.timeout_at(silent_since + IDLE_SECONDS):
                    return await self._events.get()
            except TimeoutError:
                if self._last is None or self._last.spoken_at <= silent_since:
                    raise Stalled(f"nothing was asked for within {IDLE_SECONDS:g} s") from None
                silent_since = min(self._last.spoken_at, anyio.current_time())

    async def _has_more(self, event: Event | CosystreamError, texts: TaskGroup) -> bool:
        """Whether it was not the last event."""
        match event:
            case CosystreamError():
                raise event
            case TaskStart():
                await self._tell(TaskEvent("task_started", self._id, self._id))
            case TaskContinue(text):
                await self._open(text, texts)
            case TaskFinish():
                await self._all_spoken()
                await self._tell(TaskEvent("task_finished", self._id, self._id))
                return False
        return True

    async def _open(self, text: str, texts: TaskGroup) -> None:
        settings = self._settings
        assert settings is not None
        if self._last is not None:
            await self._last.sounds.wait()
        self._num_waiting -= _size(text)
        self._num_chars += len(text)
        if not text.strip():
            return
        asked = t2a_of(settings, text, max_text_chars=self._services.settings.max_text_chars)
        if any(map(str.isalnum, text)):
            self._last = _Text(self._services, asked, self._id, self._tell, self._last)
            texts.start_soon(self._last.speak, self._websocket.scope)
        else:  # punctuation by itself is no reason to end the task
            await self._all_spoken()
            info = extra_info(asked, settings.audio_setting.sample_rate, samples=0, size=0)
            await self._tell(TextSpoken(self._id, self._id, info))

    async def _all_spoken(self) -> None:
        if self._last is not None:
            await self._last.spoken.wait()

    async def _tell(self, event: object) -> None:
        """Raises TimeoutError if nobody takes it for too long."""
        async with asyncio.timeout(self._reader_timeout_seconds):
            await self._websocket.send_text(orjson.dumps(event).decode())


class _Text(T2ASpeech):
    """One text of a task: a job that is opened at once, and heard when its turn has come."""

    def __init__(self, services: Services, asked: T2A, task_id: str, tell: Tell, before: "_Text | None") -> None:
        super().__init__(services, asked)
        self.sounds = asyncio.Event()
        self.spoken = asyncio.Event()
        self.spoken_at = math.inf
        """By the clock of the event loop."""
        self._id = task_id
        self._tell = tell
        self._turn = asyncio.Event() if before is None else before.spoken
        if before is None:
            self._turn.set()
        else:
            self._request = replace(self._request, voice=before.voice)

    @property
    def voice(self) -> Voice | None:
        """Known once it has been opened, and then that of the task, whatever becomes of its name."""
        return self._request.voice

    async def speak(self, scope: Scope) -> None:
        """Raises CosystreamError, but not before its turn; who may come later has come again by then."""
        try:
            try:
                await self._speak(scope, _unused)
            except CosystreamError as error:
                was_ahead = not self._turn.is_set()
                await self._turn.wait()
                if not (was_ahead and isinstance(error, TryLater)):
                    raise
                await self._speak(scope, _unused)
        except CosystreamError as error:
            self._outcome = error.type
            raise
        finally:
            self._note(scope)
        self.sounds.set()
        self.spoken_at = anyio.current_time()
        self.spoken.set()

    async def _answer(self, stream: AudioStream, scope: Scope, send: Send) -> None:
        await self._turn.wait()
        num_bytes = 0
        async for encoded in self._encoded(stream):
            self.sounds.set()
            self._outcome = "left_sending"
            num_bytes += len(encoded)
            await self._tell(TaskContinued(self._id, self._id, TaskAudio(encoded.hex())))
        await self._tell(TextSpoken(self._id, self._id, self._extra_info(num_bytes)))
        self._outcome = "finished"


def _size(text: str) -> int:
    """What it counts while it waits; nothing at all takes up room as well."""
    return len(text) or 1


def _each(errors: BaseExceptionGroup[CosystreamError]) -> Iterator[CosystreamError]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _each(error)
        else:
            yield error


async def _unused(message: Message) -> None:
    """In place of ``send``: what is told are events."""
    raise AssertionError
