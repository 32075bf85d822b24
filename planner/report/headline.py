"""The first lines of an answer: the best option and how well it is founded, or how near the nearest option comes."""

from planner.options.answer import Answer
from planner.options.caveats import nothing_meets
from planner.options.confidence import FAR
from planner.options.intervals import unseen_of
from planner.options.option import Option
from planner.serving.steady_state import METRICS, QUANTILES
from planner.wording import count, money, plural, seconds

UNSEEN = {kind: kind for kind in ("model", "architecture", "layout", "lengths")} | {
    "gpu": "GPU",
    "maker": "GPU's vendor",
    "pools": "two pools",
}
"""What a fit has not seen -> how it is said."""
_UNMEASURED = {"datasheet", "assumed"}
"""Basis of an option whose speed no measured run is like."""
_LATENCIES = {"ttft": "TTFT", "tpot": "TPOT", "time_to_answer": "first visible token", "e2e": "end to end"}


def headline(answer: Answer) -> list[str]:
    """Return the best option and its cost; beside one of low confidence the best on a GPU that was measured."""
    best = answer.best
    if not best.meets_slo:
        return [nearest_miss(answer)]
    if best.basis not in _UNMEASURED:
        return [_priced(best)]
    measured = _best_measured(answer)
    beside = [] if measured is None else [f"best on a GPU that was measured: {_priced(measured)}"]
    return [f"{_priced(best)} (low confidence: {_why(answer)})", *beside]


def _why(answer: Answer) -> str:
    if answer.best.basis == "assumed":
        return "it rests on assumed figures"
    kinds = [UNSEEN[kind] for kind in unseen_of(answer, answer.options[0]) if kind in FAR]
    return f"no measured run of its {' or '.join(kinds)}" if kinds else "nothing like it was measured"


def _best_measured(answer: Answer) -> Option | None:
    """Return the best priced option of calibrated basis; where there is none, the best whose GPU was measured."""
    if answer.scenario.spec.measured_rates is not None:
        return None
    others = list(zip(answer.results, answer.options, strict=True))[1:]
    working = [(one, candidate) for one, candidate in others if one.meets_slo and one.cost_usd_per_month is not None]
    calibrated = (one for one, _ in working if one.basis not in _UNMEASURED)
    seen = (
        one
        for one, candidate in working
        if one.gpu != answer.best.gpu and not {"gpu", "maker"} & {*unseen_of(answer, candidate)}
    )
    return next(calibrated, None) or next(seen, None)


def _priced(option: Option) -> str:
    nodes = f" ({plural(option.nodes, 'node')})" if option.nodes is not None else ""
    machine = f"{count(option.gpus)} × {option.gpu}{nodes}"
    if option.cost_usd_per_month is None:
        return f"{machine} would meet the SLO, but has no listed price; no priced option does"
    each = f", {money(option.cost_usd_per_answer)} an answer" if option.cost_usd_per_answer is not None else ""
    return f"{machine} from {option.offer}: {money(option.cost_usd_per_month)} a month{each}"


def nearest_miss(answer: Answer) -> str:
    """Return how far the nearest option is from the SLO; where none fits, why."""
    option, slo = answer.best, answer.scenario.spec.slo
    most = answer.scenario.spec.fleet.max_gpus
    if not option.fits:
        return nothing_meets(answer.scenario, answer.results)
    missed = [
        (option[name] / wanted, f"{_LATENCIES[metric]} {percentile} {seconds(option[name])}, wanted {seconds(wanted)}")
        for metric in METRICS
        for percentile in QUANTILES
        for name in [f"{metric}_{percentile}_s"]
        for wanted in [getattr(slo, name)]
        if wanted is not None and option[name] is not None and option[name] > wanted
    ]
    if missed:
        return f"no option meets the SLO; nearest miss: {option.gpu}: {max(missed)[1]}"
    if most is not None and option.gpus is not None:
        return f"no option meets the SLO; nearest miss: {option.gpu}: {plural(option.gpus, 'GPU')}, wanted {most:,}"
    return nothing_meets(answer.scenario, answer.results)
