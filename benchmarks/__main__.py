"""`python -m benchmarks` (or `make bench`): runs the scenarios, prints tables and a summary, and writes them as JSON.

One decision shapes it: this process only starts others, one server per scenario and one contender at a time, so that
nothing runs beside what is measured. Contenders take turns within each repetition, so a slow minute of the machine
falls on all of them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.contender import Result
from benchmarks.scenarios import LIMIT, PROMISES, SCENARIOS, Medians, Scenario, floor_seconds, limit_seconds

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 3_600  # seconds that one contender may take
LIBRARIES = ("aiohttp", "dagster", "dlt", "duckdb", "orjson", "pyarrow")

console = Console(width=None if sys.stdout.isatty() else 130)


@contextlib.contextmanager
def server(scenario: Scenario) -> Iterator[str]:
    """A server process with the scenario's world, ready to answer; its address."""
    world = scenario.world
    command = ["--metrics", world.metrics, "--points", world.points]
    if scenario.limit:
        command = ["benchmarks.limited", *command, "--rate-limit", scenario.limit]
    else:
        command = ["benchmarks.server", *command, "--incidents", world.incidents]
        command += ["--latency-ms", scenario.latency_ms, "--ready", *scenario.ready]
        command += ["--interleaved"] * world.interleaved + ["--forget"] * (not scenario.ready)
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, command)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if not (url := process.stdout.readline().strip()):
            raise SystemExit("the server did not start")
        yield url
    finally:
        process.terminate()
        process.wait()


def contend(contender: str, scenario: Scenario, url: str) -> Result | str:
    """One contender, once, in a process and a folder of its own; a text where it failed."""
    with tempfile.TemporaryDirectory(prefix="cachet-bench-") as folder:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("CACHET_", "DAGSTER_", "DLT_", "SOURCES__", "DESTINATION__"))
        }
        environment |= {
            "PYTHONPATH": str(ROOT),
            "DLT_DATA_DIR": folder,
            "DAGSTER_DISABLE_TELEMETRY": "1",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
        }
        command = [sys.executable, "-m", "benchmarks.contender", contender, url, folder]
        log = Path(folder, "log")
        with log.open("w") as errors:
            try:
                run = subprocess.run(
                    [*command, json.dumps(asdict(scenario.world))],
                    cwd=folder,
                    env=environment,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    timeout=TIMEOUT,
                )
            except subprocess.TimeoutExpired:
                return f"not finished after {TIMEOUT} s"
        if run.returncode:
            return f"exit code {run.returncode}; the end of its log:\n{log.read_text()[-2_000:]}"
        return Result(**json.loads(run.stdout.splitlines()[-1]))


def run_scenario(name: str, repeat: int, only: list[str] | None) -> tuple[dict[str, list[Result]], list[str]]:
    scenario = SCENARIOS[name]
    results: dict[str, list[Result]] = {}
    failures = []
    contenders = [contender for contender in scenario.contenders if not only or contender in only]
    with server(scenario) as url:
        for turn in range(1 if scenario.once else repeat):
            for contender in contenders:
                result = contend(contender, scenario, url)
                if isinstance(result, str):
                    failures.append(f"{name}, {contender}: {result}")
                    console.print(f"  {contender} failed", style="red")
                    continue
                if result.differences:
                    failures.append(f"{name}, {contender}: {result.differences} rows differ")
                results.setdefault(contender, []).append(result)
                console.print(f"  {turn + 1}. {contender}: {result.seconds:.2f} s", style="dim")
    return results, failures


def median(results: list[Result]) -> Result:
    """The run with the median time; its other numbers belong to it."""
    middle = statistics.median_low(result.seconds for result in results)
    return next(result for result in results if result.seconds == middle)


COLUMNS = (
    "contender", "requests", "seconds", "CPU s", "rows", "rows/s", "peak MB", "x floor", "recipe /", "differences"
)  # fmt: skip


def lines(scenario: Scenario, medians: Medians) -> list[tuple[str, ...]]:
    """The table's lines, one per contender, as text."""
    floor, recipe = floor_seconds(scenario, medians), medians.get("recipe")
    return [
        (
            contender,
            f"{result.requests:,}",
            f"{result.seconds:.2f}",
            f"{result.cpu_seconds:.2f}",
            f"{result.rows:,}" if result.rows else "",
            f"{result.rows / result.seconds:,.0f}" if result.rows else "",
            f"{result.peak_mb:.0f}",
            f"{result.seconds / floor:.2f}" if floor else "",
            f"{recipe.seconds / result.seconds:.1f}" if recipe else "",
            "" if result.differences is None else str(result.differences),
        )
        for contender, result in medians.items()
    ]


def show(scenario: Scenario, medians: Medians) -> None:
    table = Table(*COLUMNS)
    for column in table.columns[1:]:
        column.justify = "right"
    for line in lines(scenario, medians):
        table.add_row(*line)
    console.print(table)
    for contender, result in medians.items():
        for text, value in result.notes.items():
            console.print(f"  {contender}: {text} {value}")
        if scenario.limit:
            least = limit_seconds(result.requests, LIMIT)
            console.print(
                f"  {contender}: {least:.0f} s by the limit's own arithmetic, {result.refused} refused"
            )


def promises(medians: dict[str, Medians]) -> list[dict]:
    found = []
    for promise in PROMISES:
        with contextlib.suppress(KeyError):
            of_scenario = medians[promise.scenario]
            found.append(
                {
                    "scenario": promise.scenario,
                    "promise": promise.text,
                    "value": promise.value(of_scenario),
                    "bound": f"{'at least' if promise.at_least else 'at most'} {promise.bound:g}",
                    "kept": promise.kept(of_scenario),
                }
            )
    return found


def summary(medians: dict[str, Medians], repeat: int) -> str:
    """All tables in one, as Markdown for the README."""
    text = ["| scenario | " + " | ".join(COLUMNS) + " |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, of_scenario in medians.items():
        text += [f"| {name} | " + " | ".join(line) + " |" for line in lines(SCENARIOS[name], of_scenario)]
    text += ["", "| promise | scenario | bound | measured | kept |", "|---|---|---|---|---|"]
    for found in promises(medians):
        kept = "yes" if found["kept"] else "**no**"
        text.append(
            f"| {found['promise']} | {found['scenario']} | {found['bound']} | {found['value']:.4g} | {kept} |"
        )
    machine = environment()
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    text += [
        "",
        f"{machine['cpus']} CPU cores, {machine['machine']}, Python {machine['python']}; {versions}."
        f" Medians of {repeat}; imports excluded, server in another process.",
    ]
    return "\n".join(text)


def environment() -> dict:
    return {
        "cpus": os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--scenario", nargs="+", choices=SCENARIOS, default=list(SCENARIOS), metavar="NAME")
    parser.add_argument("--contender", nargs="+", metavar="NAME", help="only these")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each contender (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every run's numbers")
    parser.add_argument(
        "--list", action="store_true", help="name the scenarios and their contenders, and end"
    )
    args = parser.parse_args()
    if args.list:
        for name, scenario in SCENARIOS.items():
            console.print(f"{name}: {scenario.title} ({', '.join(scenario.contenders)})", highlight=False)
        return 0
    # So that a stopped benchmark stops its server and its contender too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    runs: dict[str, dict[str, list[Result]]] = {}
    medians: dict[str, Medians] = {}
    failures: list[str] = []
    for name in args.scenario:
        console.print(f"\n[bold]{name}[/bold]: {SCENARIOS[name].title}", highlight=False)
        runs[name], failed = run_scenario(name, args.repeat, args.contender)
        failures += failed
        medians[name] = {contender: median(results) for contender, results in runs[name].items()}
        show(SCENARIOS[name], medians[name])
    print(f"\n{summary(medians, args.repeat)}")
    for failure in failures:
        console.print(failure, style="red", highlight=False, markup=False)
    if args.json:
        document = {
            "environment": environment(),
            "runs": {
                name: {
                    contender: [asdict(result) for result in results] for contender, results in found.items()
                }
                for name, found in runs.items()
            },
            "promises": promises(medians),
            "failures": failures,
        }
        args.json.write_text(json.dumps(document, indent=2) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
