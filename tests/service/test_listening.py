import socket

import pytest

from service.server import sockets_for, url_of

needs_ipv6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 on this machine")


@needs_ipv6
@pytest.mark.parametrize("host", ["::", "[::]"])
@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_the_host_of_all_addresses_listens_on_both_families(
    host: str, family: socket.AddressFamily, address: str
) -> None:
    (listener,) = sockets_for(host, 0) or ()
    with listener, socket.socket(family) as client:
        client.settimeout(5)
        client.connect((address, listener.getsockname()[1]))


@needs_ipv6
def test_a_port_that_is_taken_is_named() -> None:
    (listener,) = sockets_for("::", 0) or ()
    with listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match=rf"cannot listen on \[::\]:{port}: .*in use"):
            sockets_for("::", port)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "localhost"])
def test_other_hosts_are_left_to_the_server(host: str) -> None:
    assert sockets_for(host, 0) is None


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://localhost:8000"),
        ("::", "http://localhost:8000"),
        ("[::]", "http://localhost:8000"),
        ("::1", "http://[::1]:8000"),
        ("box.example", "http://box.example:8000"),
    ],
)
def test_the_address_printed_can_be_clicked(host: str, url: str) -> None:
    assert url_of(host, 8000) == url
