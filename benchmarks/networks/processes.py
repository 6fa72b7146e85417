"""A process for each network, so that a crash is one row."""

import contextlib
import multiprocessing
import os
import sys
import time
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from typing import Final

import torch

from benchmarks.networks.cells import Cell
from benchmarks.networks.checks import Report, examine
from benchmarks.networks.zoo import ALL

_LIMIT_S: Final = 900
_CONTEXT: Final = multiprocessing.get_context("forkserver")


def examined(names: Sequence[str], at_once: int) -> list[Report]:
    """The networks' reports, in their order."""
    threads = max(1, (os.cpu_count() or 1) // at_once)
    # Imports once what every child needs: torch, timm and OpenVINO take seconds.
    _CONTEXT.set_forkserver_preload([__name__])
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(partial(_examined, threads=threads), names))


def _examined(name: str, threads: int) -> Report:
    start_s = time.perf_counter()
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    child = _CONTEXT.Process(target=_child, args=(theirs, name, threads), daemon=True)
    child.start()
    theirs.close()
    try:
        if ours.poll(_LIMIT_S):
            report: Report = ours.recv()
        else:
            report = _lost(name, "time", f"it took more than {_LIMIT_S} s")
    except EOFError:
        child.join()
        report = _lost(name, "process", f"it ended with {child.exitcode}")
    child.kill()
    child.join()
    _say(report, time.perf_counter() - start_s)
    return report


def _child(answer: Connection, name: str, threads: int) -> None:
    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")  # the libraries', about their own code
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        try:
            report = examine(ALL[name])
        except Exception as error:
            report = _lost(name, type(error).__name__, str(error))
    answer.send(report)


def _lost(name: str, text: str, why: str) -> Report:
    return Report(name, cells={"loads": Cell("wrong", text, why)})


def _say(report: Report, took_s: float) -> None:
    wrong = [check for check, cell in report.cells.items() if cell.verdict == "wrong"]
    said = f"{report.name}  {took_s:.0f} s, {report.cpu_s:.0f} s of a processor"
    print(said, *wrong, sep="  ", file=sys.stderr, flush=True)
