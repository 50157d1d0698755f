"""Many pages in one code location: what it costs to load, and what their sensors cost while nothing happens.

`python -m benchmarks.pages 1 10 100`. Each number of pages is measured in a process of its own, against servers in
another; CPU seconds are of the process that has the sensors, so that a busy machine does not matter much.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from dagster import DagsterInstance, Definitions, build_sensor_context

from cachet_dagster import StatusPage, page_definitions

SECONDS = 60
"""A sensor looks this often where nothing else is set."""


def measured(count: int, url: str, folder: Path) -> dict[str, Any]:
    """Load a code location of so many pages, let each sensor look twice, and return what the second look cost."""
    began = time.process_time()
    pages = [
        StatusPage(
            name=f"page{number}", values={"base_url": url, "database": str(folder / f"{number}.duckdb")}
        )
        for number in range(count)
    ]
    repository = Definitions.merge(*map(page_definitions, pages)).get_repository_def()
    loaded = time.process_time() - began
    spent = dict.fromkeys(("changes", "metric_partitions", "points_after_sync"), 0.0)
    with DagsterInstance.local_temp(str(folder)) as instance:
        for page in pages:
            for name in spent:
                sensor = repository.get_sensor_def(page.named(name))
                cursor = None
                for look in range(2):
                    began = time.process_time()
                    with build_sensor_context(
                        instance=instance, cursor=cursor, repository_def=repository, sensor_name=sensor.name
                    ) as context:
                        cursor = sensor.evaluate_tick(context).cursor
                    if look:
                        spent[name] += time.process_time() - began
    every = {"changes": SECONDS, "metric_partitions": SECONDS, "points_after_sync": 15}
    minute = sum(seconds * 60 / every[name] for name, seconds in spent.items())
    return {
        "pages": count,
        "cpu_seconds_to_load": round(loaded, 2),
        "cpu_ms_a_look": {name: round(seconds * 1000 / count, 1) for name, seconds in spent.items()},
        "cpu_seconds_a_minute_idle": round(minute, 2),
        "cores": round(minute / 60, 3),
    }


def main() -> int:
    """Measure each number of pages in a process of its own, and print a line of JSON for each."""
    if len(sys.argv) == 4 and sys.argv[2].startswith("http"):
        print(json.dumps(measured(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))))
        return 0
    server = subprocess.Popen(
        [sys.executable, "-m", "cachet_dagster.demo", "--port", "0", "--incidents", "100", "--components", "20",
         "--metrics", "5"],
        stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        url = next(word for word in server.stdout.readline().split() if word.startswith("http")).rstrip(".,")
        for count in map(int, sys.argv[1:] or ("1", "10", "100")):
            with tempfile.TemporaryDirectory(prefix="cachet-bench-") as folder:
                command = [sys.executable, "-m", "benchmarks.pages", str(count), url, folder]
                subprocess.run(command, check=True)
    finally:
        server.terminate()
        server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
