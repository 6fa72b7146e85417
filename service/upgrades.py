"""`NoUpgrades`: uvicorn's HTTP/1.1 for a service that upgrades to nothing, which it may ignore."""

import sys
from typing import Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_FRAMING: Final = (b"content-length", b"transfer-encoding")


class NoUpgrades(HttpToolsProtocol):
    """To be named before other protocols: what is told twice, they hear once.

    Requests that offer an upgrade (RFC 9110, 7.8) are read as if they did not.

    `curl --http2` and other clients offer HTTP/2 so. The parser ends at such a head: the body would
    be lost, and what follows would be read as the next request. A new parser goes on behind it,
    told of a head that frames the same body.
    """

    _data = b""
    _offers = False  # the head that is being read
    _replays = False  # a head is told to a new parser

    def data_received(self, data: bytes) -> None:
        """Parse, remembering what a new parser may have to go on with."""
        self._data = data
        super().data_received(data)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        if not self._replays:
            super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        if not self._replays:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or one that follows a body in chunks."""
        if not self._replays:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is here."""
        if not self._replays:
            self._offers = self.parser.should_upgrade()
            super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The request is here; of one that offers an upgrade, only what the parser takes for it."""
        if not self._offers:
            super().on_message_complete()

    def _should_upgrade(self) -> bool:
        return False

    def _unsupported_upgrade_warning(self) -> None:
        """The parser has ended, at an offset: go on behind it."""
        ended = cast(httptools.HttpParserUpgrade, sys.exc_info()[1])
        rest = self._data[ended.args[0] :]
        framing = b"".join(b"%s: %s\r\n" % each for each in self.headers if each[0] in _FRAMING)
        self._offers = False
        self.parser = httptools.HttpRequestParser(self)
        self._replays = True
        self.parser.feed_data(b"POST / HTTP/1.1\r\n" + framing)
        self.parser.feed_data(b"\r\n")
        self._replays = False
        if rest:
            self.data_received(rest)
