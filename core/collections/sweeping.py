"""`SweepMetrics`: what the gallery's sweep has compared and found, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from core.gallery.records import Swept


class SweepMetrics:
    """Counts pieces of sweeps.

    Args:
        registry: where to.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._before = self._found = 0  # by the pass before, and by this one
        self._items = Counter(
            "seethrough_sweep_items",
            "Stored items compared with their checksums, over and over.",
            registry=registry,
        )
        self._bytes = Counter(
            "seethrough_sweep_bytes",
            "Bytes of their vectors and files, read for that.",
            registry=registry,
        )
        self._damaged = Gauge(
            "seethrough_sweep_damaged",
            "Damaged vectors, files and rows found by the last whole pass, or so far by this one "
            "where that is more.",
            registry=registry,
        )
        self._ended = Gauge(
            "seethrough_sweep_last_pass_timestamp_seconds",
            "When the last pass through all that is stored ended, in seconds since 1970; 0 = none.",
            registry=registry,
        )

    def count(self, swept: Swept) -> None:
        """Note a piece; one thread at a time."""
        self._items.inc(swept.items)
        self._bytes.inc(swept.size_bytes)
        self._found += swept.damaged
        if swept.ended:
            self._before, self._found = self._found, 0
            self._ended.set_to_current_time()
        self._damaged.set(max(self._before, self._found))
