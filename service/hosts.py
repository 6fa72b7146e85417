"""By which names a request may address the service: a page whose name was pointed here has none."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from starlette.types import Scope

from core.errors import RequestUnreadable, shown
from service.errors import HostRefused

FORWARDED_HOST: Final = "forwarded_host"  # in a scope's state: what a trusted proxy said

_AUTHORITY: Final = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{0,5}))?")
_NAME: Final = re.compile(r"\*|(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*")
_LOCAL: Final = "localhost"


class Hosts:
    """What `Host` may say.

    A page elsewhere can have its own name resolve to this machine (DNS rebinding), and is then of
    the same origin as the service; the name is what gives it away. An address cannot be pointed
    anywhere: where the service listens on all of the machine's, each address is right.

    Args:
        bound: the address or name that the service listens on.
        allowed: further names and addresses; "*.example.com" = all below it, "*" = every one.
    """

    def __init__(self, bound: str, allowed: Sequence[str] = ()) -> None:
        bound = clean_host(bound)
        address = _address(bound)
        self._names = {bound, *allowed}
        self._below = tuple(each[1:] for each in allowed if each.startswith("*."))
        self._every_address = address is not None and address.is_unspecified
        self._everything = "*" in allowed

    def require(self, scope: Scope) -> None:
        """Raise for a request that addresses something else.

        Raises:
            RequestUnreadable: it has no Host, several, or one that is none.
            HostRefused: it is not one of those allowed.
        """
        said = [value for name, value in scope["headers"] if name == b"host"]
        if not said and scope["http_version"] == "1.0":  # probes of balancers; no browser
            return
        if len(said) != 1:
            raise RequestUnreadable(f"{len(said)} Host headers; exactly one is needed")
        self._require(said[0].decode("latin-1"))
        forwarded = scope.get("state", {}).get(FORWARDED_HOST)
        if forwarded is not None:
            self._require(forwarded)

    def _require(self, authority: str) -> None:
        host, _ = split_authority(authority)
        if not self._allows(host):
            raise HostRefused(
                f"{shown(host)} is not a name of this service; if it is one, list it in "
                "SEETHROUGH_ALLOWED_HOSTS (names separated by commas, * for all)"
            )

    def _allows(self, host: str) -> bool:
        if self._everything or host in self._names or host.endswith(self._below):
            return True
        if host == _LOCAL or host.endswith(f".{_LOCAL}"):
            return True
        address = _address(host)
        return address is not None and (self._every_address or address.is_loopback)


def split_authority(text: str) -> tuple[str, int | None]:
    """Host and port of "host", "host:port" or "[address]:port"; the host as `clean_host` gives it.

    Raises:
        RequestUnreadable: it is neither of these.
    """
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        raise RequestUnreadable(f"Host {shown(text)} is not a host, or a host and a port")
    return clean_host(found[1]), int(found[2]) if found[2] else None


def clean_host(text: str) -> str:
    """A host in the one way it is compared: no brackets, no dot at its end, in lower case."""
    return text.strip("[]").rstrip(".").lower()


def require_host(text: str) -> str:
    """A host as settings write it, cleaned.

    Raises:
        ValueError: it is a URL, has a port or is otherwise no host.
    """
    host = clean_host(text)
    if _address(host) is None and not _NAME.fullmatch(host):
        raise ValueError(f"{text!r} is no host: a name, *.NAME or an address, without a port, or *")
    return host


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
