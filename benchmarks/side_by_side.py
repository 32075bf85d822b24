"""aiconfigurator 0.12 and the planner on the same measured runs.

Its predictions are in $PLANNER_SHARED_DATA/data/silicon_row_notes.csv, by a row's id, made from corrected columns.
"""

import csv

import numpy as np
from published import DATA, Array

from planner.calibration.ledger import Ledger

NOTES = DATA / "silicon_row_notes.csv"
COLUMNS = {"tpot_mean_s": "aiconfigurator_tpot_ms", "ttft_mean_s": "aiconfigurator_ttft_ms"}
NAMES = {"tpot_mean_s": "TPOT", "ttft_mean_s": "TTFT"}


def theirs(ledger: Ledger, column: str) -> Array:
    """Return a prediction of aiconfigurator for each run [s]; NaN where it has none."""
    with NOTES.open(encoding="utf-8", newline="") as file:
        found = {row["id"]: float(row[column] or "nan") / 1e3 for row in csv.DictReader(file)}
    return np.asarray([found.get(run, np.nan) for run in ledger.bench.ids])


def table(ledger: Ledger) -> list[str]:
    """Return the errors of both on the runs that aiconfigurator answers, and the planner's on all."""
    out = ["| metric | predicted by | runs | share | median error | mean |", "| --- | --- | --- | --- | --- | --- |"]
    for metric, column in COLUMNS.items():
        measured, ours, other = ledger.bench.measured[metric], ledger.predicted[metric], theirs(ledger, column)
        answered, total = np.isfinite(other) & np.isfinite(measured), np.isfinite(measured).sum()
        for name, predicted, use in (
            ("aiconfigurator 0.12", other, answered),
            ("planner, the same runs", ours, answered),
            ("planner, all runs", ours, np.isfinite(measured)),
        ):
            known = use & np.isfinite(predicted)
            error = np.abs(predicted / measured - 1.0)[known]
            share, middle, mean = error.size / total, np.median(error), np.mean(error)
            out.append(f"| {NAMES[metric]} | {name} | {error.size:,} | {share:.1%} | {middle:.1%} | {mean:.1%} |")
    return out
