"""Options with two pools: which layouts a prefill pool may have beside each layout of the decode pool."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.catalog.catalog import Catalog
from planner.catalog.model import ModelSpec
from planner.documents.spec import Loaded
from planner.fleet.sizing import fitting, pool_fleet
from planner.options.candidates import Candidate, Layout
from planner.options.lowering import lower
from planner.scenario.load import Scenario
from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.disaggregated import decode_only, prefill_pool
from planner.serving.disaggregated_slo import largest_share
from planner.serving.normal import Array
from planner.serving.replica import build_replica
from planner.serving.steady_state import IDLE_FRACTION, first_token_s, length_quantiles

Key = tuple[int, str, int]


def with_pools(
    scenario: Scenario, catalog: Catalog, model: Loaded[ModelSpec], options: Sequence[Candidate]
) -> list[Candidate]:
    """Return the options with as many pools as the scenario wants: one, two, or both kinds."""
    wanted = scenario.spec.fleet.pools
    if wanted == "one":
        return list(options)
    layouts = prefill_layouts(lower(scenario, catalog, model, options), options)
    two = [dataclasses.replace(o, prefill=layout) for o in options for layout in layouts[_key(o)]]
    return two if wanted == "two" else [*options, *two]


def _key(option: Candidate) -> Key:
    """Return what options share that differ in nothing but their layout."""
    return id(option.machine), option.precision.name, id(option.offer)


def prefill_layouts(cases: Cases, options: Sequence[Candidate]) -> dict[Key, list[Layout]]:
    """Return the prefill layouts worth trying on each machine, precision and offer: the cheapest and the quickest.

    The cheapest pool meets the limits on the first token with the fewest billed GPUs; the quickest replica shows the
    first token soonest, which a limit on whole answers may need. The layout of the decode pool changes neither.
    """
    gpus, seconds, first = (np.broadcast_to(column, (len(options),)) for column in _merits(cases))
    groups: dict[Key, list[int]] = {}
    for index, option in enumerate(options):
        groups.setdefault(_key(option), []).append(index)
    found = {}
    for key, members in groups.items():
        own = np.asarray(members)
        cheapest, quickest = _first_of(gpus[own], seconds[own]), _first_of(first[own], gpus[own])
        best = (cheapest, quickest) if np.isfinite(gpus[own[cheapest]]) else (quickest,)
        found[key] = [options[own[i]].layout for i in dict.fromkeys(best)]
    return found


def _first_of(value: Array, then: Array) -> int:
    """Return the position of the smallest value; of those that are alike, of the smallest second one."""
    order: NDArray[np.intp] = np.lexsort((then, value))
    return int(order[0])


def _merits(cases: Cases) -> tuple[Array, Array, Array]:
    """Return (GPUs billed for a prefill pool, its GPU-seconds of an answer, TTFT p95 when idle).

    Infinite where a layout does not fit, the first two also where it misses the limits on the first token.
    """
    none = np.zeros(())
    layout = dataclasses.replace(cases.layout, draft_tokens=none, acceptance=none)
    prefill_cases = dataclasses.replace(cases, layout=layout)
    others = {name: np.asarray(np.nan) for name, _ in cases.slo.items() if not name.startswith("ttft")}
    slo = dataclasses.replace(cases.slo, **others)
    with ignoring_float_errors():
        replica, lengths = build_replica(prefill_cases), length_quantiles(prefill_cases)
        pool, (fits, _) = prefill_pool(replica, np.asarray(np.inf), none), fitting(prefill_cases, replica)
        share, meets = largest_share(pool, decode_only(replica), lengths, slo)
        rate, target = share * pool.most_answers_per_s, np.sqrt(cases.fleet.availability)
        fleet = pool_fleet(cases, replica.gpus_per_replica, rate, target)
        first = first_token_s(replica, lengths, pool.load(IDLE_FRACTION * pool.most_answers_per_s))("p95")
        values = (fleet.billed_gpus, replica.gpus_per_replica / rate)
    usable = [np.where(fits & meets & np.isfinite(value), value, np.inf) for value in values]
    return usable[0], usable[1], np.where(fits & np.isfinite(first), first, np.inf)
