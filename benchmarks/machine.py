"""On what a run was measured: enough to compare two files, nothing that names the machine or its
user.
"""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "allcores",
    "loky",
    "joblib",
    "pebble",
    "mpire",
    "zooparallel",
    "numpy",
    "psutil",
    "cloudpickle",
)


def describe() -> dict[str, Any]:
    """Cores, processor, kernel, Python, versions; and how busy the machine was before the run."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "processor": _processor(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "compiler": platform.python_compiler(),
        "default_start_method": multiprocessing.get_context().get_start_method(),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {package: found for package in PACKAGES if (found := _version(package))},
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
