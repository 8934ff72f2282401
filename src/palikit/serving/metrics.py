"""Prometheus metrics: what requests came to, and how the scheduler is."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from palikit.serving.jobs import Stats
from palikit.serving.logs import Line

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_RATES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
_ROWS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters of one app, in a registry of its own.

    Args:
        stats: of the scheduler; None while there is none.
    """

    def __init__(self, stats: Callable[[], Stats | None]) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "palikit_requests",
            "Requests by route, method and status.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._errors = Counter(
            "palikit_errors",
            "Requests that got no answer, by kind.",
            ("kind",),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "palikit_request_seconds",
            "From a request's first byte to its answer's last.",
            ("route",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.first_token_seconds = Histogram(
            "palikit_time_to_first_token_seconds",
            "From a request's last byte to the first text of its stream.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.tokens_per_second = Histogram(
            "palikit_tokens_per_second",
            "Tokens of an answer by the seconds it took, waiting included.",
            buckets=_RATES,
            registry=self.registry,
        )
        self.registry.register(_OfScheduler(stats))

    def count_request(self, line: Line, seconds: float) -> None:
        """A request has ended."""
        self._requests.labels(line.route, line.method, str(line.status)).inc()
        self._seconds.labels(line.route).observe(seconds)
        if line.kind is not None:
            self._errors.labels(line.kind).inc()

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self.registry)


class _OfScheduler:
    """Turns the scheduler's own numbers into metrics when they are asked for."""

    def __init__(self, stats: Callable[[], Stats | None]) -> None:
        self._stats = stats

    def collect(self) -> Iterator[Metric]:
        """The metrics; none before there is a scheduler."""
        stats = self._stats()
        if stats is None:
            return
        for name, doc, value in (
            ("queue_depth", "Requests that wait.", stats.queue_depth),
            ("running_requests", "Requests whose text is being written.", stats.running),
            ("image_cache_bytes", "Held by features of pictures.", stats.image_cache_bytes),
        ):
            yield GaugeMetricFamily(f"palikit_{name}", doc, value=value)
        for name, doc, count in (
            ("image_cache_hits", "Pictures whose features were at hand.", stats.image_cache_hits),
            ("image_cache_misses", "Pictures that were encoded.", stats.image_cache_misses),
            ("prompt_tokens", "Fed, those of pictures included.", stats.prompt_tokens),
            ("completion_tokens", "Written.", stats.completion_tokens),
            ("prefill_seconds", "Of the model, reading prompts.", stats.prefill_seconds),
            ("decode_seconds", "Of the model, writing.", stats.decode_seconds),
        ):
            yield CounterMetricFamily(f"palikit_{name}", doc, value=count)
        yield SummaryMetricFamily(
            "palikit_first_token_seconds",
            "From the queue to the first token, of all requests.",
            count_value=stats.first_tokens,
            sum_value=stats.first_token_seconds,
        )
        yield _batch_sizes(stats)


def _batch_sizes(stats: Stats) -> Metric:
    """A histogram of how many rows took each step together."""
    counts = dict(stats.batches)
    buckets = [
        (str(float(bound)), float(sum(n for size, n in counts.items() if size <= bound)))
        for bound in _ROWS
    ]
    whole = float(sum(counts.values()))
    return HistogramMetricFamily(
        "palikit_batch_size",
        "Rows that take a step of the model together.",
        buckets=[*buckets, ("+Inf", whole)],
        sum_value=float(sum(size * n for size, n in counts.items())),
    )
