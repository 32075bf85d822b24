"""The result fields: each with its unit, its meaning, and how its values are printed and combined.

A result field is one line here (and its formula): `Estimate` holds it as an array over cases, `Option` as the value of
one option, and the columns of CSV, JSON, tables, `planner schema --columns` and `--interval` follow.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from planner.serving.slo import LIMITS

Number = TypeVar("Number")
Flag = TypeVar("Flag")
Word = TypeVar("Word")

DIMENSIONLESS = "1"
"""The unit of shares and ratios; beside a number it is not shown."""


class Column(NamedTuple):
    """A result field as `planner schema --columns` and the output formats know it."""

    unit: str
    meaning: str
    whole: bool = False
    """Whether it counts things, and is printed as an integer."""
    models: Literal["", "sum", "mean", "same"] = ""
    """In the row of all models of a router: their sum, their mean by answers, or their value where it is the same."""
    interval: Literal["", "ttft", "tpot", "rises", "falls"] = ""
    """With --interval: scaled by the errors of that latency, or solved again: rises or falls on a slower machine."""
    since: int = 1
    """The release of the list of columns that appended it; columns are only ever appended."""


def result(unit: str, meaning: str, **options: Any) -> Any:  # noqa: ANN401 - a dataclass field stands for its value
    """Return the dataclass field of a result; `options` are the further fields of `Column`."""
    return dataclasses.field(metadata={"column": Column(unit, meaning, **options)})


def columns_of(results: type) -> dict[str, Column]:
    """Return field -> column of a dataclass, in the order of the output: each release appends to the one before."""
    found = {f.name: f.metadata["column"] for f in dataclasses.fields(results) if "column" in f.metadata}
    return dict(sorted(found.items(), key=lambda item: item[1].since))


@dataclass(frozen=True, eq=False)
class Results(Generic[Number, Flag, Word]):
    """The results of all cases, as arrays (`Estimate`), or of one option, as values (`Option`).

    Latencies are those of the peak; where no load meets the SLO, those of an idle replica: the best attainable.
    """

    gpus_per_replica: Number = result("GPUs", "TP x PP x DP; with two pools, of a decode replica", whole=True)
    fits: Flag = result("", "TRUE where weights and cache find room")
    meets_slo: Flag = result("", "TRUE where the option fits and meets the SLO and max_gpus")
    limit: Word = result("", f"What binds the load of a replica or fails: {' '.join(LIMITS[1:])}")
    replicas: Number = result(
        "replicas", "Needed at the peak with headroom; with two pools, decode replicas", whole=True, interval="rises"
    )
    spare_replicas: Number = result(
        "replicas",
        "Beyond these so that enough are up with the wanted availability; with two pools, of both",
        whole=True,
    )
    nodes: Number = result("nodes", "Nodes or instances billed; empty where sold per GPU", whole=True)
    nodes_mean: Number = result("nodes", "Nodes paid for on average over time; may be fractional")
    gpus: Number = result("GPUs", "GPUs billed at the peak", whole=True, models="sum", interval="rises")
    answers_per_month: Number = result("answers", "Answers in a month of 730 h", models="sum")
    input_tokens_per_answer: Number = result(
        "tokens", "Input tokens of an answer with all its turns; cached ones included", models="mean"
    )
    answer_tokens_per_answer: Number = result("tokens", "Visible answer tokens", models="mean")
    reasoning_multiplier: Number = result("1", "All generated tokens over visible ones before any cut")
    generated_tokens_per_answer: Number = result(
        "tokens",
        "All generated tokens of an answer: turns x samples x visible x multiplier after the cut at max_tokens",
        models="mean",
    )
    truncated_share: Number = result("1", "Share of sequences cut at max_tokens")
    concurrency_per_replica: Number = result(
        "sequences", "Running sequences of a replica at the peak with the spares down"
    )
    max_concurrency_per_replica: Number = result(
        "sequences", "Running sequences that find room in a replica", whole=True
    )
    utilization: Number = result("1", "Used over reserved GPU-hours")
    ttft_p50_s: Number = result("s", "Time to first token of any kind at the peak", interval="ttft")
    ttft_p95_s: Number = result("s", "Time to first token at the 95th percentile", interval="ttft")
    ttft_p99_s: Number = result("s", "Time to first token at the 99th percentile", interval="ttft")
    tpot_p50_s: Number = result(
        "s", "Time per output token after the first: (e2e - ttft)/(output tokens - 1)", interval="tpot"
    )
    tpot_p95_s: Number = result("s", "Time per output token after the first at the 95th percentile", interval="tpot")
    tpot_p99_s: Number = result("s", "Time per output token after the first at the 99th percentile", interval="tpot")
    time_to_answer_p50_s: Number = result("s", "Time to the first visible token after thinking", interval="tpot")
    time_to_answer_p95_s: Number = result(
        "s", "Time to the first visible token at the 95th percentile", interval="tpot"
    )
    time_to_answer_p99_s: Number = result(
        "s", "Time to the first visible token at the 99th percentile", interval="tpot"
    )
    e2e_p50_s: Number = result("s", "Time to the last token", interval="tpot")
    e2e_p95_s: Number = result("s", "Time to the last token at the 95th percentile", interval="tpot")
    e2e_p99_s: Number = result("s", "Time to the last token at the 99th percentile", interval="tpot")
    output_tokens_per_s_per_gpu: Number = result(
        "tokens/s", "Generated tokens per second and GPU of a replica at its SLO capacity", interval="falls"
    )
    gpu_seconds_per_answer: Number = result(
        "s", "GPUs of a replica over its highest answer rate within the SLO", interval="rises"
    )
    gpu_hours_per_month_reserved: Number = result("h", "GPU-hours paid for", models="sum", interval="rises")
    gpu_hours_per_month_used: Number = result(
        "h", "GPU-hours the answers take at SLO capacity", models="sum", interval="rises"
    )
    usd_per_gpu_hour: Number = result("USD/h", "Price of the offer", models="same")
    cost_usd_per_month: Number = result(
        "USD", "What the reserved fleet costs in a month of 730 h", models="sum", interval="rises"
    )
    cost_usd_per_answer: Number = result("USD", "Reserved cost over answers", interval="rises")
    cost_usd_per_answer_used: Number = result(
        "USD", "Cost of the GPU-seconds an answer takes; leaves idle time out", models="mean", interval="rises"
    )
    cost_usd_per_mtok_input: Number = result(
        "USD",
        "Reserved cost of a million input tokens (cached included) by the GPU-seconds of prefill",
        interval="rises",
    )
    cost_usd_per_mtok_output: Number = result(
        "USD", "Reserved cost of a million generated tokens by the GPU-seconds of decode", interval="rises"
    )
    accuracy: Number = result("1", "Share of right answers as the scenario gives it", models="mean")
    cost_usd_per_correct_answer: Number = result("USD", "Reserved cost per answer over accuracy", interval="rises")
    gpu_time_multiplier: Number = result(
        "1", "GPU-seconds of an answer over the same option re-solved without reasoning"
    )
    cost_multiplier: Number = result("1", "Used cost of an answer over the same without reasoning")
    energy_multiplier: Number = result("1", "Energy of an answer over the same without reasoning")
    power_kw: Number = result("kW", "Average power of the facility for this fleet; PUE included", models="sum")
    energy_kwh_per_month: Number = result("kWh", "Energy of the reserved fleet in a month", models="sum")
    energy_wh_per_answer: Number = result("Wh", "Energy of the reserved fleet over answers", interval="rises")
    co2e_kg_per_month: Number = result("kg", "Carbon dioxide equivalent of that energy", models="sum")
    prefill_gpus_per_replica: Number = result(
        "GPUs", "GPUs of a prefill replica; empty with one pool", whole=True, since=2
    )
    prefill_replicas: Number = result(
        "replicas",
        "Prefill replicas needed at the peak with headroom; empty with one pool",
        whole=True,
        since=2,
    )
    longest_context_tokens: Number = result(
        "tokens", "Longest request, input and output, that the cache of a replica holds alone", whole=True, since=3
    )
