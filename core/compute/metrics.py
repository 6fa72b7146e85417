"""Prometheus metrics: one registry per engine."""

import asyncio
import time
from typing import Final, NoReturn

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)
_TICK_S: Final = 0.02


class Metrics:
    """One registry per engine, so that several can live in one process.

    Tickets obey: accepted = answered + failed + cancelled + expired, once none is in flight.
    Requests obey: accepted = answered + cancelled, once none is in flight.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests()
        self._tickets()

    def _requests(self) -> None:
        registry = self.registry
        self.accepted = Counter(
            "seethrough_requests_accepted", "HTTP requests taken up.", registry=registry
        )
        self.answered = Counter(
            "seethrough_requests_answered",
            "HTTP requests answered in full, by route, method and status.",
            ["route", "method", "status"],
            registry=registry,
        )
        self.cancelled = Counter(
            "seethrough_requests_cancelled",
            "HTTP requests whose client hung up before the answer.",
            registry=registry,
        )
        self.latency_s = Histogram(
            "seethrough_request_seconds",
            "From the request's head to the last byte of its answer.",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.decode_s = Histogram(
            "seethrough_decode_seconds",
            "Decoding one picture and preparing it for the model.",
            buckets=_SECONDS,
            registry=registry,
        )
        self.decoding = Gauge(
            "seethrough_decode_waiting",
            "Pictures that wait to be decoded: light ones, not opened yet, and large ones.",
            ["size"],
            registry=registry,
        )
        self.decoding_bytes = Gauge(
            "seethrough_decode_bytes",
            "Memory that large pictures may take now, of the share of the budget they have.",
            registry=registry,
        )
        self.shed = Counter(
            "seethrough_requests_shed",
            "Requests refused with 503, by reason.",
            ["reason"],
            registry=registry,
        )

        self.body_bytes = Gauge(
            "seethrough_body_bytes", "Bytes of bodies, held or about to be read.", registry=registry
        )
        self.loop_held_s = Histogram(
            "seethrough_loop_held_seconds",
            "How late a timer of the event loop came: for so long nobody was answered.",
            buckets=_SECONDS,
            registry=registry,
        )

    async def watch_loop(self) -> NoReturn:
        """Measure how long the event loop is held by one thing at a time, until cancelled."""
        while True:
            due = time.perf_counter() + _TICK_S
            await asyncio.sleep(_TICK_S)
            self.loop_held_s.observe(max(0.0, time.perf_counter() - due))

    def _tickets(self) -> None:
        registry = self.registry
        self.tickets = Counter(
            "seethrough_tickets",
            "Tickets of the worker, by what became of them; 'accepted' counts each one first.",
            ["outcome"],
            registry=registry,
        )
        self.queued = Gauge(
            "seethrough_queue_tickets", "Tickets waiting, by lane.", ["lane"], registry=registry
        )
        self.batch_rows = Histogram(
            "seethrough_batch_size", "Tickets per batch.", buckets=_ROWS, registry=registry
        )
        self.forward_s = Histogram(
            "seethrough_forward_seconds",
            "One batch on the worker thread.",
            ["lane"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.queue_s = Histogram(
            "seethrough_queue_seconds",
            "A ticket's wait for the worker.",
            ["lane"],
            buckets=_SECONDS,
            registry=registry,
        )
