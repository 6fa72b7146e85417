"""`Selection`: channels picked by text such as `0-15,20`."""

from dataclasses import dataclass

from core.errors import InvalidValue

_FORM = "numbers and ranges separated by commas, such as 0-15,20"


@dataclass(frozen=True, slots=True)
class Selection:
    """Channels a caller picked, as ranges; checked against a layer only by `within`.

    Attributes:
        text: what the caller sent.
        ranges: first and last of each, both included, in the order sent.
    """

    text: str
    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def parse(cls, text: str) -> "Selection":
        """Read `0-15,20`.

        Raises:
            InvalidValue: the text is not numbers and ranges, or a range runs backwards.
        """
        return cls(text, tuple(_range(text, part.strip()) for part in text.split(",")))

    def within(self, count: int) -> tuple[int, ...]:
        """The channels, in the order sent, each once.

        Args:
            count: how many the layer has.

        Raises:
            InvalidValue: one of them is not 0 <= channel < count.
        """
        for first, last in self.ranges:
            if last >= count:
                wrong = str(first) if first == last else f"{first}-{last}"
                raise InvalidValue("channels", wrong, f"0 to {count - 1}")
        chosen = (index for first, last in self.ranges for index in range(first, last + 1))
        return tuple(dict.fromkeys(chosen))


def _range(text: str, part: str) -> tuple[int, int]:
    ends = [end.strip() for end in part.split("-")]
    if len(ends) > 2 or not all(end.isascii() and end.isdecimal() for end in ends):
        raise InvalidValue("channels", text, _FORM)
    # A number of more digits than any layer has channels is cut: Python would refuse to read it.
    first, last = int(ends[0][:12]), int(ends[-1][:12])
    if last < first:
        raise InvalidValue("channels", part, f"{_FORM}, each range upwards")
    return first, last
