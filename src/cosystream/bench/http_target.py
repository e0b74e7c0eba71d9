"""A server to be measured, wherever it runs."""

import orjson

from cosystream.bench.connection import Address, Answer, get, listen
from cosystream.bench.heard import Heard
from cosystream.bench.histogram import histogram_in, read_metrics
from cosystream.bench.target import TargetInfo
from cosystream.bench.vitals import Vitals, durations_between
from cosystream.errors import ConfigError
from cosystream.types import SynthesisRequest

STEP_SECONDS = "cosystream_step_seconds"
LOOP_LAG_SECONDS = "cosystream_loop_lag_seconds"


class HttpTarget:
    """A ``Target`` behind a URL."""

    def __init__(self, address: Address, info: TargetInfo, metrics: dict[str, float]) -> None:
        self.info = info
        self._address = address
        self._metrics = metrics

    @classmethod
    async def reach(cls, url: str, key: str | None) -> "HttpTarget":
        """The server at ``url``, which takes requests. Raises ConfigError if it is not there, or not ready."""
        address = Address.parse(url, key)
        ready = await get(address, "/readyz")
        match ready.status:
            case 200:
                pass
            case 0:
                raise ConfigError(f"{url}: nobody answers; cosystream serve starts a server")
            case 503:
                raise ConfigError(f"{url}: it is not ready yet; try again once /readyz answers 200")
            case status:
                raise ConfigError(f"{url}: /readyz answers {status}, so this is no cosystream")
        model = await get(address, "/model_info")
        if model.status == 401:
            raise ConfigError(f"{url}: it wants an API key; COSYSTREAM_API_KEYS may hold it")
        read = _read_object(model)
        info = TargetInfo(url, engine=str(read.get("model_type", "unknown")), model=str(read.get("model_dir", "")))
        return cls(address, info, await _metrics(address))

    async def listen(self, request: SynthesisRequest) -> Heard:
        return await listen(self._address, request)

    async def vitals(self) -> Vitals:
        before, self._metrics = self._metrics, await _metrics(self._address)
        step, loop_lag = (
            durations_between(histogram_in(before, name), histogram_in(self._metrics, name))
            for name in (STEP_SECONDS, LOOP_LAG_SECONDS)
        )
        return Vitals(step, loop_lag)


async def _metrics(address: Address) -> dict[str, float]:
    """Nothing if they are not told: a proxy may well keep them to itself."""
    answer = await get(address, "/metrics")
    return read_metrics(answer.body) if answer.status == 200 else {}


def _read_object(answer: Answer) -> dict[str, object]:
    try:
        read = orjson.loads(answer.body)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
