"""Owns the sockets to listen on where the server's own way is not what a host name promises."""

import socket
from ipaddress import ip_address

_BACKLOG = 2048  # as uvicorn's own


def sockets_for(host: str, port: int) -> list[socket.socket] | None:
    """A listener for IPv6 and IPv4 both, if the host is `::`; None: leave it to the server.

    asyncio makes a socket on `::` refuse IPv4, whatever the system's default is.

    Raises:
        OSError: the port is taken, or this machine has no IPv6.
    """
    if host.strip("[]") != "::":
        return None
    both = socket.has_dualstack_ipv6()
    try:
        listener = socket.create_server(
            ("::", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=both
        )
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on [::]:{port}: {error.strerror}") from error
    return [listener]


def url_of(host: str, port: int) -> str:
    """Where a browser on this machine finds the service."""
    host = host.strip("[]")
    try:
        address = ip_address(host)
    except ValueError:
        return f"http://{host}:{port}"
    if address.is_unspecified:
        return f"http://localhost:{port}"
    return f"http://[{host}]:{port}" if address.version == 6 else f"http://{host}:{port}"
