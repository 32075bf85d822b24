"""The two sides of API or own, looked up: the API's price, the traffic both serve, the options of each price tier."""

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from planner import units
from planner.catalog.catalog import Catalog
from planner.documents.spec import Loaded
from planner.economics.api import find_price
from planner.economics.api_price import ApiPrice
from planner.economics.page import flat
from planner.economics.provider_cache import provider_cached_share
from planner.economics.questions.asked import named_beside
from planner.economics.questions.break_even import BreakEvenFile, TierChoice
from planner.errors import DataMissingError, NoPriceError
from planner.options.answer import Answer, answer, refuse_router
from planner.scenario.load import Scenario, build_scenario, open_scenario
from planner.serving.replica import build_replica


@dataclass(frozen=True)
class Traffic:
    """What both sides serve."""

    answers_per_day: float
    """NaN where only tokens are known."""
    input_tokens_per_day: float
    output_tokens_per_day: float
    cached_share: float

    def scaled(self, answers_per_day: float) -> "Traffic":
        """Return the same answers at another demand."""
        by = answers_per_day / self.answers_per_day
        tokens = (self.input_tokens_per_day * by, self.output_tokens_per_day * by)
        return Traffic(answers_per_day, *tokens, self.cached_share)


@dataclass(frozen=True)
class Tier:
    """A row of the question: a way to pay for machines, and what it was answered with."""

    label: str
    answer: Answer | None
    """None where the tier has no price."""
    missing: str = ""
    """Why there is none."""

    @property
    def works(self) -> bool:
        """Return whether some fleet meets the SLO at the scenario's demand and has a price."""
        return self.answer is not None and self.answer.best.meets_slo and not self._unpriced

    @property
    def why_not(self) -> str:
        """Return why there is no fleet of one's own."""
        return self.missing or ("the fleets that meet the SLO have no listed price" if self._unpriced else "")

    @property
    def _unpriced(self) -> bool:
        return self.answer is not None and self.answer.best.limit == "price_missing"


@dataclass(frozen=True)
class Sides:
    """A question with both sides looked up."""

    question: Loaded[BreakEvenFile]
    price: ApiPrice
    traffic: Traffic
    tiers: list[Tier]

    def inputs(self, traffic: Traffic) -> dict[str, float]:
        """Return what the page needs of the API at a demand."""
        rates, days = self.price.rates(batch=self.question.spec.api.batch), units.DAYS_PER_MONTH
        return {
            "traffic.answers_per_month": traffic.answers_per_day * days,
            "traffic.input_tokens_per_month": traffic.input_tokens_per_day * days,
            "traffic.output_tokens_per_month": traffic.output_tokens_per_day * days,
            "api.cached_share": traffic.cached_share,
            **flat("api", rates),
        }


def tier_label(choice: TierChoice, taken: Sequence[str]) -> str:
    """Return what a row is called: its tier, with its providers where that is taken, else with a number.

    >>> tier_label(TierChoice(tier="owned", providers=("acme",)), ["owned"])
    'owned acme'
    """
    names = " ".join((choice.tier, *(choice.providers or ())))
    if choice.tier not in taken:
        return choice.tier
    return next(n for n in (names, *(f"{names} {i}" for i in range(2, len(taken) + 3))) if n not in taken)


def look_up(question: Loaded[BreakEvenFile], catalog: Catalog) -> Sides:
    """Find the API's price, the scenario and the options of every tier.

    Raises DataMissingError for unknown names and where no tier has a price, BadInputError for a bad scenario.
    """
    spec, place = question.spec, question.document.field_place
    price = find_price(catalog, spec.api.model, spec.api.as_of, where=place(("api", "model")))
    price.rates(batch=spec.api.batch, where=place(("api", "batch")))
    tiers: list[Tier] = []
    for choice in spec.tiers:
        label = tier_label(choice, [tier.label for tier in tiers])
        try:
            tiers.append(Tier(label, answer(_scenario(question, catalog, choice), catalog)))
        except NoPriceError as error:
            tiers.append(Tier(label, None, error.message))
    first = next((tier.answer for tier in tiers if tier.answer), None)
    if first is None:
        raise DataMissingError(f"no tier has a price. {tiers[0].missing}", where=place(("tiers",)))
    return Sides(question, price, _traffic(question, first), tiers)


def _scenario(question: Loaded[BreakEvenFile], catalog: Catalog, choice: TierChoice) -> Scenario:
    """Return the scenario at one price tier, with the question's changes; a file is looked for beside the question."""
    spec, document = question.spec, question.document
    scenario, folder = open_scenario(named_beside(spec.scenario, document, catalog), catalog)
    changes: dict[str, Any] = dict(_flat(spec.changes))
    origin = f"{document.place(('changes',))} "
    changed = build_scenario(scenario, folder, override=spec.override, changes=changes, origin=origin)
    tier: dict[str, Any] = {"prices.tiers": (choice.tier,)}
    if choice.providers is not None:
        tier["prices.providers"] = choice.providers
    place = f"{document.place(('tiers',))} "
    loaded = build_scenario(changed.loaded.document, folder, changes=tier, origin=place).loaded
    at_tier = dataclasses.replace(changed, loaded=loaded)
    refuse_router(at_tier, document.field_place(("scenario",)))
    return at_tier


def _flat(changes: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield path and value; `--set changes.workload.answers_per_day=5` comes as mappings in mappings."""
    for name, value in changes.items():
        if isinstance(value, Mapping) and "." not in name:
            yield from _flat(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _traffic(question: Loaded[BreakEvenFile], solved: Answer) -> Traffic:
    """Return the tokens of the scenario as the API counts them: its own lengths where the question has none."""
    api, workload = question.spec.api, solved.scenario.spec.workload
    if workload.tokens_per_day is not None:
        cached = float(workload.cached_share.mean or 0.0) if workload.cached_share else 0.0
        daily, share = workload.tokens_per_day, api.cached_share
        return Traffic(math.nan, daily.input, daily.output, cached if share is None else share)
    answers_per_day = float(np.max(solved.cases.demand.answers_per_s)) * units.SECONDS_PER_DAY
    tokens = build_replica(solved.case()).tokens
    read, written = (float(np.max(x)) for x in (tokens.input_tokens_per_answer, tokens.generated_tokens_per_answer))
    return Traffic(
        answers_per_day,
        answers_per_day * (read if api.input_tokens is None else api.input_tokens),
        answers_per_day * (written if api.output_tokens is None else api.output_tokens),
        provider_cached_share(solved) if api.cached_share is None else api.cached_share,
    )
