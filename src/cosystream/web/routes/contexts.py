"""Text in while audio goes out: ``/v1/stream``, any number of utterances on one socket."""

import time
from collections import deque
from contextlib import suppress

import anyio
import anyio.abc
import anyio.lowlevel
from starlette.types import Message as ASGIMessage
from starlette.websockets import WebSocket

from cosystream.errors import CosystreamError, InvalidField, InvalidRequest, UploadTooLarge
from cosystream.web.context import Context
from cosystream.web.outbox import LOST, Outbox
from cosystream.web.services import services_of
from cosystream.wire.contexts import Message, Refusal, parse_message
from cosystream.wire.native import problem_of

TURN_SECONDS = 0.002
MOST_CONTEXTS = 16
"""On one socket at once."""
MOST_REMEMBERED = 1000
"""Contexts that have ended, and for which messages may still be on their way."""
IDLE_SECONDS = 120.0
"""A socket without a context is closed when nothing has been said on it for so long."""


async def stream(socket: WebSocket) -> None:
    await socket.accept()
    await _Conversation(socket).hold()


class _Conversation:
    """One socket: reads what comes, and has a task for each context, which speaks it."""

    def __init__(self, socket: WebSocket) -> None:
        self._services = services_of(socket)
        self._request_id: str = socket.state.request_id
        self._noted: dict[str, object] = socket.state.noted
        self._socket = socket
        self._outbox = Outbox(socket)
        self._contexts: dict[str, Context] = {}
        self._ended: deque[str] = deque(maxlen=MOST_REMEMBERED)
        self._num_contexts = self._num_chars = 0
        self._active_at = anyio.current_time()
        self._outcome: str | None = None

    async def hold(self) -> None:
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._cancel_when_stalled, tasks.cancel_scope)
                tasks.start_soon(self._cancel_when_idle, tasks.cancel_scope)
                with suppress(*LOST):
                    await self._receive(tasks)
                self._leave(tasks.cancel_scope)
        finally:
            self._noted |= {
                "outcome": self._outcome or "finished",
                "contexts": self._num_contexts,
                "chars": self._num_chars,
            }
        if self._outcome == "idle":
            with suppress(*LOST), anyio.move_on_after(self._reader_timeout_seconds):
                await self._socket.close()

    async def _receive(self, tasks: anyio.abc.TaskGroup) -> None:
        others_waited_since = time.monotonic()
        while (received := await self._socket.receive())["type"] != "websocket.disconnect":
            if time.monotonic() - others_waited_since > TURN_SECONDS:
                await anyio.lowlevel.checkpoint()  # receiving gives others no turn while messages are there
                others_waited_since = time.monotonic()
            self._active_at = anyio.current_time()
            try:
                message = self._parse(received)
                if message.type == "start":
                    self._start(message, tasks)
                elif context := self._contexts.get(message.context):
                    context.hear(message)
                elif message.context not in self._ended:  # else it was sent before that was known
                    raise InvalidField("context", "there is none of this name; send a start first")
            except CosystreamError as error:
                async with self._outbox.turn:
                    await self._outbox.send(Refusal(problem_of(error)))

    def _parse(self, received: ASGIMessage) -> Message:
        text, most = received.get("text"), self._services.settings.max_body_bytes
        if text is None:
            raise InvalidRequest("the message is binary; send JSON as text")
        if len(text) > most:
            raise UploadTooLarge(f"the message is too large; {most} bytes are the most")
        return parse_message(text, max_text_chars=self._services.settings.max_text_chars)

    def _start(self, message: Message, tasks: anyio.abc.TaskGroup) -> None:
        if message.context in self._contexts:
            raise InvalidField("context", "there is one of this name, which has not ended yet")
        if len(self._contexts) >= MOST_CONTEXTS:
            raise InvalidField("context", f"{MOST_CONTEXTS} on this socket have not ended, which are the most at once")
        context = Context(self._services, self._request_id, self._outbox, message, self._num_contexts + 1)
        most, num_bytes = self._services.settings.max_body_bytes, context.num_prompt_bytes
        if num_bytes and num_bytes + sum(other.num_prompt_bytes for other in self._contexts.values()) > most:
            raise UploadTooLarge(
                f"prompt_wav: the recordings of this socket's contexts would be more than {most} bytes together; "
                "wait until one has ended, or have a voice learnt once (POST /v1/voices)"
            )
        self._num_contexts += 1
        self._contexts[context.name] = context
        tasks.start_soon(self._hold_context, context, tasks.cancel_scope)

    async def _hold_context(self, context: Context, scope: anyio.CancelScope) -> None:
        try:
            await context.speak()
        except LOST:
            context.is_lost = True
            self._leave(scope)
        finally:
            del self._contexts[context.name]
            self._active_at = anyio.current_time()
            self._ended.append(context.name)
            self._num_chars += context.num_chars
            context.log()

    async def _cancel_when_stalled(self, scope: anyio.CancelScope) -> None:
        """A reader who takes nothing for too long is one who has left."""
        await self._outbox.stalled(self._reader_timeout_seconds)
        self._outcome = "reader_stalled"
        for context in self._contexts.values():
            context.outcome = self._outcome
        scope.cancel()

    async def _cancel_when_idle(self, scope: anyio.CancelScope) -> None:
        """Nobody is waited for without an end; a context has an end of its own."""
        while True:
            await anyio.sleep(IDLE_SECONDS / 4)
            if not self._contexts and anyio.current_time() - self._active_at >= IDLE_SECONDS:
                break
        self._outcome = "idle"
        scope.cancel()

    @property
    def _reader_timeout_seconds(self) -> float:
        return self._services.settings.reader_timeout_ms / 1000

    def _leave(self, scope: anyio.CancelScope) -> None:
        """Nobody is there any more: cancel everything, and note once who still had something to hear."""
        scope.cancel()
        if self._outcome is not None:
            return
        for context in self._contexts.values():
            if not context.is_silent:
                stage = "sending" if context.has_sounded else "waiting"
                context.outcome = self._outcome = f"left_{stage}"
                self._services.metrics.listener_left(stage)
