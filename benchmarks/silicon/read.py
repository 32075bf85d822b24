"""The measurements inside the package aiconfigurator-core, read and cleaned by the rules of docs/silicon.md."""

import csv
import dataclasses
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path

from planner.catalog.catalog import Catalog
from planner.errors import BadInputError, DataMissingError
from silicon.flags import add_flags
from silicon.roofline import below_rooflines
from silicon.row import COLUMNS, SiliconRow
from silicon.rules import UNIFORM_FROM, row_of, with_duplicates

__all__ = ["SiliconRow", "benchmark_rows", "read_silicon", "silicon_path"]

PACKAGE = "aiconfigurator_core"


def silicon_path() -> Path:
    """Return where the installed package keeps the measurements. Raises DataMissingError where it is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise DataMissingError(
            "the package aiconfigurator-core, which holds the measurements, is not installed; "
            "expected it after: pip install 'aiconfigurator-core>=0.12'"
        )
    return Path(found.submodule_search_locations[0]) / "systems" / "silicon_sample.csv"


def read_silicon(path: Path | None = None, catalog: Catalog | None = None) -> list[SiliconRow]:
    """Return every row of the file with its cleaned columns, fixes and flags, in the file's order.

    Parameters
    ----------
    path : the file; by default the one of the installed package.
    catalog : models and GPUs of the roofline; by default the shipped ones.

    Raises
    ------
    DataMissingError : the package or the file is missing.
    BadInputError : the file has other columns, or a number does not read.
    """
    source = path or silicon_path()
    if not source.is_file():
        raise DataMissingError(
            "has no silicon_sample.csv; expected aiconfigurator-core 0.12 or newer", where=source.name
        )
    with source.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise BadInputError(f"has no column {missing[0]!r}; expected the columns of 0.12", where=source.name)
        raw = list(reader)
    return clean(raw, catalog or Catalog(), where=source.name)


def clean(raw: Sequence[Mapping[str, str]], catalog: Catalog, *, where: str = "") -> list[SiliconRow]:
    """Return the cleaned rows of the file's rows: every rule, in the order the rules need one another."""
    rows: list[SiliconRow] = []
    for number, row in enumerate(raw, start=2):
        try:
            rows.append(row_of(row))
        except (ValueError, KeyError) as error:
            raise BadInputError(f"row {row.get('id')!r} does not read: {error}", where=f"{where}:{number}") from None
    rows = with_duplicates(rows)
    return add_flags(rows, below_rooflines(rows, catalog))


def benchmark_rows(rows: Sequence[SiliconRow]) -> list[dict[str, str]]:
    """Return the recommended aggregated rows as rows of `planner predict`, with what was measured.

    Lengths are the means. Output tokens per second and GPU are not in the file; in a closed loop they follow from
    Little's law: concurrency x G / (TTFT + (G - 1) TPOT) / GPUs, G the mean output length. Where the TTFT is not
    trusted, it and the throughput are left blank.
    """
    return [_benchmark_row(row) for row in rows if row.recommended and row.mode == "agg"]


def _benchmark_row(row: SiliconRow) -> dict[str, str]:
    numbers: dict[str, float | None] = {
        "tensor_parallel": row.tensor_parallel,
        "pipeline_parallel": row.pipeline_parallel,
        "data_parallel": row.data_parallel or 1,
        "expert_parallel": row.expert_parallel,
        "gpus": row.gpus,
        "input_tokens": row.input_tokens_mean,
        "output_tokens": row.output_tokens_mean,
        "concurrency": row.concurrency,
        "length_spread": 0.0 if row.source == "vendor" else 1.0 - UNIFORM_FROM,
        "measured_ttft_mean_s": row.ttft_s if row.recommended_ttft else None,
        "measured_tpot_mean_s": row.tpot_s,
        "measured_output_tokens_per_s_per_gpu": row.output_tokens_per_s_per_gpu if row.recommended_ttft else None,
    }
    names = ("id", "model", "gpu", "engine", "engine_version", "precision", "kv_precision")
    texts = {name: str(value) for name, value in dataclasses.asdict(row).items() if name in names}
    return {name: texts[name] for name in names} | {k: "" if v is None else f"{v:.10g}" for k, v in numbers.items()}
