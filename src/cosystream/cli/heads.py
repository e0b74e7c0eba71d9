"""HTTP/1.1 as uvicorn reads it, with a limit to what comes before a body: nothing else stops an endless URL."""

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LONGEST_HEAD = 128 * 1024
"""Bytes of the request line and all headers."""


class LimitedHttp(HttpToolsProtocol):
    """Answers 400 and closes once a head has grown too long."""

    _reads_head = True
    _num_bytes = 0
    """Of the head that is being read, in pieces that hold nothing else."""

    def data_received(self, data: bytes) -> None:
        self._num_bytes = self._num_bytes + len(data) if self._reads_head else 0
        super().data_received(data)
        if self._reads_head and self._num_bytes > LONGEST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def on_headers_complete(self) -> None:
        self._reads_head, self._num_bytes = False, 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._reads_head = True
        super().on_message_complete()
