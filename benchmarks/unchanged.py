"""What a `make run` costs in which nothing has changed, beside the least that Dagster and dlt take for two runs.

`python -m benchmarks.unchanged --turns 5`. Each turn is a process of its own, the two in turn, after one that is not
counted. The least is `least_project.py`, with this project's `dagster.yaml`. A `make run` of the demo has two runs as
well: 17 tables with their checks, and the points, of which a few are new where a minute has gone by; it embeds the
server that it reads, and ends with the models and a month's report.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from .__main__ import ROOT, clean_environment

THIS = "this project, `run` of the demo"
LEAST = "the least, one table and two runs"


def turn(command: list[str], folder: Path, environment: dict[str, str]) -> tuple[float, float]:
    """Return the seconds and the CPU seconds of a process."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, cpu


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unchanged", description=__doc__)
    parser.add_argument("--turns", type=int, default=5)
    args = parser.parse_args()
    took: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="cachet-bench-") as parent:
        environment = clean_environment(parent)
        folders = {name: Path(parent, str(number)) for number, name in enumerate((THIS, LEAST))}
        for folder in folders.values():
            folder.mkdir()
            shutil.copy(ROOT / "dagster.yaml", folder)
        commands = {
            THIS: ["-m", "cachet_dagster", "run"],
            LEAST: ["-m", "benchmarks.least_project"],
        }
        for number in range(args.turns + 1):
            for name, command in commands.items():
                seconds, cpu = turn(command, folders[name], environment)
                if number:
                    took[name].append((seconds, cpu))
                    print(f"{name:35} {seconds:5.1f} s, {cpu:5.1f} s of CPU", flush=True)
    medians = {name: statistics.median(seconds for seconds, _ in turns) for name, turns in took.items()}
    print(
        f"medians of {args.turns}: {medians[THIS]:.1f} s against {medians[LEAST]:.1f} s:"
        f" {medians[THIS] / medians[LEAST]:.2f} x the least"
    )


if __name__ == "__main__":
    main()
