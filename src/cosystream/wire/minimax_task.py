"""MiniMax's T2A v2 over a WebSocket: the events of a task, in both directions.

Format: https://platform.minimax.io/docs/api-reference/speech-t2a-websocket.
"""

from dataclasses import dataclass
from typing import Literal

import orjson

from cosystream.errors import InvalidField, InvalidRequest
from cosystream.wire.minimax import BaseResp, ExtraInfo, T2ASettings, parse_settings

SUCCESS = BaseResp(status_msg="success")


# What clients send.


@dataclass(frozen=True, slots=True)
class TaskStart:
    settings: T2ASettings


@dataclass(frozen=True, slots=True)
class TaskContinue:
    """An empty text keeps the connection alive."""

    text: str


@dataclass(frozen=True, slots=True)
class TaskFinish:
    """No more text will come."""


def parse_event(message: str | bytes) -> TaskStart | TaskContinue | TaskFinish:
    """Raises InvalidRequest or InvalidField; the field is ``event`` if there is no such event."""
    try:
        fields = orjson.loads(message)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"the message is not JSON: {error}") from None
    match fields:
        case {"event": "task_start"}:
            return TaskStart(parse_settings(fields))
        case {"event": "task_continue", "text": str(text)}:
            return TaskContinue(text)
        case {"event": "task_continue"}:
            raise InvalidField("text", "is missing or no string")
        case {"event": "task_finish"}:
            return TaskFinish()
    raise InvalidField("event", "is none of task_start, task_continue and task_finish")


# What they are told.


@dataclass(frozen=True, slots=True)
class TaskEvent:
    """Where the task is."""

    event: Literal["connected_success", "task_started", "task_finished", "task_failed"]
    session_id: str
    trace_id: str
    base_resp: BaseResp = SUCCESS


@dataclass(frozen=True, slots=True)
class TaskAudio:
    audio: str
    """In hex."""


@dataclass(frozen=True, slots=True)
class TaskContinued:
    """Some of the audio of a text."""

    session_id: str
    trace_id: str
    data: TaskAudio
    event: Literal["task_continued"] = "task_continued"
    is_final: Literal[False] = False
    base_resp: BaseResp = SUCCESS


@dataclass(frozen=True, slots=True)
class TextSpoken:
    """All of the audio of a text has been sent."""

    session_id: str
    trace_id: str
    extra_info: ExtraInfo
    data: TaskAudio = TaskAudio("")
    event: Literal["task_continued"] = "task_continued"
    is_final: Literal[True] = True
    base_resp: BaseResp = SUCCESS
