"""A reverse proxy as nginx is set up below a prefix: it takes the prefix off and says so."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

_HOP = {"connection", "transfer-encoding", "keep-alive", "host"}


class _Stripping(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    prefix: ClassVar[str]
    target: ClassVar[int]

    def _forward(self) -> None:
        if not self.path.startswith(f"{self.prefix}/"):
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP}
        headers["X-Forwarded-Prefix"] = self.prefix
        connection = http.client.HTTPConnection("127.0.0.1", self.target, timeout=60)
        path = self.path.removeprefix(self.prefix)
        connection.request(self.command, path, body or None, headers)
        answer = connection.getresponse()
        content = answer.read()
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        connection.close()
        with suppress(ConnectionError):  # the browser left
            self.end_headers()
            self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _forward  # noqa: N815  names of the library

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def published(port: int, prefix: str) -> Iterator[str]:
    """The address below which a service on this machine is published."""
    kind = type("Handler", (_Stripping,), {"prefix": prefix, "target": port})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_port}{prefix}"
        proxy.shutdown()
        thread.join(10)
