"""The blocks of a GIF: how many frames there are."""


def gif_frames(content: bytes, limit: int) -> int:
    """Frames of a GIF, counted along its blocks without decoding, no further than the limit.

    Source: GIF89a specification, sections 18 to 25.
    """
    at = 13 + _color_table_bytes(content[10])
    frames = 0
    try:
        while frames < limit:
            block = content[at]
            if block == 0x21:  # an extension: label, then data
                at = _after_data(content, at + 2)
            elif block == 0x2C:  # an image: descriptor, colors, code size, then data
                at += 10 + _color_table_bytes(content[at + 9])
                at = _after_data(content, at + 1)
                frames += 1
            else:
                break
    except IndexError:  # cut off after a frame that could be decoded
        pass
    return max(frames, 1)


def _color_table_bytes(flags: int) -> int:
    return int(3 * 2 ** ((flags & 7) + 1)) if flags & 0x80 else 0


def _after_data(content: bytes, at: int) -> int:
    while length := content[at]:
        at += length + 1
    return at + 1
