"""What one row of 14 columns costs in the journal, beside csv.writer and PyMeasure's CSV path, in the same run.

    python benchmarks/journal_cost.py [rows]

Rounds of all paths alternate and the fastest round of each counts: the machine's mood falls on all of them alike.
"""

import csv
import math
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter  # noqa: TID251

from pymeasure.experiment import Procedure
from pymeasure.experiment.results import CSVFormatter
from remanence.core.records import Column, Footer, Header, Outcome, Row
from remanence.storage import CsvMirror, Journal, read_run

NAMES = [f"column_{i}_V" for i in range(14)]
HEADER = Header(
    "0190", "lab.Hall", {}, tuple(Column(name, "voltage", "V") for name in NAMES), "dry", "rig", "sample", True,
    "2026-01-01T00:00:00+00:00", 1767225600.0, 0.0, {},
)  # fmt: skip


class Hall(Procedure):
    DATA_COLUMNS = NAMES


def made_rows(count: int) -> list[Row]:
    noise = random.Random(1)
    return [Row(n, n * 0.1, 1767225600.0 + n * 0.1, tuple(noise.gauss(0, 1) for _ in NAMES)) for n in range(count)]


def journal(path: Path, rows: list[Row]) -> float:
    with Journal(path) as kept:
        kept.head(HEADER)
        start = perf_counter()
        for row in rows:
            kept.row(row)
        spent_s = perf_counter() - start
        kept.end(Footer(Outcome.COMPLETED, len(rows)), 0.0, 0.0)
    return spent_s


def mirror(path: Path, rows: list[Row]) -> float:
    with CsvMirror(path, "lab.Hall", [], NAMES) as kept:
        start = perf_counter()
        for row in rows:
            kept.row(row)
        return perf_counter() - start


def csv_writer(path: Path, rows: list[Row]) -> float:
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        start = perf_counter()
        for row in rows:
            writer.writerow(row.values)
            file.flush()
        return perf_counter() - start


def pymeasure_csv(path: Path, rows: list[Row]) -> float:
    """What pymeasure's Worker does per row: a dict, CSVFormatter, a flushed line; its thread and queue left out."""
    formatter = CSVFormatter(columns=NAMES)
    with path.open("w") as file:
        start = perf_counter()
        for row in rows:
            file.write(formatter.format(dict(zip(NAMES, row.values, strict=True))) + "\n")
            file.flush()
        return perf_counter() - start


PATHS: dict[str, Callable[[Path, list[Row]], float]] = {
    "journal (CRC, number, synced within 50 ms)": journal,
    "CSV mirror": mirror,
    "csv.writer, flushed per row": csv_writer,
    "pymeasure CSVFormatter, flushed per row": pymeasure_csv,
}


def main() -> None:
    rows = made_rows(int(sys.argv[1]) if len(sys.argv) > 1 else 21_000)
    best_s = dict.fromkeys(PATHS, math.inf)
    read_s = math.inf
    with tempfile.TemporaryDirectory() as folder:
        for round_number in range(5):
            for name, write in PATHS.items():
                path = Path(folder) / f"{round_number} {name.split()[0]} {len(name)}"
                best_s[name] = min(best_s[name], write(path, rows))
                if write is journal:
                    start = perf_counter()
                    assert len(read_run(path).frame) == len(rows)
                    read_s = min(read_s, perf_counter() - start)
                path.unlink()
    floor_s = best_s["csv.writer, flushed per row"]
    print(f"{len(rows)} rows of {len(NAMES)} columns, fastest of 5 rounds")
    for name, spent_s in best_s.items():
        print(f"{spent_s / len(rows) * 1e6:7.2f} µs/row  {spent_s / floor_s:5.2f} × csv.writer  {name}")
    print(f"{read_s:7.3f} s to read the journal back and check every line")


if __name__ == "__main__":
    main()
