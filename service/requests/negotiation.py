"""Content negotiation: which form of an answer the client wants."""

from collections.abc import Sequence

from core.errors import InvalidValue, shown
from service.errors import NotAcceptable
from service.requests.grammar import weight

MEDIA_TYPES = {
    "json": "application/json",
    "png": "image/png",
    "npy": "application/x-npy",
}


def choose(offered: Sequence[str], asked: str | None, accept: str | None) -> str:
    """The form to answer in.

    Args:
        offered: forms the endpoint can make, its favorite first.
        asked: the `format` parameter; it wins.
        accept: the Accept header, RFC 9110 section 12.5.1.

    Raises:
        InvalidValue: the format asked for exists nowhere.
        NotAcceptable: this endpoint can make none of the forms asked for.
    """
    if asked is not None:
        if asked not in MEDIA_TYPES:
            raise InvalidValue("format", asked, "one of " + ", ".join(offered))
        if asked not in offered:
            raise NotAcceptable(f"format={asked} cannot be made here; {_list(offered)}")
        return asked
    if accept is None:
        return offered[0]
    ranked = sorted(offered, key=lambda form: -_quality(MEDIA_TYPES[form], accept))
    if _quality(MEDIA_TYPES[ranked[0]], accept) <= 0:
        raise NotAcceptable(f"Accept {shown(accept)} cannot be met here; {_list(offered)}")
    return ranked[0]


def _quality(media_type: str, accept: str) -> float:
    """How much the client wants this media type, 0..1; the most specific range decides."""
    best = (-1, 0.0)
    for entry in accept.split(","):
        media_range, *options = (field.strip().lower() for field in entry.split(";"))
        if _matches(media_range, media_type):
            specificity = 2 - media_range.count("*")
            best = max(best, (specificity, _weight(options)))
    return best[1]


def _matches(media_range: str, media_type: str) -> bool:
    return media_range in ("*/*", media_type, media_type.partition("/")[0] + "/*")


def _weight(options: Sequence[str]) -> float:
    for option in options:
        if option.startswith("q="):
            return weight(option[2:])
    return 1.0


def _list(offered: Sequence[str]) -> str:
    return "it makes " + ", ".join(f"{MEDIA_TYPES[form]} (format={form})" for form in offered)
