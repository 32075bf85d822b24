"""What people read of an option: each quantity with one name, one form and its importance, for every table."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from planner.options.option import Option
from planner.report.page import Column, Rank
from planner.wording import count, money, seconds, share, significant, times


def layout(option: Option) -> str:
    """Return the layout of a replica, e.g. TP8 or DP16+EP; with two pools, how many replicas of each pool as well."""
    if option.tensor_parallel is None:
        return "as measured" if option.gpus_per_replica else "–"
    if option.prefill_tensor_parallel is None:
        return sizes(option)
    pools = (("P", "prefill_replicas", sizes(option, "prefill_")), ("D", "replicas", sizes(option)))
    return " + ".join(f"{name} " + (f"{option[n]}×" if option[n] else "") + sizes for name, n, sizes in pools)


def sizes(option: Option, pool: str = "") -> str:
    """Return the sizes of a replica's layout, of the pool whose fields start with `pool`."""
    parts = [
        f"{name}{option[f'{pool}{key}']}"
        for name, key in (("TP", "tensor_parallel"), ("PP", "pipeline_parallel"), ("DP", "data_parallel"))
        if option[f"{pool}{key}"] > 1
    ]
    return ("·".join(parts) or "TP1") + ("+EP" if option[f"{pool}expert_parallel"] > 1 else "")


class Quantity(NamedTuple):
    """A quantity of an option as tables show it."""

    title: str
    show: Callable[[Option], str]
    rank: Rank = Rank.NUMBER
    text: bool = False


def _named(field: str) -> Callable[[Option], str]:
    return lambda option: option[field] or "–"


def _number(words: Callable[[float | None], str], field: str) -> Callable[[Option], str]:
    return lambda option: words(option[field])


def _digits(value: float | None) -> str:
    return "–" if value is None else significant(value)


_QUANTITIES = (
    Quantity("GPU", _named("gpu"), Rank.KEY, text=True),
    Quantity("best option", lambda option: f"{count(option.gpus)} × {option.gpu}", Rank.KEY),
    Quantity("engine", _named("engine"), Rank.DETAIL, text=True),
    Quantity("weights", _named("precision"), Rank.DETAIL, text=True),
    Quantity("layout", layout, Rank.TEXT, text=True),
    Quantity("GPUs", _number(count, "gpus"), Rank.ANSWER),
    Quantity("offer", lambda option: option.offer or "no price", Rank.TEXT, text=True),
    Quantity("$/GPU-h", _number(money, "usd_per_gpu_hour"), Rank.MONEY),
    Quantity("$/month", _number(money, "cost_usd_per_month"), Rank.ANSWER),
    Quantity("$/answer", _number(money, "cost_usd_per_answer"), Rank.MONEY),
    Quantity("used $/answer", _number(money, "cost_usd_per_answer_used"), Rank.MONEY),
    Quantity("$/correct answer", _number(money, "cost_usd_per_correct_answer"), Rank.MONEY),
    Quantity("$/M output tokens", _number(money, "cost_usd_per_mtok_output"), Rank.MONEY),
    Quantity("tokens generated", _number(count, "generated_tokens_per_answer")),
    Quantity("GPU-seconds/answer", _number(seconds, "gpu_seconds_per_answer")),
    Quantity("tokens, thinking", _number(times, "reasoning_multiplier")),
    Quantity("GPU time, thinking", _number(times, "gpu_time_multiplier")),
    Quantity("used", _number(share, "utilization"), Rank.DETAIL),
    Quantity("TTFT p95", _number(seconds, "ttft_p95_s")),
    Quantity("TPOT p95", _number(seconds, "tpot_p95_s")),
    Quantity("first visible p95", _number(seconds, "time_to_answer_p95_s"), Rank.DETAIL),
    Quantity("end to end p95", _number(seconds, "e2e_p95_s"), Rank.DETAIL),
    Quantity("Wh/answer", _number(_digits, "energy_wh_per_answer")),
    Quantity("binds", _named("limit"), Rank.TEXT, text=True),
    Quantity("meets the SLO", lambda option: "yes" if option.meets_slo else f"no ({option.limit})"),
)
_BY_TITLE = {quantity.title: quantity for quantity in _QUANTITIES}
OPTIONS = (
    "GPU", "engine", "weights", "layout", "GPUs", "offer", "$/GPU-h", "$/month", "$/answer", "used $/answer", "used",
    "TTFT p95", "TPOT p95", "first visible p95", "binds",
)  # fmt: skip
"""What the options of one question are shown by."""
COMPARED = (
    "best option", "weights", "layout", "offer", "$/month", "$/answer", "used $/answer", "$/correct answer",
    "$/M output tokens", "tokens generated", "GPU-seconds/answer", "tokens, thinking", "GPU time, thinking", "used",
    "TTFT p95", "TPOT p95", "first visible p95", "end to end p95", "Wh/answer", "meets the SLO",
)  # fmt: skip
"""What the best options of several questions are compared by."""


def columns_of(rows: Sequence[Option], titles: Sequence[str]) -> list[Column]:
    """Return columns of some options by their titles."""
    shown = [_BY_TITLE[title] for title in titles]
    return [Column(q.title, [q.show(row) for row in rows], q.rank, q.text) for q in shown]
