"""Figures for Prometheus: counted as requests end, and read off the engine when somebody asks."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from cosystream.runtime.protocol import Engine, EngineState
from cosystream.runtime.stats import JobReport

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0, 2.0, 5.0, 10.0)
RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0)


class Metrics:
    """The figures of one application, in a registry of its own."""

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_EngineCollector(engine))
        self._requests = self._counter("requests", "Requests by route and outcome.", ["route", "outcome"])
        self._cancelled = self._counter("cancelled", "Listeners that left, by stage.", ["stage"])
        self._underruns = self._counter("underruns", "Times that a real-time player would have run dry.")
        self._audio = self._counter("audio_seconds", "Seconds of audio made for listeners.")
        self._first_audio = self._histogram("first_audio_seconds", "From arrival to the first chunk.", SECONDS)
        self._queue = self._histogram("queue_seconds", "From arrival to the beginning.", SECONDS)
        self._gap = self._histogram("chunk_gap_seconds", "From one chunk to the next.", SECONDS)
        self._rtf = self._histogram("rtf", "Seconds from beginning to end over seconds of audio.", RATIOS)
        self._lag = self._histogram("loop_lag_seconds", "How late the event loop woke up.", SECONDS)

    def requested(self, route: str, outcome: str) -> None:
        self._requests.labels(route, outcome).inc()

    def listener_left(self, stage: str) -> None:
        self._cancelled.labels(stage).inc()

    def spoken(self, report: JobReport) -> None:
        """Count a job that brought audio, finished or not; one that brought none has no figures."""
        if report.first_audio_seconds is None:
            return
        self._underruns.inc(report.underruns)
        self._audio.inc(report.audio_seconds)
        self._queue.observe(report.queue_seconds)
        self._first_audio.observe(report.first_audio_seconds)
        self._rtf.observe(report.rtf)
        for gap in report.gaps_seconds:
            self._gap.observe(gap)

    def loop_lagged(self, seconds: float) -> None:
        self._lag.observe(seconds)

    def exposition(self) -> bytes:
        """Everything, in the text format of Prometheus."""
        return generate_latest(self._registry)

    def _counter(self, name: str, help_text: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(name, help_text, labels, namespace="cosystream", registry=self._registry)

    def _histogram(self, name: str, help_text: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, help_text, namespace="cosystream", registry=self._registry, buckets=buckets)


class _EngineCollector(Collector):
    """The engine's own figures at the moment of asking."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        load = self._engine.load
        for name, help_text, value in (
            ("ready", "1 if the engine takes requests.", load.state is EngineState.READY),
            ("streams", "Jobs that somebody listens to.", load.open),
            ("streams_running", "Jobs being computed.", load.running),
            ("streams_at_once", "Jobs that may be computed at once.", load.streams_at_once),
            ("queue_depth", "Jobs waiting to begin.", load.waiting),
            ("worker_step_age_seconds", "For how long the worker's present step has been running.", load.step_seconds),
            ("engine_rtf", "Busy seconds of the worker per second of audio, lately.", load.rtf),
            ("engine_deaths", "Times that the engine has died.", load.deaths),
            ("pages", "Pages of the engine's memory; 0 where it has none.", load.core.pages),
            ("pages_free", "Pages that nobody used after the last step.", load.core.pages_free),
        ):
            yield GaugeMetricFamily(f"cosystream_{name}", help_text, float(value))
        retries = "Jobs computed again in full precision, because what they began with was no audio."
        yield CounterMetricFamily("cosystream_retries", retries, float(load.core.retries))
        for name, help_text, distribution in (
            ("step_seconds", "How long a step of the worker took.", load.step_times),
            ("batch_size", "Rows that a step computed together.", load.batch_sizes),
        ):
            bounds = [*map(str, map(float, distribution.bounds)), "+Inf"]
            buckets = list(zip(bounds, map(float, accumulate(distribution.counts)), strict=True))
            yield HistogramMetricFamily(f"cosystream_{name}", help_text, buckets, distribution.total)
