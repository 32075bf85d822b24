"""What explains two pools: the formulas of one pool, those that differ, and those of a reader's own layout."""

import re
from collections.abc import Mapping
from dataclasses import fields
from functools import cache

import numpy as np

from planner.explain.formulas import Formula, formulas
from planner.fleet.result import EstimateDetail, TwoPools
from planner.serving.cases import Cases
from planner.serving.power import busy_power_of
from planner.serving.steady_state import QUANTILES, waits
from planner.serving.step import step_terms

READER = "reading."
"""What the names of a reader's quantities start with."""
_NAME = re.compile(r"[A-Za-z_][\w.]*")


@cache
def pool_formulas() -> dict[str, Formula]:
    """Return the formulas by name: `layout` is that of a writer, and each of a layout stands once more for a reader."""
    plain = formulas()
    own = {name for name in _below("costs.", plain) if _has_layout(name, plain)}

    def renamed(found: re.Match[str]) -> str:
        name = found.group()
        return READER + name if name in own else "prefill_" + name if name.startswith("layout.") else name

    readers = {n: Formula(READER + n, _NAME.sub(renamed, plain[n].expression), plain[n].why) for n in sorted(own)}
    return plain | {f.name: f for f in readers.values()} | formulas("explain/formulas_pools.csv")


def _below(start: str, known: Mapping[str, Formula]) -> set[str]:
    """Return the formulas whose name starts so, and those that they use."""
    left, found = [name for name in known if name.startswith(start)], set()
    while left:
        name = left.pop()
        found.add(name)
        left += [n for n in _NAME.findall(known[name].expression) if n in known and n not in found]
    return found


def _has_layout(name: str, known: Mapping[str, Formula]) -> bool:
    """Return whether a quantity depends on the layout of a replica."""
    used = _NAME.findall(known[name].expression) if name in known else []
    return any(n.startswith("layout.") or _has_layout(n, known) for n in used if n != name)


def pool_values(cases: Cases, work: EstimateDetail, pools: TwoPools) -> dict[str, float]:
    """Return the quantities of a single case that only two pools have, by the names the formulas use."""
    reader = pools.reader
    values = {f"{READER}costs.{f.name}": getattr(reader.costs, f.name) for f in fields(reader.costs)}
    watts = (pools.reading_power_w, pools.writing_power_w)
    for name, pool, power in zip(("reading", "writing"), (pools.reading, pools.writing), watts, strict=True):
        values |= {
            f"{name}.answers_per_s": pool.answers_per_s,
            f"{name}.spare_replicas": pool.fleet.spare_replicas,
            f"{name}.units_billed": pool.fleet.nodes,
            f"{name}.gpus": pool.fleet.gpus,
            f"{name}.billed_gpus": pool.billed_gpus,
            f"{name}.gpu_power_w": power,
        }
    full = step_terms(reader.costs, np.zeros_like(reader.token_budget), reader.token_budget)
    values |= {
        "reading.load_share": pools.share,
        "reading.most_answers_per_s": pools.most_answers_per_s,
        "reading.prefill_work_s": pools.shown.prefill_work_s,
        "reading.full_step_s": full.total_s,
        "reading.memory_share": full.memory_share,
        "reading.compute_share": full.compute_share,
        "reading.full_power_w": busy_power_of(cases, full),
        "reading.step_s": pools.shown.step_s,
        "transfer_s": pools.transfer_s,
        "both_busy_power_w": work.busy_power_w,
    }
    queue = waits(reader, pools.shown)[0]
    values |= {f"shown.prefill_wait_{p}_s": queue.quantile_s(q) for p, q in QUANTILES.items()}
    return {name: float(value) for name, value in values.items()}
