"""Options with two pools: which layouts a pool of readers may have beside each layout of the writers."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from planner.catalog.catalog import Catalog
from planner.catalog.model import ModelSpec
from planner.documents.spec import Loaded
from planner.fleet.sizing import billed_of, fitting, fleet_of
from planner.options.candidates import Candidate, Layout
from planner.options.lowering import lower
from planner.scenario.load import Scenario
from planner.serving.cases import Cases, ignoring_float_errors
from planner.serving.disaggregated_slo import largest_share, pair_of
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
    readers = reader_layouts(lower(scenario, catalog, model, options), options)
    two = [dataclasses.replace(o, prefill=layout) for o in options for layout in readers[_key(o)]]
    return two if wanted == "two" else [*options, *two]


def _key(option: Candidate) -> Key:
    """Return what options share that differ in nothing but their layout."""
    return id(option.machine), option.precision.name, id(option.offer)


def reader_layouts(cases: Cases, options: Sequence[Candidate]) -> dict[Key, list[Layout]]:
    """Return the layouts of readers worth trying on each machine, precision and offer: the cheapest and the quickest.

    The cheapest pool meets the limits on the first token with the fewest billed GPUs; the quickest replica shows the
    first token soonest, which a limit on whole answers may need. A layout of writers does not change either.
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
    """Return (GPUs billed for a pool that reads the peak, GPU-seconds of reading an answer, TTFT p95 when idle).

    Infinite where a layout does not fit, the first two also where it misses the limits on the first token.
    """
    none = np.zeros(())
    layout = dataclasses.replace(cases.layout, draft_tokens=none, acceptance=none)
    reading = dataclasses.replace(cases, layout=layout)
    others = {name: np.asarray(np.nan) for name, _ in cases.slo.items() if not name.startswith("ttft")}
    slo = dataclasses.replace(cases.slo, **others)
    with ignoring_float_errors():
        replica, lengths = build_replica(reading), length_quantiles(reading)
        pair, (fits, _) = pair_of(replica, replica, none), fitting(reading, replica)
        share, meets = largest_share(pair, lengths, slo)
        rate = share * pair.most_answers_per_s
        fleet = fleet_of(cases, replica.gpus_per_replica, rate, np.sqrt(cases.fleet.availability))
        first = first_token_s(replica, lengths, pair.reading(np.asarray(IDLE_FRACTION)))("p95")
        values = (billed_of(cases, fleet), replica.gpus_per_replica / rate)
    usable = [np.where(fits & meets & np.isfinite(value), value, np.inf) for value in values]
    return usable[0], usable[1], np.where(fits & np.isfinite(first), first, np.inf)
