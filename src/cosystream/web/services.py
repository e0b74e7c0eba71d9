"""What every route needs, handed to the application when it is made."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import HTTPConnection

from cosystream.config import Settings
from cosystream.errors import UnknownRequest
from cosystream.runtime.protocol import Engine
from cosystream.web.metrics import Metrics
from cosystream.web.resuming import Resumable


class Cancellable(Protocol):
    def cancel(self) -> None:
        """End it: its listener meets Cancelled next."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    engine: Engine
    settings: Settings
    metrics: Metrics
    ping_seconds: float
    """How often a stream of events shows that it is alive."""
    resumable: Resumable = field(default_factory=Resumable)
    _in_flight: dict[str, list[Cancellable]] = field(default_factory=dict)

    @contextmanager
    def in_flight(self, request_id: str, request: Cancellable) -> Iterator[None]:
        """Let ``request`` be found by its id meanwhile. Callers may give one id to several."""
        requests = self._in_flight.setdefault(request_id, [])
        requests.append(request)
        try:
            yield
        finally:
            requests.remove(request)
            if not requests:
                del self._in_flight[request_id]

    def cancel(self, request_id: str) -> None:
        """End what is in flight under ``request_id``. Raises UnknownRequest."""
        requests = self._in_flight.get(request_id)
        if requests is None:
            raise UnknownRequest(f"no request {request_id[:64]} is in flight; the header X-Request-Id says what it is")
        for request in list(requests):
            request.cancel()


def services_of(connection: HTTPConnection) -> Services:
    services = connection.app.state.services
    assert isinstance(services, Services)
    return services
