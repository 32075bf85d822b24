"""How long the first answer takes, as ratios in one run, and how much the base install brings.

Run it as `python benchmarks/startup.py`.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections import deque
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

DISTRIBUTION = "inference-planner"
BAR_VERSION = 5.0
BAR_ESTIMATE = 2.0
BAR_DISTRIBUTIONS = 12
RUNS = 11
ANSWERS = (0, 1)
"""Exit codes of an answer: the default question may well meet no SLO after a change of prices."""


def planner_command() -> list[str]:
    """Return the installed script beside this interpreter, else the module."""
    script = shutil.which("planner", path=str(Path(sys.executable).parent))
    return [script] if script else [sys.executable, "-m", "planner"]


def run_once(command: list[str]) -> float:
    """Return the seconds one process takes, from start to exit."""
    start = time.perf_counter()
    done = subprocess.run(command, env=os.environ | {"NO_COLOR": "1"}, capture_output=True, text=True, check=False)
    took = time.perf_counter() - start
    if done.returncode not in ANSWERS:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return took


def medians(commands: dict[str, list[str]], runs: int) -> dict[str, float]:
    """Return the median seconds of each command; runs are interleaved, after one to warm the disk."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for round_ in range(runs + 1):
        for name, command in commands.items():
            took = run_once(command)
            if round_ > 0:
                times[name].append(took)
    return {name: statistics.median(values) for name, values in times.items()}


def brought(distribution: str) -> list[str]:
    """Return what a base install brings besides itself: Requires-Dist without extras, as far as it is installed.

    Markers other than extras are not evaluated: what another platform needs is not installed here.
    """
    found: set[str] = set()
    left = deque([distribution])
    while left:
        for line in requires(left.popleft()) or []:
            requirement, _, marker = line.partition(";")
            match = re.match(r"[A-Za-z0-9._-]+", requirement)
            if match is None or re.search(r"\bextra\b", marker):
                continue
            name = normal(match.group())
            if name not in found and is_installed(name):
                found.add(name)
                left.append(name)
    return sorted(found)


def is_installed(name: str) -> bool:
    """Return whether a distribution is installed here."""
    try:
        requires(name)
    except PackageNotFoundError:
        return False
    return True


def imports_of_dependencies() -> str:
    """Return a program that imports just what `planner estimate` imports of its dependencies, with submodules."""
    code = (
        "import contextlib, io, sys\n"
        "from planner.cli.main import run\n"
        "with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):\n"
        "    run(['estimate'])\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    owners = packages_distributions()
    wanted = set(brought(DISTRIBUTION))
    names = [m for m in loaded if wanted & {normal(d) for d in owners.get(m.split(".")[0], [])}]
    return f"import importlib\nfor name in {names!r}:\n    importlib.import_module(name)"


def normal(name: str) -> str:
    """Return a distribution's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> int:
    """Print the table; 1 where a bar is missed under --strict."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help="interleaved runs; the median counts")
    parser.add_argument("--strict", action="store_true", help="exit 1 where a bar is missed")
    options = parser.parse_args()
    planner, python = planner_command(), sys.executable
    found = medians(
        {
            "bare": [python, "-c", "pass"],
            "version": [*planner, "--version"],
            "imports": [python, "-c", imports_of_dependencies()],
            "estimate": [*planner, "estimate"],
        },
        options.runs,
    )
    names = brought(DISTRIBUTION)
    lines = [
        ("planner --version / python -c pass", "version", "bare", BAR_VERSION),
        ("planner estimate / importing its dependencies", "estimate", "imports", BAR_ESTIMATE),
    ]
    print(f"{'':46} {'ms':>15} {'ratio':>7} {'bar':>5}   (median of {options.runs})")
    missed = False
    for label, top, bottom, bar in lines:
        ratio = found[top] / found[bottom]
        missed |= ratio > bar
        times = f"{found[top] * 1e3:.0f} / {found[bottom] * 1e3:.0f}"
        print(f"{label:46} {times:>15} {ratio:7.2f} {bar:5g}   {'missed' if ratio > bar else 'met'}")
    over = len(names) > BAR_DISTRIBUTIONS
    label = "distributions the base install brings"
    print(f"{label:46} {'':15} {len(names):7} {BAR_DISTRIBUTIONS:5}   {'missed' if over else 'met'}")
    print(f"  {', '.join(names)}")
    return 1 if options.strict and (missed or over) else 0


if __name__ == "__main__":
    sys.exit(main())
