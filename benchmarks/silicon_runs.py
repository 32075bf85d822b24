"""Print the measured runs inside aiconfigurator-core, cleaned, as a CSV that `planner calibrate` reads.

pip install 'aiconfigurator-core>=0.12'
python benchmarks/silicon_runs.py > runs.csv
planner calibrate runs.csv --start textbook

docs/silicon.md says how the runs are cleaned and what each column holds.
"""

import argparse
from collections.abc import Sequence

from silicon.read import benchmark_rows, read_silicon

from planner.documents import csv_table


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the recommended aggregated runs; `arguments` are those of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args(arguments)
    rows = benchmark_rows(read_silicon())
    print(csv_table.write(list(rows[0]), [list(row.values()) for row in rows]), end="")


if __name__ == "__main__":
    main()
