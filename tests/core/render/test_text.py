"""Labels of every script are drawn; what no font here has is marked and said."""

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given, settings, strategies
from PIL import Image

from core.render.fonts import MISSING, Fonts
from core.render.text import fitted, text_size, write


def drawn(text: str, size_px: float = 20, **how: Any) -> Any:
    sheet = Image.new("RGB", (400, 60), (255, 255, 255))
    write(sheet, (10, 10), text, size_px, (0, 0, 0), **how)
    return np.array(sheet)


def inked(picture: Any) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is not white."""
    rows, cols = (picture.min(axis=2) < 128).nonzero()
    return cols.min(), rows.min(), cols.max() + 1, rows.max() + 1


@pytest.mark.parametrize(
    "text",
    ["кошка", "Ёлка «ель»", "γάτα", "قطة", "חתול", "կատու", "naïve", "Łódź", "a – b", "’s", "€ 5"],
)
def test_letters_that_matplotlibs_own_font_has_are_drawn_without_any_other(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    alone = Fonts()
    shapes = {drawn(each, fonts=alone).tobytes() for each in text if each != " "}
    assert drawn(MISSING).tobytes() not in shapes
    assert len(shapes) == len(set(text) - {" "})
    assert not caplog.records


def test_arabic_is_joined_and_runs_from_right_to_left() -> None:
    apart = text_size("ق", 40)[0] + text_size("ط", 40)[0]
    assert text_size("قط", 40)[0] < apart
    # In logical order the first letter stands on the right: with a wide letter first, the left
    # half of "ل ششش" is the wide ones.
    left, _, right, _ = inked(drawn("شششش ا", 30))
    picture = drawn("شششش ا", 30)[:, left:right]
    ink = (picture.min(axis=2) < 128).sum(axis=0)
    assert ink[: len(ink) // 4].sum() < ink[-len(ink) // 4 :].sum()


@pytest.mark.parametrize("text", ["", " ", "\n", "\u200b", "\x00\x07", "\u202f"])
def test_what_has_no_shape_leaves_no_mark(text: str) -> None:
    assert (drawn(text) == 255).all()


def test_a_lone_surrogate_is_marked() -> None:
    assert (drawn("a\udcffb") == drawn(f"a{MISSING}b")).all()


def test_what_no_font_has_is_marked_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    alone = Fonts()
    with caplog.at_level(logging.WARNING):
        marked = drawn(f"{MISSING} dog {MISSING}", fonts=alone)
        assert (drawn("犬 dog 猫", fonts=alone) == marked).all()
        drawn("猫", fonts=alone)
    (said,) = [record.getMessage() for record in caplog.records]
    assert "CJK" in said
    assert "fonts-noto-cjk" in said


def test_a_font_that_the_user_installed_is_found(tmp_path: Path) -> None:
    """In a process of its own: matplotlib reads where fonts lie when it is imported."""
    character = "\N{EGYPTIAN HIEROGLYPH A001}"
    fonts = tmp_path / "fonts"
    fonts.mkdir()
    _font(character).save(fonts / "Mine-Regular.ttf")
    (fonts / "Broken-Regular.ttf").write_bytes(b"no font")
    script = (
        "from core.render.fonts import installed; from core.render.text import text_size; "
        "print(installed().of('\\U00013000'), text_size('\\U00013000', 50)[0])"
    )
    environment = os.environ | {
        "XDG_DATA_HOME": str(tmp_path),
        "MPLCONFIGDIR": str(tmp_path / "matplotlib"),
        "PYTHONPATH": str(Path(__file__).parents[3]),
        "PATH": "",  # no fontconfig, which knows the fonts of this machine
    }
    for shared in ("/usr/share/fonts", "/usr/local/share/fonts"):
        if any(Path(shared).rglob("NotoSansEgyptianHieroglyphs-Regular.ttf")):
            pytest.skip("this machine has a font with hieroglyphs")
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(fonts / "Mine-Regular.ttf"), "40"]


def _font(character: str) -> FontBuilder:
    """A font whose one character is a block 0.8 em wide."""
    pen = TTGlyphPen(None)
    for place in ((0, 0), (0, 700), (800, 700), (800, 0)):
        (pen.moveTo if place == (0, 0) else pen.lineTo)(place)
    pen.closePath()
    block = pen.glyph()
    font = FontBuilder(1000)
    font.setupGlyphOrder([".notdef", "block"])
    font.setupCharacterMap({ord(character): "block"})
    font.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "block": block})
    font.setupHorizontalMetrics({".notdef": (800, 0), "block": (800, 0)})
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": "Mine", "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    return font


def test_accents_over_capitals_are_whole_and_lines_do_not_overlap() -> None:
    top = inked(drawn("ÉÅŰ"))[1]
    assert top < inked(drawn("EAU"))[1]
    one, two = text_size("gj", 20), text_size("gj\nÉ", 20)
    assert two[1] == 2 * one[1]
    both = drawn("gj\nl", 20)
    rows = (both.min(axis=2) < 128).any(axis=1).nonzero()[0]
    assert np.diff(rows).max() > 1  # a free row between the lines


def test_text_stands_where_its_anchor_says() -> None:
    width, height = text_size("Hx", 20)
    corner = inked(drawn("Hx"))
    assert abs(corner[0] - 10) <= 2
    assert corner[1] >= 10
    assert corner[3] <= 10 + height
    sheet = Image.new("RGB", (200, 100), (255, 255, 255))
    write(sheet, (100, 50), "Hx", 20, (0, 0, 0), anchor="mm")
    left, top, right, bottom = inked(np.array(sheet))
    assert abs((left + right) / 2 - 100) <= 2
    assert abs((top + bottom) / 2 - 50) <= 3
    assert right - left <= width


def test_text_that_leaves_the_picture_is_cut_off() -> None:
    sheet = Image.new("RGB", (30, 20), (255, 255, 255))
    whole = Image.new("RGB", (90, 60), (255, 255, 255))
    write(sheet, (-10, -5), "wide\nlines", 20, (0, 0, 0), halo=(0, 255, 0))
    write(whole, (20, 15), "wide\nlines", 20, (0, 0, 0), halo=(0, 255, 0))
    assert (np.array(sheet) == np.array(whole)[20:40, 30:60]).all()


def test_a_halo_surrounds_the_letters() -> None:
    picture = drawn("i", halo=(0, 255, 0))
    rows, cols = (picture == (0, 0, 0)).all(axis=2).nonzero()
    for row, col in zip(rows, cols, strict=True):
        around = picture[row - 3 : row + 4, col - 3 : col + 4].reshape(-1, 3)
        assert not (around == 255).all(axis=1).any()


@pytest.mark.parametrize("text", ["Chesapeake Bay retriever", "кошка и собака", "ab", "犬" * 40])
@pytest.mark.parametrize("width_px", [20, 60, 150])
def test_a_fitted_text_is_as_long_as_its_room_allows(text: str, width_px: int) -> None:
    kept = fitted(text, 13, width_px)
    assert kept == text or kept.endswith("…")
    assert text_size(kept, 13)[0] <= width_px
    if kept != text:
        longer = [text[:end].rstrip() for end in range(len(kept), len(text))]
        assert all(
            text_size(f"{each}…", 13)[0] > width_px for each in longer if len(each) >= len(kept)
        )


def test_the_same_text_is_drawn_the_same_from_several_threads() -> None:
    fresh = Fonts()  # nothing of it is drawn yet
    words = ["кошка", "قطة", "cat", "γάτα"] * 50
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda word: drawn(word, fonts=fresh), words))
    for word, picture in zip(words, found, strict=True):
        assert (picture == found[words.index(word)]).all()


@given(strategies.text(max_size=12))
@settings(max_examples=300, deadline=None)
def test_any_text_can_be_written(text: str) -> None:
    write(Image.new("RGB", (40, 20)), (0, 0), text, 10, (9, 9, 9))


@pytest.mark.parametrize("text", ["می‌خواهم", "क्ष", "👨‍👩‍👧", "❤️", "Z̧̄a̐", "a\u0f71b", "🇩🇪", "각"])
def test_characters_that_are_drawn_together_are_looked_up_together(text: str) -> None:
    assert (drawn(text) != 255).any()
