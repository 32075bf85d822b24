"""The story of one answer in a few lines, and the rows worth showing: shared by the table and Markdown."""

from collections.abc import Callable
from typing import Any

from planner.options.answer import Answer
from planner.options.intervals import unseen_of
from planner.options.option import Option
from planner.report.headline import UNSEEN, headline
from planner.report.quantities import sizes
from planner.wording import count, money, plural, seconds, share, significant, times


def best_per_gpu(answer: Answer) -> list[Option]:
    """Return the best working option of each GPU, best first."""
    seen: dict[str | None, Option] = {}
    for option in answer.results:
        if option.meets_slo:
            seen.setdefault(option.gpu, option)
    return list(seen.values())


def refused(answer: Answer) -> dict[str, list[str]]:
    """Return why -> GPUs of which no option works: the limit that fails, or why none starts."""
    working = {option.gpu for option in answer.results if option.meets_slo}
    why: dict[str, str] = {}
    for option in answer.results:
        if option.gpu not in working:
            missed = f"cannot meet the SLO ({option.limit or 'unknown'})"
            why.setdefault(str(option.gpu), f"does not start: {option.why}" if option.why else missed)
    grouped: dict[str, list[str]] = {}
    for gpu, limit in why.items():
        grouped.setdefault(limit, []).append(gpu)
    return grouped


def question(answer: Answer) -> str:
    """Return the question in one line."""
    option = answer.best
    if option.answers_per_month is None or option.input_tokens_per_answer is None:
        return f"{option.model} at measured rates"
    tokens = (
        f"{count(option.input_tokens_per_answer)} input tokens, {count(option.answer_tokens_per_answer)} answer tokens"
    )
    thinking = f" × {significant(option.reasoning_multiplier)}" if (option.reasoning_multiplier or 1.0) > 1.0 else ""
    return (
        f"{option.model}: {count(option.answers_per_month * 24 / 730)} answers a day, {tokens}{thinking}; "
        f"{count(option.generated_tokens_per_answer)} generated in all"
    )


def verdict(answer: Answer) -> list[str]:
    """Return what the best option is and costs, and what thinking costs."""
    option, lines = answer.best, headline(answer)
    if not option.meets_slo:
        return lines
    if option.replicas is not None:
        lines.append(
            f"{_replicas(option)}; "
            f"{share(option.utilization)} of the GPU-hours are used, "
            f"{money(option.cost_usd_per_answer_used)} an answer on used hours alone"
        )
    elif option.nodes_mean is not None:
        per_day = None if option.cost_usd_per_month is None else option.cost_usd_per_month * 24 / 730
        lines.append(
            f"{option.nodes_mean:,.1f} nodes on average, {count(option.nodes)} at the peak; {money(per_day)} a day"
        )
    if option.cost_usd_per_mtok_output is not None:
        lines.append(
            f"{money(option.cost_usd_per_mtok_input)} per million input tokens, "
            f"{money(option.cost_usd_per_mtok_output)} per million output tokens"
        )
    if option.cost_usd_per_correct_answer is not None:
        lines.append(
            f"{money(option.cost_usd_per_correct_answer)} per correct answer at {share(option.accuracy)} accuracy"
        )
    if option.gpu_time_multiplier is not None and (option.reasoning_multiplier or 1.0) > 1.0:
        lines.append(
            f"thinking: {times(option.reasoning_multiplier)} the tokens, {times(option.gpu_time_multiplier)} "
            f"the GPU time and used dollars, {times(option.energy_multiplier)} the energy of the same answers without "
            f"it, on the same machines (`planner thinking` says why)"
        )
    if option.power_kw is not None:
        per_answer = f", {significant(option.energy_wh_per_answer)} Wh an answer" if option.energy_wh_per_answer else ""
        lines.append(
            f"{significant(option.power_kw)} kW at the meter{per_answer}, "
            f"{count(option.co2e_kg_per_month)} kg CO2e a month"
        )
    return [*lines, *_interval(answer)]


def all_models(option: Option) -> str:
    """Return what all models of a router come to."""
    name = f"{option.scenario}, all models together"
    if option.cost_usd_per_month is None:
        return f"{name}: no price, or no options that all of them can use"
    per_answer = f", {money(option.cost_usd_per_answer)} an answer" if option.cost_usd_per_answer is not None else ""
    machine = f"{count(option.gpus)} × {option.gpu}" if option.gpu else plural(option.gpus, "GPU")
    seller = f" from {option.offer}" if option.provider else ""
    return f"{name}: {machine}{seller}, {money(option.cost_usd_per_month)} a month{per_answer}"


def _replicas(option: Option) -> str:
    """Return how many replicas of what; of two pools those of both."""
    spare, size = option.spare_replicas, plural(option.gpus_per_replica, "GPU")
    on = f"{option.precision}, {option.engine}"
    if option.prefill_replicas is None:
        return f"{plural(option.replicas, 'replica')} + {count(spare)} spare of {size} ({sizes(option)}, {on})"
    prefill = f"{count(option.prefill_replicas)} × {plural(option.prefill_gpus_per_replica, 'GPU')}"
    decode = f"{count(option.replicas)} × {size} ({sizes(option)})"
    return f"prefill {prefill} ({sizes(option, 'prefill_')}), decode {decode}, {count(spare)} spare ({on})"


def _interval(answer: Answer) -> list[str]:
    """Return the interval of the best option, where one was asked for, and what of it was not among measured runs."""
    option = answer.best
    if option.intervals is None:
        return []
    if answer.scenario.spec.measured_rates is not None:
        return ["no interval: the rates are measured"]
    if answer.scenario.spec.fleet.speculative_tokens > 0:
        return ["no interval: no run with speculative decoding was measured"]
    if option.interval("ttft_p95_s")[0] is None:
        return [f"no interval: the file of {option.engine} records no prediction errors"]
    parts = [
        f"{_range(option, name, show)} {words}"
        for name, show, words in (
            ("gpus", count, "GPUs"),
            ("cost_usd_per_month", money, "a month"),
            ("ttft_p95_s", seconds, "TTFT p95"),
            ("tpot_p95_s", seconds, "TPOT p95"),
        )
        if option.interval(name)[0] is not None
    ]
    slow = "; at the slow end no fleet meets the limits" if option.interval("gpus")[1] is None else ""
    kinds = [UNSEEN[kind] for kind in unseen_of(answer, answer.options[0])]
    why = f"; not among the measured runs: its {' and '.join(kinds)}" if kinds else ""
    return [f"80 % interval: {', '.join(parts)}{slow}{why}"]


def _range(option: Option, name: str, show: Callable[[Any], str]) -> str:
    low, high = option.interval(name)
    return f"at least {show(low)}" if high is None else f"{show(low)} to {show(high)}"


def footnotes(answer: Answer) -> list[str]:
    """Return what the table leaves out."""
    shown, working = best_per_gpu(answer), sum(bool(r.meets_slo) for r in answer.results)
    notes = []
    if working > len(shown):
        notes.append(f"{working:,} options work; the best of each GPU is shown (--all shows every one)")
    notes += [f"{why}: {', '.join(gpus)}" for why, gpus in refused(answer).items()]
    overrides = list(answer.scenario.spec.overrides) if answer.scenario.override is None else []
    if overrides:
        notes.append(f"variants in this file (--override NAME): {', '.join(overrides)}")
    notes.append("a month is 730 h; costs are of the reserved fleet unless they say used")
    return notes
