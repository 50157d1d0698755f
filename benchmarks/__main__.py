"""`python -m benchmarks` (or `make bench`): runs the scenarios and reports, as tables and as JSON.

One decision shapes it: this process only starts others, one server per scenario and one contender at a time,
so that nothing runs beside what is measured. Contenders take turns within each repetition, so a slow minute
of the machine falls on all of them. What was not run is named in the report.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.contender import Result
from benchmarks.scenarios import AIMS, SCENARIOS, Found, Scenario, Summary, floor_seconds

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 3_600  # seconds that one contender may take
LIBRARIES = ("aiohttp", "dagster", "dlt", "duckdb", "orjson", "pyarrow")

console = Console(width=None if sys.stdout.isatty() else 130)


def clean_environment(folder: str) -> dict[str, str]:
    """The environment of a process that is measured: nobody's settings, and dlt's files in a folder of its own."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CACHET_", "DAGSTER_", "DLT_", "SOURCES__", "DESTINATION__"))
    }
    return {
        **kept,
        "PYTHONPATH": str(ROOT),
        "DLT_DATA_DIR": folder,
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }


@contextlib.contextmanager
def server(scenario: Scenario) -> Iterator[str]:
    """A server process with the scenario's world, ready to answer; its address."""
    world = scenario.world
    command = ["--metrics", world.metrics, "--points", world.points]
    if scenario.limit or scenario.api == 2:
        command = ["benchmarks.limited", *command, "--rate-limit", scenario.limit, "--api", scenario.api]
        command += ["--unforeseen"] * world.unforeseen
    else:
        command = ["benchmarks.server", *command, "--incidents", world.incidents]
        command += ["--latency-ms", scenario.latency_ms, "--ready", *scenario.ready]
        command += ["--interleaved"] * world.interleaved + ["--unforeseen"] * world.unforeseen
        command += ["--forget"] * (not scenario.ready)
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


def contend(contender: str, scenario: Scenario, *urls: str) -> Result | str:
    """One contender, once, in a process and a folder of its own; a text where it failed.

    `urls`: the scenario's server, and one with a few rows of the same kinds.
    """
    with tempfile.TemporaryDirectory(prefix="cachet-bench-") as folder:
        environment = clean_environment(folder)
        command = [sys.executable, "-m", "benchmarks.contender", contender, folder]
        log = Path(folder, "log")
        with log.open("w") as errors:
            try:
                run = subprocess.run(
                    [*command, json.dumps(asdict(scenario.world)), *urls],
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
            return f"exit code {run.returncode}\n{log.read_text()[-2_000:]}"
        return Result(**json.loads(run.stdout.splitlines()[-1]))


def run_scenario(name: str, repeat: int, only: list[str] | None) -> tuple[dict[str, list[Result]], list[str]]:
    scenario = SCENARIOS[name]
    results: dict[str, list[Result]] = {}
    failures = []
    contenders = [contender for contender in scenario.contenders if not only or contender in only]
    with contextlib.ExitStack() as servers:
        few = servers.enter_context(server(replace(scenario, world=scenario.world.few(), limit=0)))
        url = ""
        for turn in range(repeat if contenders else 0):
            if not url or scenario.limit:  # what a turn leaves of the limit's minute is not for the next
                url = servers.enter_context(server(scenario))
            for contender in contenders:
                result = contend(contender, scenario, url, few)
                if isinstance(result, str):
                    failures.append(f"{name}, {contender}: {result}")
                    console.print(f"  {contender} failed", style="red")
                    continue
                if result.differences:
                    failures.append(f"{name}, {contender}: {result.differences} rows differ")
                results.setdefault(contender, []).append(result)
                console.print(f"  {turn + 1}. {contender}: {result.seconds:.2f} s", style="dim")
    return results, failures


COLUMNS = (
    "contender", "runs", "seconds", "min–max", "requests", "rows/s", "peak MB", "× floor", "recipe ÷",
    "differences",
)  # fmt: skip


def lines(name: str, found: Found) -> list[tuple[str, ...]]:
    """A scenario's lines, one per contender, as text."""
    floor = recipe = None
    with contextlib.suppress(KeyError):
        floor = floor_seconds(name, found)
    with contextlib.suppress(KeyError):
        recipe = found[name]["recipe"].seconds
    empty = ("0", "no result" if name in found else "not run", *[""] * (len(COLUMNS) - 3))
    runs = {contender: found.get(name, {}).get(contender) for contender in SCENARIOS[name].contenders}
    return [(contender, *(_cells(run, floor, recipe) if run else empty)) for contender, run in runs.items()]


def _cells(run: Summary, floor: float | None, recipe: float | None) -> tuple[str, ...]:
    return (
        str(run.runs),
        f"{run.seconds:.2f}",
        f"{run.fastest:.2f}–{run.slowest:.2f}",
        f"{run.requests:,}",
        f"{run.rows / run.seconds:,.0f}" if run.rows else "",
        f"{run.peak_mb:.0f}",
        f"{run.seconds / floor:.2f}" if floor else "",
        f"{recipe / run.seconds:.1f}" if recipe else "",
        "" if run.differences is None else str(run.differences),
    )


def show(name: str, found: Found) -> None:
    table = Table(*COLUMNS)
    for column in table.columns[1:]:
        column.justify = "right"
    for cells in lines(name, found):
        table.add_row(*cells)
    console.print(table)


def verdicts(found: Found) -> list[dict]:
    return [
        {
            "scenario": aim.scenario,
            "aim": aim.text,
            "bound": f"{'at least' if aim.at_least else 'at most'} {aim.bound:g}",
            "measured": value,
            "verdict": verdict,
        }
        for aim in AIMS
        for value, verdict in [aim.verdict(found)]
    ]


def report(found: Found, failures: list[str]) -> str:
    """All of it as Markdown: every scenario, run or not, the aims, and what else was noted."""
    text = [_row("scenario", *COLUMNS), _row(*["---"] * (len(COLUMNS) + 1))]
    for name, scenario in SCENARIOS.items():
        floor = f"; floor: {' + '.join(scenario.floor)}" if scenario.floor else ""
        text += [_row(f"{name}{floor}", *cells) for cells in lines(name, found)]
    text += ["", _row("scenario", "aim", "bound", "measured", "verdict"), _row(*["---"] * 5)]
    for it in verdicts(found):
        measured = "" if it["measured"] is None else _number(it["measured"])
        verdict = "**missed**" if it["verdict"] == "missed" else it["verdict"]
        text.append(_row(it["scenario"], it["aim"], it["bound"], measured, verdict))
    noted = [
        f"- {name}, {contender}: {what} {_number(value)}"
        for name, of_scenario in found.items()
        for contender, run in of_scenario.items()
        for what, value in run.notes.items()
    ]
    machine = environment()
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    text += [
        *(["", *noted] if noted else []),
        "",
        f"Not run: {', '.join(not_run(found)) or 'nothing, all scenarios were'}.",
        *[f"Failed: {failure.splitlines()[0]}." for failure in failures],
        f"{machine['cpus']} CPU cores, {machine['machine']}, Python {machine['python']}; {versions}.",
        "Seconds are the median of the runs; requests, peak memory and differences are the worst of them. "
        "Imports are excluded, the server is another process.",
    ]
    return "\n".join(text)


def not_run(found: Found) -> list[str]:
    return [name for name in SCENARIOS if name not in found]


def _number(value: float) -> str:
    return f"{value:,.2f}".removesuffix(".00")


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def save(
    path: Path, runs: Mapping[str, Mapping[str, Sequence[Result]]], found: Found, failures: list[str]
) -> None:
    """Write every run's numbers, and what follows from them."""
    document = {
        "environment": environment(),
        "runs": {
            name: {
                contender: [asdict(result) for result in results] for contender, results in of_name.items()
            }
            for name, of_name in runs.items()
        },
        "summaries": {
            name: {contender: asdict(summary) for contender, summary in of_name.items()}
            for name, of_name in found.items()
        },
        "aims": verdicts(found),
        "not_run": not_run(found),
        "failures": failures,
    }
    path.write_text(json.dumps(document, indent=2) + "\n")


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
    found: dict[str, dict[str, Summary]] = {}
    failures: list[str] = []
    for name in args.scenario:
        console.print(f"\n[bold]{name}[/bold]: {SCENARIOS[name].title}", highlight=False)
        runs[name], failed = run_scenario(name, args.repeat, args.contender)
        failures += failed
        found[name] = {contender: Summary.of(results) for contender, results in runs[name].items()}
        show(name, found)
        if args.json:
            save(args.json, runs, found, failures)
    print(f"\n{report(found, failures)}")
    for failure in failures:
        console.print(failure, style="red", highlight=False, markup=False)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
