"""The machine and the versions a benchmark ran on, in one line."""

import os
import platform
from importlib.metadata import version

import torch


def describe(*packages: str, device: str = "cpu") -> str:
    """One line: processor, cores, memory, GPU, system, Python, versions of the packages."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    gpu = "no GPU used" if device == "cpu" else f"one {torch.cuda.get_device_name(device)}"
    return (
        f"{_processor()}, {os.cpu_count()} cores, {pages / 2**30:.0f} GiB, {gpu}; "
        f"{platform.system()}, Python {platform.python_version()}; {versions}"
    )


def _processor() -> str:
    with open("/proc/cpuinfo") as lines:
        facts = dict(line.split(":", 1) for line in lines if ":" in line)
    named = {key.strip(): value.strip() for key, value in facts.items()}
    flags = named.get("flags", "").split()
    widest = next((each for each in ("avx512f", "avx2", "avx") if each in flags), "no AVX")
    return f"{named.get('model name', platform.machine())} ({widest})"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
