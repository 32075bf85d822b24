"""The story of one answer in a few lines, and the rows worth showing: shared by the table and Markdown."""

from collections.abc import Callable
from typing import Any

from planner.options.answer import Answer
from planner.options.intervals import unseen_of
from planner.options.ranking import Row
from planner.report.headline import UNSEEN, headline
from planner.report.quantities import offer, sizes
from planner.wording import count, money, plural, seconds, share, significant, times


def best_per_gpu(answer: Answer) -> list[Row]:
    """Return the best working option of each GPU, best first."""
    seen: dict[str, Row] = {}
    for row in answer.results:
        if row["meets_slo"]:
            seen.setdefault(row["gpu"], row)
    return list(seen.values())


def refused(answer: Answer) -> dict[str, list[str]]:
    """Return limit -> GPUs of which no option works."""
    working = {row["gpu"] for row in answer.results if row["meets_slo"]}
    why: dict[str, str] = {}
    for row in answer.results:
        if row["gpu"] not in working:
            why.setdefault(row["gpu"], row["limit"])
    grouped: dict[str, list[str]] = {}
    for gpu, limit in why.items():
        grouped.setdefault(limit, []).append(gpu)
    return grouped


def question(answer: Answer) -> str:
    """Return the question in one line."""
    row = answer.best
    if row["answers_per_month"] is None or row["input_tokens_per_answer"] is None:
        return f"{row['model']} at measured rates"
    tokens = (
        f"{count(row['input_tokens_per_answer'])} input tokens, {count(row['answer_tokens_per_answer'])} answer tokens"
    )
    thinking = f" × {significant(row['reasoning_multiplier'])}" if row["reasoning_multiplier"] > 1.0 else ""
    return (
        f"{row['model']}: {count(row['answers_per_month'] * 24 / 730)} answers a day, {tokens}{thinking}; "
        f"{count(row['generated_tokens_per_answer'])} generated in all"
    )


def verdict(answer: Answer) -> list[str]:
    """Return what the best option is and costs, and what thinking costs."""
    row, lines = answer.best, headline(answer)
    if not row["meets_slo"]:
        return lines
    if row["replicas"] is not None:
        lines.append(
            f"{_replicas(row)}; "
            f"{share(row['utilization'])} of the GPU-hours are used, "
            f"{money(row['cost_usd_per_answer_used'])} an answer on used hours alone"
        )
    elif row["nodes_mean"] is not None:
        lines.append(
            f"{row['nodes_mean']:,.1f} nodes on average, {count(row['nodes'])} at the peak; "
            f"{money(row['cost_usd_per_month'] * 24 / 730)} a day"
        )
    if row["cost_usd_per_mtok_output"] is not None:
        lines.append(
            f"{money(row['cost_usd_per_mtok_input'])} per million input tokens, "
            f"{money(row['cost_usd_per_mtok_output'])} per million output tokens"
        )
    if row["cost_usd_per_correct_answer"] is not None:
        lines.append(
            f"{money(row['cost_usd_per_correct_answer'])} per correct answer at {share(row['accuracy'])} accuracy"
        )
    if row["gpu_time_multiplier"] is not None and row["reasoning_multiplier"] > 1.0:
        lines.append(
            f"thinking: {times(row['reasoning_multiplier'])} the tokens, {times(row['gpu_time_multiplier'])} "
            f"the GPU time and used dollars, {times(row['energy_multiplier'])} the energy of the same answers without "
            f"it, on the same machines (`planner thinking` says why)"
        )
    if row["power_kw"] is not None:
        per_answer = f", {significant(row['energy_wh_per_answer'])} Wh an answer" if row["energy_wh_per_answer"] else ""
        lines.append(
            f"{significant(row['power_kw'])} kW at the meter{per_answer}, "
            f"{count(row['co2e_kg_per_month'])} kg CO2e a month"
        )
    return [*lines, *_interval(answer)]


def all_models(row: Row) -> str:
    """Return what all models of a router come to."""
    name = f"{row['scenario']}, all models together"
    if row["cost_usd_per_month"] is None:
        return f"{name}: no price, or no options that all of them can use"
    per_answer = f", {money(row['cost_usd_per_answer'])} an answer" if row["cost_usd_per_answer"] is not None else ""
    machine = f"{count(row['gpus'])} × {row['gpu']}" if row["gpu"] else plural(row["gpus"], "GPU")
    seller = f" from {offer(row)}" if row["provider"] else ""
    return f"{name}: {machine}{seller}, {money(row['cost_usd_per_month'])} a month{per_answer}"


def _replicas(row: Row) -> str:
    """Return how many replicas of what; of two pools those of both."""
    spare, size = row["spare_replicas"], plural(row["gpus_per_replica"], "GPU")
    on = f"{row['precision']}, {row['engine']}"
    if row["prefill_replicas"] is None:
        return f"{plural(row['replicas'], 'replica')} + {count(spare)} spare of {size} ({sizes(row)}, {on})"
    prefill = f"{count(row['prefill_replicas'])} × {plural(row['prefill_gpus_per_replica'], 'GPU')}"
    decode = f"{count(row['replicas'])} × {size} ({sizes(row)})"
    return f"prefill {prefill} ({sizes(row, 'prefill_')}), decode {decode}, {count(spare)} spare ({on})"


def _interval(answer: Answer) -> list[str]:
    """Return the interval of the best option, where one was asked for, and what of it was not among measured runs."""
    row = answer.best
    if "gpus_p10" not in row:
        return []
    if answer.scenario.spec.measured_rates is not None:
        return ["no interval: the rates are measured"]
    if answer.scenario.spec.fleet.speculative_tokens > 0:
        return ["no interval: no run with speculative decoding was measured"]
    if row["ttft_p95_s_p10"] is None:
        return [f"no interval: the file of {row['engine']} records no prediction errors"]
    parts = [
        f"{_range(row, name, show)} {words}"
        for name, show, words in (
            ("gpus", count, "GPUs"),
            ("cost_usd_per_month", money, "a month"),
            ("ttft_p95_s", seconds, "TTFT p95"),
            ("tpot_p95_s", seconds, "TPOT p95"),
        )
        if row[f"{name}_p10"] is not None
    ]
    slow = "; at the slow end no fleet meets the limits" if row["gpus_p90"] is None else ""
    kinds = [UNSEEN[kind] for kind in unseen_of(answer, answer.options[0])]
    why = f"; not among the measured runs: its {' and '.join(kinds)}" if kinds else ""
    return [f"80 % interval: {', '.join(parts)}{slow}{why}"]


def _range(row: Row, name: str, show: Callable[[Any], str]) -> str:
    low, high = show(row[f"{name}_p10"]), row[f"{name}_p90"]
    return f"at least {low}" if high is None else f"{low} to {show(high)}"


def footnotes(answer: Answer) -> list[str]:
    """Return what the table leaves out."""
    shown, working = best_per_gpu(answer), sum(bool(r["meets_slo"]) for r in answer.results)
    notes = []
    if working > len(shown):
        notes.append(f"{working:,} options work; the best of each GPU is shown (--all shows every one)")
    notes += [
        f"cannot meet the SLO ({limit or 'unknown'}): {', '.join(gpus)}" for limit, gpus in refused(answer).items()
    ]
    overrides = list(answer.scenario.spec.overrides) if answer.scenario.override is None else []
    if overrides:
        notes.append(f"variants in this file (--override NAME): {', '.join(overrides)}")
    notes.append("a month is 730 h; costs are of the reserved fleet unless they say used")
    return notes
