"""What makes a row doubtful; a row with any but the harmless flags is not recommended. See docs/silicon.md."""

import dataclasses
import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet

from silicon.row import SiliconRow, contradicts

SPECULATIVE_SINCE = {
    "deepseek-ai/DeepSeek-R1": dt.date(2025, 12, 5),
    "Qwen/Qwen3.5-397B-A17B": dt.date(2026, 3, 20),
}
"""First run with multi-token prediction among the exports, by model: before it there was no such recipe."""
SPECULATIVE_IMAGE = ("trtllm", "1.2.0rc6.post3")
"""An engine version that only recipes with multi-token prediction used."""
_NODE_GPUS = 8
_QUEUE_SHARE = 0.5
_TTFT_FALLS, _TPOT_FALLS = 2.0, 1.25
_FLAT_ROWS, _FLAT_SPAN, _FLAT_TPOT = 5, 4.0, 1.1

Rule = Callable[[SiliconRow], bool]


def add_flags(rows: Sequence[SiliconRow], below: tuple[AbstractSet[str], AbstractSet[str]]) -> list[SiliconRow]:
    """Return the rows with their flags.

    Parameters
    ----------
    rows : with duplicates marked.
    below : ids whose TPOT is below the roofline, and ids of sweeps that do more work than the data sheet allows.
    """
    proven = _in_database(rows)
    ttft, tpot = falling(rows)
    flat, replicas = flat_sweeps(rows), replicated_jobs(rows)
    rules: dict[str, Rule] = {
        "no_conc": lambda r: r.concurrency is None,
        "conc_from_batch": lambda r: r.concurrency is not None and not r.concurrency_stated,
        "dp0": lambda r: r.data_parallel == 0,
        "conc!=batch*dp": contradicts,
        "disagg_no_worker_counts": lambda r: r.mode == "disagg" and r.gpus is None,
        "mtp_possible": lambda r: speculative(r, proven),
        "mtp_certain": lambda r: speculative(r, proven) and (r.engine, r.engine_version) == SPECULATIVE_IMAGE,
        "agg_tp_gt_8(gb200 total-GPU count of a disagg run)": lambda r: (r.tensor_parallel or 0) > _NODE_GPUS,
        "moe_width_gt_tp*dp": wider_experts,
        "dup": lambda r: bool(r.dup_of),
        "ttft_gt_half_e2e(queue-bound)": lambda r: r.ttft_share > _QUEUE_SHARE,
        "ttft_nonmonotone(ttft only)": lambda r: r.id in ttft,
        "tpot_nonmonotone": lambda r: r.id in tpot,
        "tpot_below_SOL": lambda r: r.id in below[0],
        "sweep_below_SOL": lambda r: r.id in below[1],
        "sweep_flat_tpot": lambda r: r.id in flat,
        "job_multireplica": lambda r: r.id in replicas,
    }
    return [dataclasses.replace(r, flags=tuple(name for name, holds in rules.items() if holds(r))) for r in rows]


def wider_experts(row: SiliconRow) -> bool:
    """Return whether the experts are spread over more GPUs than attention is."""
    if row.tensor_parallel is None:
        return False
    experts = (row.moe_tp or 1) * (row.moe_ep or 1)
    return row.data_parallel != 0 and experts > row.tensor_parallel * (row.data_parallel or 1)


def speculative(row: SiliconRow, proven: AbstractSet[tuple[object, ...]]) -> bool:
    """Return whether multi-token prediction may have run: the exports do not say, the database holds only runs without.

    Parameters
    ----------
    proven : keys of the database's rows.
    """
    since = SPECULATIVE_SINCE.get(row.model)
    if row.source != "export" or since is None or row.measured_on is None:
        return False
    return row.measured_on >= since and row.key not in proven


def _in_database(rows: Sequence[SiliconRow]) -> set[tuple[object, ...]]:
    return {row.key for row in rows if row.source == "database"}


def falling(rows: Sequence[SiliconRow]) -> tuple[set[str], set[str]]:
    """Return ids of points (TTFT, TPOT) that lie far above a point of the same sweep at a higher concurrency.

    More load cannot make a server faster: TTFT more than twice, or TPOT more than 1.25 times the least of all
    higher concurrencies is a start-up effect or a disturbed run. Rows that may be speculative are another recipe.
    """
    proven = _in_database(rows)
    sweeps: dict[tuple[object, ...], list[SiliconRow]] = defaultdict(list)
    for row in rows:
        if row.mode == "agg" and row.concurrency and not row.dup_of and not speculative(row, proven):
            layout = (row.tensor_parallel, row.data_parallel, row.moe_tp, row.moe_ep)
            engine = (row.engine, row.engine_version, row.gpu, row.precision)
            sweeps[row.model, *engine, row.isl, row.osl, *layout].append(row)
    ttft: set[str] = set()
    tpot: set[str] = set()
    for sweep in sweeps.values():
        for row in sweep:
            busier = [other for other in sweep if (other.concurrency or 0) > (row.concurrency or 0)]
            if busier and row.ttft_s > _TTFT_FALLS * min(other.ttft_s for other in busier):
                ttft.add(row.id)
            if busier and row.tpot_s > _TPOT_FALLS * min(other.tpot_s for other in busier):
                tpot.add(row.id)
    return ttft, tpot


def flat_sweeps(rows: Sequence[SiliconRow]) -> set[str]:
    """Return ids of vendor sweeps whose TPOT does not answer to load: within 10 % over four times the concurrency."""
    sweeps: dict[str, list[SiliconRow]] = defaultdict(list)
    for row in rows:
        if row.source == "vendor" and row.mode == "agg" and row.concurrency:
            sweeps[row.source_file].append(row)
    flat: set[str] = set()
    for sweep in sweeps.values():
        loads, times = [row.concurrency or 0 for row in sweep], [row.tpot_s for row in sweep]
        if len(sweep) >= _FLAT_ROWS and max(loads) >= _FLAT_SPAN * min(loads) and max(times) <= _FLAT_TPOT * min(times):
            flat.update(row.id for row in sweep)
    return flat


def replicated_jobs(rows: Sequence[SiliconRow]) -> set[str]:
    """Return ids of a vendor's jobs where every aggregated row hides replicas: their disaggregated rows do too."""
    jobs: dict[str, list[SiliconRow]] = defaultdict(list)
    for row in rows:
        if row.job:
            jobs[row.job].append(row)
    hidden: set[str] = set()
    for job in jobs.values():
        together = [row for row in job if row.mode == "agg"]
        if len(together) < len(job) and together and all(contradicts(row) for row in together):
            hidden.update(row.id for row in job)
    return hidden
