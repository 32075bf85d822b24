"""Why a result field of an answer has no value, in a sentence."""

from planner.options.answer import Answer
from planner.options.option import COLUMNS

_OF_OFFER = {"provider", "price_tier", "region", "usd_per_gpu_hour", "prices_as_of", "price_source"}
_OF_ACCURACY = {"accuracy", "cost_usd_per_correct_answer"}
_OF_PREFILL = {name for name in COLUMNS if name.startswith("prefill_")}
_OF_ANSWERS = {
    "answers_per_month",
    "gpu_seconds_per_answer",
    "cost_usd_per_answer",
    "cost_usd_per_answer_used",
    "energy_wh_per_answer",
}
"""What measured rates tell where the number of answers is known."""


def why_no_value(found: Answer, field: str) -> str:
    """Return why a result field of the best option has no value: what the question or the catalogue does not say."""
    best, spec = found.best, found.scenario.spec
    if field in _OF_PREFILL and found.options[0].prefill is None:
        return "only for disaggregated serving (fleet.pools: two)"
    if field in _OF_ACCURACY and spec.quality.accuracy is None:
        return "the scenario gives no quality.accuracy"
    if field == "system":
        return f"the catalogue has no system with {best.gpu}"
    if spec.measured_rates is not None:
        return _of_measured_rates(found, field)
    if best.usd_per_gpu_hour is None and (field in _OF_OFFER or best.replicas is not None):
        return "no price of this option is known"
    if best.why:
        return f"the option does not start: {best.why}"
    if not best.fits:
        return f"the option does not fit ({best.limit})"
    if best.replicas is None:
        return f"no load meets the limits ({best.limit})"
    return "the offer sells GPUs one by one, not in nodes"


def _of_measured_rates(found: Answer, field: str) -> str:
    best, spec = found.best, found.scenario.spec
    if field.startswith("cost_") and best.usd_per_gpu_hour is None:
        return "no price of this option is known"
    if field in _OF_ANSWERS | _OF_ACCURACY and spec.workload.tokens_per_day is not None:
        return "the workload gives tokens_per_day, not a number of answers"
    return "the rates of nodes are measured: they say nothing of replicas, their layout, or single requests"
