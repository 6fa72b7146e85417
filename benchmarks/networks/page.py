"""docs/networks.md, written from the reports."""

import datetime
from collections.abc import Sequence
from typing import Final

from benchmarks.machine import describe, table
from benchmarks.networks.cells import LIMIT, Cell, Verdict
from benchmarks.networks.checks import CHECKS, Report
from benchmarks.networks.gradients import DOUBLE_LIMIT
from benchmarks.networks.zoo import ALL

_PACKAGES: Final = ("torch", "torchvision", "timm", "openvino")
_METHOD: Final = f"""\
Every network is made without pretrained weights, from one seed, by the source that the service
makes it with. What its library starts at a constant that switches a branch off (LayerScale at 1e-6,
the last norm of a residual branch or the head at 0) is drawn at random, so that a mistake inside
such a branch shows; batch norms take their statistics from real photos. Then it is loaded as the
service loads it, and what the service's own code answers for a photo is compared with
[`references.py`](../benchmarks/networks/references.py), which shares no code with `core/`: the
library's plain module in float64 on contiguous rows, one picture at a time.

A figure is the largest difference, relative to the largest value of the reference; more than
{LIMIT:.0e} is WRONG. In gradients of networks with ReLUs, float32's rounding alone puts a few ReLUs
on their other side, and single pixels change by more. Where that may be so, the service's own code
runs once more in float64: the figure in brackets, WRONG above {DOUBLE_LIMIT:.0e}.
"""
_LAYERS: Final = """\
What Grad-CAM takes where no layer is named, and how many cells its map has; what the feature vector
enters or leaves; the layers of the columns *CAM, named* and *activations*, and their axes.
"""


def page(reports: Sequence[Report], took: str) -> str:
    """All of it, as Markdown."""
    cells = [cell for report in reports for cell in report.cells.values()]
    wrong = sum(cell.verdict == "wrong" for cell in cells)
    return "\n".join(
        [
            "# Networks of torchvision and timm, one by one",
            "",
            f"`python -m benchmarks.networks` (`make networks`), {datetime.date.today()}, on "
            f"{describe(*_PACKAGES)}; {took}. `--only NAME,...` prints a few.",
            "",
            f"**{len(reports)} networks, {len(cells)} cells, {wrong} of them WRONG.**",
            "",
            _METHOD,
            table(["column", "compared with"], [[each.name, each.against] for each in CHECKS]),
            table(
                ["network", "runs on", *(each.name for each in CHECKS)],
                [_row(report) for report in reports],
            ),
            "## What is wrong",
            "",
            _reasons(reports, "wrong"),
            "## What is refused",
            "",
            "With status 422 and this reason:",
            "",
            _reasons(reports, "refused"),
            "## Layers",
            "",
            _LAYERS,
            table(
                ["network", "input", "Grad-CAM", "features", "named for Grad-CAM", "in the middle"],
                [_layers(report) for report in reports],
            ),
        ]
    )


def _row(report: Report) -> list[str]:
    name = _short(report.name)
    if "loads" in report.cells:
        return [name, _shown(report.cells["loads"]), *[""] * len(CHECKS)]
    return [name, report.runtime, *map(_shown, report.cells.values())]


def _shown(cell: Cell) -> str:
    return f"**WRONG** {cell.text}" if cell.verdict == "wrong" else cell.text


def _reasons(reports: Sequence[Report], verdict: Verdict) -> str:
    """A line for each reason, with the networks that share it."""
    found: dict[tuple[str, str], list[str]] = {}
    for report in reports:
        for check, cell in report.cells.items():
            if cell.verdict == verdict:
                found.setdefault((check, cell.why), []).append(_short(report.name))
    lines = [f"- {check}: {', '.join(names)}: {why}" for (check, why), names in found.items()]
    return "\n".join(sorted(lines) or ["Nothing."]) + "\n"


def _layers(report: Report) -> list[str]:
    network = ALL[report.name]
    named = [f"{each.name} ({each.axes})" for each in (network.cam, network.inner)]
    return [_short(report.name), str(report.input_px), report.cam, report.features, *named]


def _short(name: str) -> str:
    return name.replace("torchvision:", "tv:")
