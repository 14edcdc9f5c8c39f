"""`python -m tests`: lint, types and every test, with a browser installed when there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = "/usr/bin/chromium"


def _run(title: str, *command: str) -> None:
    print(f"\n== {title}: {' '.join(command)}", flush=True)
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    if code:
        sys.exit(code)


def _run_beside(title: str, beside: Sequence[str], *command: str) -> None:
    """Run a command on one core while another, of which nobody wants to hear, uses the next."""
    with subprocess.Popen(beside, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
        _run(title, *command)


def _ensure_browser() -> None:
    """Install Debian's Chromium where that is possible; elsewhere the browser tests say so."""
    if Path(os.environ.get("CHROMIUM", CHROMIUM)).exists():
        return
    if shutil.which("apt-get") and os.geteuid() == 0:
        os.environ["DEBIAN_FRONTEND"] = "noninteractive"
        _run("package lists", "apt-get", "update", "-qq")
        _run("browser", "apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium")
    else:
        print(
            "No Chromium was found and it cannot be installed without root: browser tests are "
            "skipped. Install it (`sudo apt-get install chromium`) or set CHROMIUM to its path.",
            flush=True,
        )


def _workers() -> list[str]:
    """One process for each core, up to four: beside its browser and its server, each fills one.

    A file stays in one process, because its tests share a server.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    count = str(min(4, cores or 1))
    return ["-n", count, "--dist", "loadfile", "--no-loadscope-reorder"]


def main() -> None:
    """Stop at the first thing that fails; arguments go to pytest."""
    python = sys.executable
    for stub in (ROOT / "viz").rglob("*.pyi"):
        stub.unlink()  # gradio writes them at import, and mypy would read them first
    _run("format", python, "-m", "ruff", "format", "--check", ".")
    _run("lint", python, "-m", "ruff", "check", ".")
    # Every worker and server imports what is compiled here, and pytest's own way of compiling the
    # tests takes half of the time in which a worker finds them.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    find = (python, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider")
    _run_beside("types", find, python, "-m", "mypy")
    _ensure_browser()
    _run("tests", python, "-m", "pytest", "-q", "--durations=10", *_workers(), *sys.argv[1:])


if __name__ == "__main__":
    main()
