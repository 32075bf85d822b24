"""What a careful colleague would add: warnings, why nothing fits, which prices are nearest."""

import datetime as dt
from collections.abc import Sequence

from planner.catalog.catalog import Catalog
from planner.catalog.market import FOLLOWS_DEMAND, PricesFile
from planner.catalog.model import ModelSpec
from planner.errors import Alarm
from planner.options.candidates import Candidate, PriceFilter
from planner.options.option import Option
from planner.options.provenance import scenario_inputs
from planner.scenario.load import Scenario
from planner.serving.steady_state import METRICS, QUANTILES
from planner.wording import count, price_tier

_TRUNCATED_WORTH_SAYING = 0.01
_SHOWN = 5


def scenario_warnings(scenario: Scenario, model: ModelSpec) -> list[str]:
    """Return warnings about the question itself."""
    spec, found = scenario.spec, []
    if model.reasoning == "always" and spec.measured_rates is None and not _thinks(scenario):
        found.append(
            f"{model.id} always thinks before it answers, but the workload has no reasoning_multiplier; 1 is assumed"
        )
    if spec.demand.peak_to_mean is None and spec.demand.curve is None:
        found.append(
            "demand: no curve and no peak_to_mean are given; a flat load (1.0) is assumed and the peak is not covered"
        )
    if _tail_is_limited(scenario) and _is_constant(scenario):
        found.append(
            "all lengths are constants: a p95 or p99 limit then sees no long request, and fleets come out too small; "
            "give {mean, cv} or a histogram (production chat has cv 0.8 to 1.5)"
        )
    if spec.fleet.speculative_tokens > 0:
        drafts = f"{spec.fleet.speculative_tokens} drafted, {spec.fleet.acceptance:g} of them kept"
        found.append(
            f"speculative decoding ({drafts}) is arithmetic: no speculative run was measured, and there is no interval"
        )
    if spec.fleet.billing == "mean" and (kept := [t for t in spec.prices.tiers if t not in FOLLOWS_DEMAND]):
        found.append(
            f"billing: mean is for machines that can be given back by the hour; {', '.join(map(price_tier, kept))} "
            "prices are paid for the peak all month"
        )
    if spec.prices.tiers == ("spot",):
        found.append("spot machines can be taken away at short notice; interruptions are not in the cost")
    return found


def _tail_is_limited(scenario: Scenario) -> bool:
    return any(getattr(scenario.spec.slo, f"{m}_{p}_s") is not None for m in METRICS for p in ("p95", "p99"))


def _is_constant(scenario: Scenario) -> bool:
    """Return whether every request of the workload has the same lengths."""
    workload = scenario.spec.workload
    if workload.classes or workload.tokens_per_day is not None:
        return False
    lengths = (workload.input_tokens, workload.answer_tokens, workload.reasoning_multiplier, workload.reasoning_tokens)
    return all(x is None or (x.mean is not None and not x.cv) for x in lengths)


def _thinks(scenario: Scenario) -> bool:
    workload = scenario.spec.workload
    return any(cls.thinking_fields() for cls in (workload, *workload.classes))


def option_warnings(
    scenario: Scenario, catalog: Catalog, results: Sequence[Option], options: Sequence[Candidate], today: dt.date
) -> list[str]:
    """Return warnings about the options: age of prices, size, cut answers, plain factors."""
    found: list[str] = []
    best = results[0]
    largest = catalog.assumptions.spec.largest_fleet_gpus
    if best.gpus is not None and best.gpus > largest:
        found.append(
            Alarm(
                f"BEYOND ANY FLEET ON RECORD: {best.gpus:,} GPUs; the largest known single fleet has about "
                f"{largest:,}. Check the rate: the answer is arithmetic, not a plan"
            )
        )
    if (best.truncated_share or 0.0) > _TRUNCATED_WORTH_SAYING:
        found.append(f"{best.truncated_share:.1%} of the sequences are cut at max_tokens")
    if best.meets_slo and best.spare_replicas == 0:
        found.append(
            f"no spare: a failure takes {_share_of(best.replicas)} for {scenario.spec.fleet.repair_hours:g} h; "
            f"fleet.availability {scenario.spec.fleet.availability:g} just allows it"
        )
    found += _price_warnings(scenario, options, today)
    if best.basis in {"datasheet", "assumed"} and scenario.spec.measured_rates is None:
        interval = "" if scenario.spec.fleet.speculative_tokens else ", and see --interval"
        found.append(
            f"no run like {best.model} on {best.gpu} with {best.engine} was measured: data-sheet figures with "
            f"the factors of others; expect errors of tens of percent{interval}"
        )
    if not any(option.meets_slo for option in results):
        found.append(Alarm(nothing_meets(scenario, results)))
    assumed = [i.name for i in scenario_inputs(scenario) if i.assumed and i.name in _ASSUMPTIONS_WORTH_SAYING]
    if assumed:
        found.append("assumed, because the scenario does not say: " + ", ".join(assumed))
    return found


def context_warnings(model: ModelSpec, best: Option) -> list[str]:
    """Return a warning where the best option's cache is too small for one request of the model's whole length."""
    longest = best.longest_context_tokens
    if longest is None or longest >= model.max_context_tokens or not best.fits:
        return []
    text = (
        f"the cache of a replica holds one request of {longest:,} tokens at most, and {model.id} goes up to "
        f"{model.max_context_tokens:,}: {best.engine} needs engine_settings.max_model_len at {longest} or less"
    )
    return [text]


def _share_of(replicas: float | None) -> str:
    return "the whole service down" if replicas == 1 else f"1 of {count(replicas)} replicas down"


_ASSUMPTIONS_WORTH_SAYING = {"fleet.headroom", "fleet.availability", "energy.grid", "energy.pue"}


def _price_warnings(scenario: Scenario, options: Sequence[Candidate], today: dt.date) -> list[str]:
    limit = scenario.spec.prices.max_age_days
    day = today if scenario.spec.prices.as_of == "latest" else scenario.spec.prices.as_of
    old, bounds, unoffered = {}, set(), set()
    for option in options:
        if option.offer is None:
            continue
        quote, seller = option.offer.quote, option.offer.file.spec.provider
        age = (day - quote.as_of).days
        if age > limit:
            old[f"{seller} {quote.gpu}"] = age
        if quote.as_of_is_bound:
            bounds.add(seller)
        if quote.kind in {"estimate", "assumption"}:
            unoffered.add(f"{seller} {quote.gpu}")
    found = []
    if old:
        oldest = sorted(old.items(), key=lambda x: -x[1])
        shown = ", ".join(f"{name} ({age} days)" for name, age in oldest[:_SHOWN])
        more = f" and {len(oldest) - _SHOWN} more" if len(oldest) > _SHOWN else ""
        found.append(f"prices older than {limit} days: {shown}{more}")
    if bounds:
        found.append(
            f"prices of {', '.join(sorted(bounds))} are dated 'not later than'; they may be older than they look"
        )
    if unoffered:
        found.append(
            f"figures that no seller offers, estimated or assumed by the source: {', '.join(sorted(unoffered))}"
        )
    return found


def nothing_meets(scenario: Scenario, results: Sequence[Option]) -> str:
    """Return why no option works: the constraint, and the best attainable."""
    fitting = [option for option in results if option.fits]
    if not fitting:
        limits = {option.limit for option in results if not option.why}
        if not limits:
            reasons = list(dict.fromkeys(option.why for option in results if option.why))
            more = f"; and {len(reasons) - _SHOWN} more reasons" if len(reasons) > _SHOWN else ""
            return f"no option starts: {'; '.join(reasons[:_SHOWN])}{more}"
        if "context" in limits:  # options with this limit have room: no other GPU or layout would help
            accepted = scenario.spec.engine_settings.max_model_len
            limit = f"max_model_len {accepted:,}" if accepted else "the model's context length"
            return f"nothing fits: input and output together exceed {limit}"
        largest = max(option.gpus_per_replica or 0 for option in results if not option.why)
        return (
            f"nothing fits: the weights and the cache of one long request do not fit any candidate "
            f"(largest replica tried: {largest} GPUs). Allow larger GPUs, a smaller precision or more tensor_parallel"
        )
    if all(option.limit == "max_gpus" for option in fitting if option.replicas is not None) and any(
        option.replicas for option in fitting
    ):
        least = min(option.gpus for option in fitting if option.gpus is not None)
        most = scenario.spec.fleet.max_gpus
        return f"no option stays within fleet.max_gpus {most}; the smallest fleet needs {least} GPUs"
    parts = []
    for metric in METRICS:
        for percentile in QUANTILES:
            name = f"{metric}_{percentile}_s"
            limit = getattr(scenario.spec.slo, name)
            reached = [(option[name], option) for option in fitting if option[name] is not None]
            if limit is None or not reached:
                continue
            value, option = min(reached, key=lambda x: x[0])
            if value > limit:
                reads = metric == "ttft" and option.prefill_tensor_parallel is not None
                size = option["prefill_tensor_parallel" if reads else "tensor_parallel"]
                parts.append(
                    f"{name} {limit:g} is below the best attainable {value:.3g} "
                    f"(idle {option.gpu}, {option.precision}, TP{size})"
                )
    reason = "; ".join(parts) or "each limit can be met by some option, but no option meets them all at once"
    return f"no option meets the SLO: {reason}"


def nothing_priced(scenario: Scenario, catalog: Catalog, options: Sequence[Candidate], today: dt.date) -> str:
    """Return the sentence for a search without any price, with the nearest quotes and what excludes each."""
    gpus = {option.machine.gpu.spec.id for option in options}
    asked = PriceFilter(scenario, catalog, today)
    quotes = [
        (file.spec.provider, quote)
        for file in catalog.all(PricesFile)
        for quote in file.spec.quotes
        if quote.gpu in gpus
    ]
    tiers, named = scenario.spec.prices.tiers, asked.providers
    quotes.sort(key=lambda x: (bool(named) and x[0] not in named, x[1].tier not in tiers, -x[1].as_of.toordinal()))
    listed = "; ".join(
        f"{p} {q.gpu} {price_tier(q.tier)} {q.region} ${q.usd_per_gpu_hour:g} ({q.as_of.isoformat()}: "
        f"{asked.why_not(p, q) or 'sold in machines too small for a replica'})"
        for p, q in quotes[:_SHOWN]
    )
    nearest = (
        f" Nearest quotes, and why each is excluded: {listed}."
        if listed
        else " The catalogue has no price for these GPUs; add one with --catalog."
    )
    some = ", ".join(sorted(gpus)[:_SHOWN]) + (" …" if len(gpus) > _SHOWN else "")
    return f"no price for {some} with tiers {', '.join(map(price_tier, tiers))} and these filters.{nearest}"
