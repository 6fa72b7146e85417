"""The log's format, text or JSON, with the request's id in each line."""

import json
import logging
import time
from contextvars import ContextVar

request_id: ContextVar[str] = ContextVar("request_id", default="-")

_EXTRA = ("route", "status", "duration_ms")


class _JsonLine(logging.Formatter):
    """One JSON object per line: time, level, logger, message, request_id and what was added."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
        }
        line |= {name: getattr(record, name) for name in _EXTRA if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class _TextLine(logging.Formatter):
    """`12:30:01 INFO seethrough [request id] message`."""

    def __init__(self) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(name)s [%(request_id)s] %(message)s", datefmt="%H:%M:%S"
        )

    def format(self, record: logging.LogRecord) -> str:
        record.request_id = request_id.get()
        return super().format(record)


def configure(level: str, style: str) -> None:
    """Send every log line of the process to stderr in one style.

    Args:
        level: debug, info, warning or error.
        style: text or json.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonLine() if style == "json" else _TextLine())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # uvicorn's own access log knows no request id; ours replaces it.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
    logging.getLogger("httpx").setLevel(logging.WARNING)
