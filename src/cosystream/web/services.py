"""What every route needs, handed to the application when it is made."""

from dataclasses import dataclass

from starlette.requests import Request

from cosystream.config import Settings
from cosystream.runtime.protocol import Engine
from cosystream.web.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Services:
    engine: Engine
    settings: Settings
    metrics: Metrics
    ping_seconds: float
    """How often a stream of events shows that it is alive."""


def services_of(request: Request) -> Services:
    services = request.app.state.services
    assert isinstance(services, Services)
    return services
