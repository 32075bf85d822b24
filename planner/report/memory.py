"""What people read of a memory plan: one deployment by quantity, several as rows, a start-up log beside its plan."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from planner.loadtest.startup_log import StartupLog
from planner.report.page import Column, Rank, Section, Table
from planner.wording import count, significant

Plan = Mapping[str, Any]
_GIB = float(2**30)


def gib(value: float | None) -> str:
    """Return bytes in GiB, as engines print them.

    >>> gib(85899345920.0), gib(-1.5 * 2**30), gib(None)
    ('80.00 GiB', '-1.50 GiB', '–')
    """
    return "–" if value is None else f"{value / _GIB:,.2f} GiB"


def _billions(value: float | None) -> str:
    return "–" if value is None else f"{significant(value / 1e9)} B"


def _bytes(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f} B"


def _times(value: float | None) -> str:
    return "–" if value is None else f"{value:,.2f}"


def yes_no(value: bool | None) -> str:  # noqa: FBT001 - the value itself
    """Return a truth value in words."""
    return "–" if value is None else "yes" if value else "no"


_LINES: Mapping[str, tuple[str, Callable[[Any], str]]] = {
    "parameters": ("parameters", _billions),
    "active_parameters": ("active parameters", _billions),
    "weights_bytes_per_gpu": ("weights per GPU", gib),
    "activation_bytes_per_gpu": ("activations per GPU", gib),
    "other_bytes_per_gpu": ("other memory per GPU", gib),
    "cache_bytes_per_gpu": ("KV cache per GPU", gib),
    "kv_bytes_per_token": ("KV cache per token", _bytes),
    "cache_tokens": ("KV cache, tokens", count),
    "max_concurrency_at_max_model_len": ("longest requests at once", _times),
    "longest_context_tokens": ("longest request, tokens", count),
}
"""Result -> what it is called, and how it is printed."""


def name_of(plan: Plan) -> str:
    """Return a deployment in words, e.g. llama-3.1-8b (bf16) on 2 × h100-sxm, TP2, vllm 0.33.0."""
    degrees = (("TP", "tensor"), ("PP", "pipeline"), ("DP", "data"), ("EP", "expert"))
    sizes = [f"{short}{plan[f'{name}_parallel']}" for short, name in degrees if (plan.get(f"{name}_parallel") or 1) > 1]
    engine = " ".join(str(plan[name]) for name in ("engine", "engine_version") if plan.get(name))
    return ", ".join(
        [f"{plan['model']} ({plan['precision']}) on {count(plan['gpus'])} × {plan['gpu']}", *sizes, engine]
    )


def one_plan(plan: Plan) -> Section:
    """Return a deployment, a line for each quantity."""
    names = [title for title, _ in _LINES.values()]
    values = [show(plan[name]) for name, (_, show) in _LINES.items()]
    columns = [Column("quantity", names, Rank.KEY, text=True), Column("planned", values, Rank.ANSWER)]
    return Section(verdict=[_verdict(plan)], table=Table(columns), notes=[_COUNTED])


def _verdict(plan: Plan) -> str:
    return f"{name_of(plan)}: {'starts' if plan['starts'] else 'does not start: ' + str(plan['why'])}"


_COUNTED = (
    "Tokens and requests are counted as vLLM's start-up log does, every request at the longest length; in the steady "
    "state requests hold what they have generated so far, so more run at once (`planner estimate`)."
)


def plans(rows: Sequence[Plan]) -> Section:
    """Return several deployments, a row each."""

    def cells(name: str, show: Callable[[Any], str]) -> list[str]:
        return [show(row[name]) for row in rows]

    reasons = [str(row["error"] or row["why"] or "") for row in rows]
    columns = [
        Column("GPU", [str(row.get("gpu") or "–") for row in rows], Rank.KEY, text=True),
        Column("GPUs", cells("gpus", count), Rank.KEY),
        Column("starts", cells("starts", yes_no), Rank.ANSWER),
        Column("weights/GPU", cells("weights_bytes_per_gpu", gib), Rank.NUMBER),
        Column("cache/GPU", cells("cache_bytes_per_gpu", gib), Rank.NUMBER),
        Column("cache tokens", cells("cache_tokens", count), Rank.NUMBER),
        Column("longest request", cells("longest_context_tokens", count), Rank.ANSWER),
        Column("why not", reasons, Rank.ANSWER, text=True),
    ]
    names = ("model", "precision", "engine", "engine_version")
    model, precision, *engine = (sorted({str(row[name]) for row in rows if row.get(name)}) for name in names)
    if len(model) > 1:
        columns.insert(0, Column("model", [str(row.get("model")) for row in rows], Rank.KEY, text=True))
        return Section(table=Table(columns))
    formats = f" ({precision[0]})" if len(precision) == 1 else ""
    on = " ".join(name[0] for name in engine if len(name) == 1)
    return Section(verdict=[f"{model[0]}{formats}, {on or 'several engines'}"], table=Table(columns))


def beside_log(plan: Plan, log: StartupLog) -> Section:
    """Return a plan beside what its engine logged, line by line."""
    names = [name for name in _LINES if name in log.logged]
    logged = [log.logged[name] for name in names]
    ratios = [
        plan[n] / one.value if one.value and plan[n] is not None else None for n, one in zip(names, logged, strict=True)
    ]
    columns = [
        Column("quantity", [_LINES[name][0] for name in names], Rank.KEY, text=True),
        Column("planned", [_LINES[name][1](plan[name]) for name in names], Rank.ANSWER),
        Column("logged", [_LINES[n][1](one.value) for n, one in zip(names, logged, strict=True)], Rank.ANSWER),
        Column("ratio", [_times(ratio) for ratio in ratios], Rank.NUMBER),
        Column("line", [count(one.line) for one in logged], Rank.SOURCE),
    ]
    return Section(verdict=[_verdict(plan)], table=Table(columns), notes=[_COUNTED])
