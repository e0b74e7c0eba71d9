"""What leaves by one WebSocket: in turns, and watched, since a reader may stop reading."""

import anyio
import orjson
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

LOST = (WebSocketDisconnect, WebSocketDisconnected)
"""What sending raises once nobody is there."""


class Outbox:
    """Sends messages; who holds its ``turn`` sends several with none of another in between."""

    def __init__(self, socket: WebSocket) -> None:
        self.turn = anyio.Lock()
        self._socket = socket
        self._sending_since: float | None = None

    async def send(self, message: object) -> None:
        """To be called in one's turn. Bytes and text leave as they are, everything else as JSON. Raises one of LOST."""
        self._sending_since = anyio.current_time()
        try:
            if isinstance(message, bytes):
                await self._socket.send_bytes(message)
            else:
                await self._socket.send_text(message if isinstance(message, str) else orjson.dumps(message).decode())
        finally:
            self._sending_since = None

    async def stalled(self, longest_seconds: float) -> None:
        """Return as soon as a message has waited for so long for its reader."""
        while True:
            await anyio.sleep(longest_seconds / 4)
            if self._sending_since is not None and anyio.current_time() - self._sending_since >= longest_seconds:
                return
