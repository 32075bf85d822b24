"""What thinking costs: one option without thinking, as asked, and at other multipliers or effort levels."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from planner.catalog.catalog import Catalog
from planner.economics.api import bill_usd
from planner.economics.api_price import ApiPrice
from planner.economics.page import QuestionResult, ResultLine, flat, page_formulas, solve_line
from planner.economics.provider_cache import provider_cached_share
from planner.fleet.estimate import solve
from planner.fleet.sizing import without_thinking
from planner.options.answer import Answer
from planner.options.lowering import lower
from planner.options.provenance import inputs
from planner.scenario.load import Scenario, build_scenario
from planner.serving.cases import Cases
from planner.serving.lengths import TokenDemand
from planner.serving.slo import LIMITS
from planner.wording import significant, times

PAGE = "economics/thinking.csv"
NONE, ASKED = "none", "as asked"
Variant = tuple[str, Mapping[str, Any]]
"""What a row is called, and the thinking fields of the workload it sets."""


def variants(multipliers: Sequence[float], efforts: Sequence[str]) -> list[Variant]:
    """Return the variants of some multipliers and effort levels."""
    by_multiplier: list[Variant] = [(f"{m:g}×", {"reasoning_multiplier": m}) for m in multipliers]
    return by_multiplier + [(level, {"effort": level}) for level in efforts]


def thinking(
    solved: Answer, catalog: Catalog, others: Sequence[Variant] = (), api: ApiPrice | None = None
) -> QuestionResult:
    """Return the best option's rows: without thinking, as asked, and the other variants, all on the same machine.

    With an API price the bill for the same tokens stands beside them.
    """
    page, option = page_formulas(PAGE), solved.options[0]
    asked = solved.case()
    cached = provider_cached_share(solved) if api else math.nan
    plain = quantities(without_thinking(asked), api, cached)
    rows = [(NONE, plain), (ASKED, quantities(asked, api, cached))]
    for name, fields in others:
        scenario = _changed(solved.scenario, fields)
        rows.append((name, quantities(lower(scenario, catalog, solved.model, [option]), api, cached)))
    label = solved.scenario.label
    lines = [_line(label, name, values, plain) for name, values in rows]
    sources = inputs(solved.scenario, catalog, option, solved.model)
    shown = [*page.table, *(["api_multiplier"] if api else [])]
    cut = [(name, values["truncated_share"]) for name, values in rows if values["truncated_share"] > _WORTH_SAYING]
    warnings = [
        *solved.warnings,
        *(f"{name}: {share:.1%} of the sequences are cut at max_tokens" for name, share in cut),
    ]
    warnings += api.notes if api else ()
    failed = [] if solved.meets else [f"{label}: no option meets the limits"]
    verdict = [
        f"on the best option as asked: {solved.best.machine}",
        *(_why(line, lines[0]) for line in lines[1:]),
        HELD,
    ]
    return QuestionResult(
        "thinking",
        solved.scenario.loaded,
        page,
        lines,
        shown=shown,
        verdict=verdict,
        warnings=list(dict.fromkeys(warnings)),
        provenance=sources,
        failed=failed,
    )


HELD = (
    "held constant: GPU, engine, weights, layout, offer and demand; only thinking changes. `planner compare` searches "
    "the best option of each question anew"
)
"""What a reader must know who finds another ratio in `planner compare`."""
_WORTH_SAYING = 0.01
"""Share of cut sequences from which a row is warned about."""


def _line(label: str, name: str, values: Mapping[str, float], plain: Mapping[str, float]) -> ResultLine:
    texts = {"scenario": label, "thinking": name, "limit": LIMITS[int(values["limit"])] or None}
    return solve_line(name, texts, flat("answer", values) | flat("plain", plain), page_formulas(PAGE))


def quantities(cases: Cases, api: ApiPrice | None = None, cached_share: float = math.nan) -> dict[str, float]:
    """Return what the page compares, of a single case; NaN where it does not work.

    `cached_share` is that of the input tokens that the API finds in its cache.
    Two pools have no one batch and step: the prefill pool takes a part of the GPU-seconds that no batch explains.
    """
    estimate, work = solve(cases)
    load, tokens, disaggregated = work.at_capacity, work.replica.tokens, work.deployment.prefill is not None
    values: dict[str, Any] = {
        "generated_tokens": tokens.generated_tokens_per_answer,
        "api_usd": math.nan if api is None else _bill(api, tokens, cached_share),
        "running": math.nan if disaggregated else load.running,
        "context_tokens": tokens.context_mean,
        "step_s": math.nan if disaggregated else load.step_s,
        "gpu_seconds": estimate.gpu_seconds_per_answer,
        "cost_usd_per_month": estimate.cost_usd_per_month,
        "e2e_p50_s": estimate.e2e_p50_s,
        "gpu_power_w": work.busy_power_w,
        "truncated_share": estimate.truncated_share,
        "usd_per_gpu_hour": cases.offer.usd_per_gpu_hour,
        "extra_share": cases.offer.extra_share,
        "node_power_overhead": cases.energy.node_power_overhead,
        "pue": cases.energy.pue,
        "limit": estimate.limit,
    }
    return {name: float(value) for name, value in values.items()}


def _bill(api: ApiPrice, tokens: TokenDemand, cached_share: float) -> float:
    return float(bill_usd(api, tokens.input_tokens_per_answer, cached_share, tokens.generated_tokens_per_answer))


def _changed(scenario: Scenario, fields: Mapping[str, Any]) -> Scenario:
    """Return a scenario with other thinking fields, of the workload and of every class that has its own."""
    owners = [f"workload.classes[{i}]" for i, c in enumerate(scenario.spec.workload.classes) if c.thinking_fields()]
    changes = {f"{owner}.{name}": value for owner in ("workload", *owners) for name, value in fields.items()}
    document = dataclasses.replace(scenario.loaded.document)
    return build_scenario(document, scenario.folder, changes=changes, origin="thinking ")


def _why(line: ResultLine, plain: ResultLine) -> str:
    """Return why the GPU time of a row is more than its tokens."""
    tokens, gpu_time = line.values["token_multiplier"], line.values["gpu_time_multiplier"]
    if math.isnan(gpu_time):
        return f"{line.label}: {times(tokens)} the tokens; no load meets the limits ({line.texts['limit']})"
    text = f"{line.label}: {times(tokens)} the tokens, {times(gpu_time)} the GPU time"
    if math.isnan(line.values["running_batch"]):
        return f"{text}, over the prefill and decode pools"
    batches = [significant(of.values["running_batch"]) for of in (line, plain)]
    steps = [significant(of.values["step_s"] * 1e3) for of in (line, plain)]
    return (
        f"{text}: each token costs {times(line.values['gpu_time_per_token_multiplier'])}, because a replica runs "
        f"{batches[0]} answers at once instead of {batches[1]}, at {steps[0]} ms a step instead of {steps[1]} "
        f"(limited by {line.texts['limit']}, plain answers by {plain.texts['limit']})"
    )
