"""``/api-ws/v1/inference``: DashScope's CosyVoice protocol, one task after the other on a WebSocket."""

import logging
import re
from collections import deque
from collections.abc import Callable
from contextlib import aclosing, suppress

import anyio
import anyio.lowlevel
from starlette.types import Message
from starlette.websockets import WebSocket

from cosystream.errors import CosystreamError, InvalidRequest, Stalled, SynthesisFailed, TextTooLong
from cosystream.web.outbox import LOST, Outbox
from cosystream.web.reading import ESCAPED_BYTES, OTHER_FIELDS_BYTES
from cosystream.web.rendering import Renderer
from cosystream.web.services import Services, services_of
from cosystream.web.typed_text import TypedText
from cosystream.wire.dashscope import Instruction, parse_instruction, task_in, written_in
from cosystream.wire.dashscope_events import Narration, billed_characters
from cosystream.wire.native import milliseconds

logger = logging.getLogger("cosystream.requests")

IDLE_SECONDS = 60.0
"""A connection without a task is closed when it has been silent for so long, as DashScope's is."""
MESSAGES_A_TURN = 8
"""More than a short task has, so that what was said at once is spoken as one text."""
REMEMBERED_TASKS = 64
"""That have ended, and to which a client may still be talking."""


async def inference(websocket: WebSocket) -> None:
    await websocket.accept()
    await _Connection(websocket).serve()


class _Connection:
    """A client. Of its tasks, one at a time is in flight."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._services = services_of(websocket)
        self._request_id: str = websocket.state.request_id
        self._in_flight: _InFlight | None = None
        self._ended: deque[str] = deque(maxlen=REMEMBERED_TASKS)
        self._num_tasks = 0
        self._everything = anyio.CancelScope()
        self._outbox = Outbox(websocket)
        self._active_at = anyio.current_time()
        self._outcome = "closed"
        self._hangs_up = False

    async def serve(self) -> None:
        """Until the client leaves, is silent for too long, or has been told of a failure."""
        with self._everything:
            async with anyio.create_task_group() as running:
                running.start_soon(self._end_when_stalled)
                running.start_soon(self._end_when_silent)
                with suppress(*LOST):
                    await self._listen(running.start_soon)
                self._everything.cancel()
        self._websocket.state.noted.update(outcome=self._outcome, tasks=self._num_tasks)
        if self._hangs_up:
            with suppress(*LOST), anyio.move_on_after(self._reader_timeout_seconds):
                await self._websocket.close()

    async def _listen(self, start: Callable[..., object]) -> None:
        num_messages = 0
        while (message := await self._websocket.receive())["type"] == "websocket.receive":
            num_messages += 1
            if num_messages % MESSAGES_A_TURN == 0:
                await anyio.lowlevel.checkpoint()  # receiving gives others no turn while messages are there
            self._active_at = anyio.current_time()
            task_id = ""
            try:
                instruction = parse_instruction(self._said_in(message))
                task_id = instruction.task_id
                if (begun := self._obey(instruction)) is not None:
                    start(self._run, begun)
            except CosystreamError as error:
                await self._refuse(task_id, error)

    def _said_in(self, message: Message) -> str | bytes:
        said: str | bytes = message.get("text") or message.get("bytes") or b""
        most = self._services.settings.max_text_chars * ESCAPED_BYTES + OTHER_FIELDS_BYTES
        if len(said) > most:
            raise TextTooLong(f"an instruction of {len(said)} bytes is too long; {most} are the most")
        return said

    def _obey(self, instruction: Instruction) -> "_InFlight | None":
        """What is begun, if something is."""
        in_flight = self._in_flight
        if instruction.action == "run-task":
            if in_flight is not None:
                raise InvalidRequest("another task is in flight here; wait for its end, or open another connection")
            begun = _InFlight(self._services, instruction, self._request_id)
            self._in_flight = begun
            self._num_tasks += 1
            return begun
        if in_flight is not None and instruction.task_id == in_flight.task_id:
            in_flight.go_on(instruction)
        elif instruction.task_id not in self._ended:  # else it was said before the client had heard of the end
            raise InvalidRequest("there is no such task; begin it with run-task", field="task_id")
        return None

    async def _refuse(self, task_id: str, error: CosystreamError) -> None:
        in_flight = self._in_flight
        if in_flight is not None and task_id in ("", in_flight.task_id):
            in_flight.fail(error)
            return
        await self._say(Narration(task_id, self._request_id).failed(error))
        if in_flight is None:
            self._end(error.type, hang_up=True)

    async def _run(self, task: "_InFlight") -> None:
        """From task-started to task-finished or task-failed."""
        with suppress(*LOST):
            await self._say(task.narration.started())
            failure = await self._spoken(task)
            self._in_flight = None
            self._ended.append(task.task_id)
            if failure is None:
                await self._say(task.narration.finished(task.num_characters))
            else:
                await self._say(task.narration.failed(failure))
                self._end("closed", hang_up=True)
            return
        self._everything.cancel()

    async def _spoken(self, task: "_InFlight") -> CosystreamError | None:
        """What went wrong, if something did."""
        try:
            with task.scope:
                await self._speak(task)
        except CosystreamError as error:
            if not task.scope.cancel_called:
                task.failure = error
        except (*LOST, anyio.get_cancelled_exc_class()):
            self._note(task)
            raise
        except Exception:
            logger.exception("a task broke off")
            task.failure = SynthesisFailed("the server could not go on with this task; its log says why")
        task.end()
        self._note(task)
        return task.failure

    async def _speak(self, task: "_InFlight") -> None:
        narration, samples = task.narration, 0
        rate = self._services.engine.info.sample_rate
        renderer = task.renderer(rate)
        async with aclosing(task.text.speech()) as chunks:
            async for chunk in chunks:
                messages: list[str | bytes] = []
                if chunk.sentence is not None or not narration.has_begun:
                    messages += narration.begins(chunk.sentence or "", round(samples * 1000 / rate))
                samples += chunk.num_samples
                if audio := await renderer.feed(chunk.pcm):
                    messages += [narration.sounds(round(samples * 1000 / rate)), audio]
                task.sounds()
                await self._say(*messages)
        end_ms = round(samples * 1000 / rate)
        if narration.has_begun and (audio := await renderer.finish()):
            await self._say(narration.sounds(end_ms), audio)
        await self._say(*narration.ends(end_ms))

    async def _say(self, *messages: str | bytes) -> None:
        """One after the other, with nothing in between."""
        async with self._outbox.turn:
            for message in messages:
                await self._outbox.send(message)
        self._active_at = anyio.current_time()

    async def _end_when_stalled(self) -> None:
        """A reader who takes nothing for too long is one who has left."""
        await self._outbox.stalled(self._reader_timeout_seconds)
        self._end("reader_stalled")

    async def _end_when_silent(self) -> None:
        """Nobody is waited for without an end."""
        while True:
            await anyio.sleep(IDLE_SECONDS / 4)
            silent_seconds = anyio.current_time() - self._active_at
            if self._in_flight is None:
                if silent_seconds >= IDLE_SECONDS:
                    self._end("idle", hang_up=True)
            elif not self._in_flight.is_written and silent_seconds >= self._longest_pause_seconds:
                self._in_flight.fail(Stalled(f"nothing was written for {self._longest_pause_seconds:g} s"))

    def _end(self, outcome: str, *, hang_up: bool = False) -> None:
        self._outcome, self._hangs_up = outcome, hang_up
        if self._in_flight is not None:
            self._in_flight.outcome = outcome
        self._everything.cancel()

    @property
    def _reader_timeout_seconds(self) -> float:
        return self._services.settings.reader_timeout_ms / 1000

    @property
    def _longest_pause_seconds(self) -> float:
        """For which a text may not go on; what is written of it may be waiting for its turn meanwhile."""
        return IDLE_SECONDS + self._services.settings.max_wait_ms / 1000

    def _note(self, task: "_InFlight") -> None:
        """Count the task, and log a line: the connection's own comes when it ends, which may be much later."""
        metrics, text = self._services.metrics, task.text
        if task.outcome.startswith("left_"):
            metrics.listener_left(task.outcome.removeprefix("left_"))
        route = self._websocket.scope["route"].path
        metrics.requested(route, task.outcome)
        report = text.report
        logger.info(
            "request_id=%s route=%s task_id=%s outcome=%s chars=%d speaker=%s queue_ms=%d first_audio_ms=%d "
            "audio_ms=%d rtf=%.3f underruns=%d",
            self._request_id,
            route,
            task.task_id if re.fullmatch(r"[\w.-]{1,64}", task.task_id, re.ASCII) else "-",
            task.outcome,
            text.num_chars,
            text.request.speaker,
            milliseconds(report.queue_seconds),
            milliseconds(report.first_audio_seconds),
            milliseconds(report.audio_seconds),
            report.rtf,
            report.underruns,
        )


class _InFlight:
    """A task whose end its client has not heard of."""

    def __init__(self, services: Services, run_task: Instruction, request_id: str) -> None:
        """Raises CosystreamError for a run-task that cannot be done."""
        info = services.engine.info
        default_speaker = services.settings.default_speaker or info.default_speaker
        self.task_id = run_task.task_id
        self._task = task_in(run_task, info.voices, default_speaker)
        self.text = TypedText(services, self._task.request, request_id=request_id)
        self.narration = Narration(
            self.task_id, request_id, says_all=run_task.says_all, word_times=self._task.word_times
        )
        self.num_characters = 0
        self.is_written = False
        """Whether the text has come to its end."""
        self.is_cancelled = False
        self.scope = anyio.CancelScope()
        self.failure: CosystreamError | None = None
        self.outcome = "left_waiting"
        self.go_on(run_task)

    def go_on(self, instruction: Instruction) -> None:
        """Raises CosystreamError for what cannot be done, which ends the task."""
        written = written_in(instruction)
        if written.cancel:
            self.is_cancelled = True
            self.scope.cancel()
            return
        if written.text:
            self.text.write(written.text)
            self.num_characters += billed_characters(written.text)
        if written.flush:
            self.text.flush()
        if instruction.says_all or instruction.action == "finish-task":
            self.is_written = True
            self.text.end()
            if not self.text.num_chars:
                self.scope.cancel()  # nothing was wanted, and that is there

    def fail(self, error: CosystreamError) -> None:
        """End with ``error``, which the client is told."""
        self.failure = error
        self.scope.cancel()

    def sounds(self) -> None:
        """Its audio is being sent."""
        if self.outcome == "left_waiting":
            self.outcome = "left_sending"

    def end(self) -> None:
        """Its client will hear the end of it."""
        self.outcome = "cancelled" if self.is_cancelled else "finished" if self.failure is None else self.failure.type

    def renderer(self, source_rate: int) -> Renderer:
        rendering = self._task.rendering
        assert rendering.format is not None
        assert rendering.sample_rate is not None
        return Renderer(
            source_rate,
            rendering.format,
            rendering.sample_rate,
            bit_rate=rendering.bit_rate,
            gain=self._task.gain,
            pitch=self._task.pitch,
        )
