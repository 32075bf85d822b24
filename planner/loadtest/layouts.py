"""How a benchmark run may be laid out on its GPUs: degrees of parallelism, replicas, and a prefill pool of its own."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from planner.catalog.model import ModelSpec
from planner.errors import BadInputError
from planner.options.candidates import Layout, Machine, usual_layouts

LOADS = ("concurrency", "request_rate")
_TENSOR_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0)
_OF_PREFILL = ("prefill_tensor_parallel", "prefill_data_parallel", "prefill_expert_parallel")
_DEGREES = ("tensor", "pipeline", "data", "expert")
_SEARCHED_GPUS = 4096
"""GPUs more or fewer among which a number that can be split is looked for."""


class Pool(NamedTuple):
    """Equal workers."""

    layout: Layout
    workers: float
    """NaN where the split of the run's GPUs is yet to be solved."""


class Deployment(NamedTuple):
    """What a run's GPUs are used as; the fields are those of `Run`."""

    layout: Layout
    """Of a replica, or of a decode worker."""
    replicas: float
    """Replicas, or decode workers; those of an open split do not count."""
    pool: Pool | None
    """The prefill workers of a disaggregated run."""


def deployments(numbers: Mapping[str, float], model: ModelSpec, machine: Machine) -> list[Deployment]:
    """Return what a row's GPUs may be used as: one deployment where it states the layout, else every possible one.

    Open layouts come by tensor parallelism, the smallest first. Other kinds of parallelism are tried only where the
    row asks for the most that its GPUs can do. Replicas use all GPUs of the row.

    Parameters
    ----------
    numbers : the row's numbers by column name; NaN where it leaves one open.
    model : its experts and heads decide the usual layouts.
    machine : GPU, system and engine, which decide the usual layouts.

    Raises
    ------
    BadInputError : GPUs do not divide in any of the layouts, or columns contradict each other.
    """
    if not layout_is_open(numbers) or _split_is_open(numbers):
        return [_deployment(numbers)]
    options: dict[Layout, Deployment] = {}
    errors: list[BadInputError] = []
    for sizes in _sizes(numbers, model, machine):
        try:
            option = _deployment({**numbers, **sizes})
        except BadInputError as error:
            errors.append(error)
        else:
            options.setdefault(option.layout, option)
    if not options and not errors:
        expert = numbers["expert_parallel"]
        raise BadInputError(f"expert_parallel {expert:g} needs a tensor_parallel or data_parallel that it divides")
    if not options:
        raise errors[0]
    return list(options.values())


def most_asked(numbers: Mapping[str, float]) -> bool:
    """Return whether a row asks for the most that a given number of GPUs can do."""
    return has_gpus(numbers) and all(math.isnan(numbers[name]) for name in LOADS)


def has_gpus(numbers: Mapping[str, float]) -> bool:
    """Return whether a row says how many GPUs it has."""
    return not math.isnan(numbers["gpus"]) or not math.isnan(numbers["prefill_gpus"])


def layout_is_open(numbers: Mapping[str, float]) -> bool:
    """Return whether a row leaves the layout of its replicas, or decode workers, open."""
    return math.isnan(numbers["tensor_parallel"]) and math.isnan(numbers["data_parallel"])


def _sizes(numbers: Mapping[str, float], model: ModelSpec, machine: Machine) -> Iterator[dict[str, float]]:
    """Yield values for the layout columns that an open run leaves empty."""
    expert = numbers["expert_parallel"]
    yield from ({"tensor_parallel": size} for size in _TENSOR_SIZES if math.isnan(expert) or size % expert == 0)
    if most_asked(numbers) and math.isnan(numbers["prefill_gpus"]):
        for layout in usual_layouts(model, machine):
            sizes = {f"{name}_parallel": float(size) for name, size in dataclasses.asdict(layout).items()}
            if all(math.isnan(numbers[name]) or numbers[name] == size for name, size in sizes.items()):
                yield sizes


def _deployment(numbers: Mapping[str, float]) -> Deployment:
    """Return the deployment that numbers state. Raises BadInputError where its GPUs do not divide."""
    pool: Pool | None = None
    if not math.isnan(numbers["prefill_gpus"]) or not math.isnan(numbers["decode_gpus"]):
        layout, pool = _pools(numbers)
    elif _split_is_open(numbers):
        layout, pool = _open_pools(numbers)
    else:
        layout = _layout(numbers)
    if not pool and numbers["gpus"] < layout.gpus:
        raise BadInputError(f"gpus {numbers['gpus']:g} is less than TP x PP x DP = {layout.gpus}")
    if not pool and numbers["gpus"] % layout.gpus > 0:
        raise BadInputError(f"gpus {numbers['gpus']:g} is not a multiple of TP x PP x DP = {layout.gpus}")
    gpus = numbers["decode_gpus"] if pool else numbers["gpus"]
    return Deployment(layout, 1.0 if math.isnan(gpus) else gpus / layout.gpus, pool)


def _split_is_open(numbers: Mapping[str, float]) -> bool:
    """Return whether a row has a prefill worker's layout, but not the GPUs of each pool."""
    of_pools = (numbers["prefill_gpus"], numbers["decode_gpus"])
    return all(map(math.isnan, of_pools)) and not all(math.isnan(numbers[name]) for name in _OF_PREFILL)


def _pools(numbers: Mapping[str, float]) -> tuple[Layout, Pool]:
    """Return (a decode worker's layout, the prefill pool): the plain layout columns are the decode workers'."""
    for name, other in (("prefill_gpus", "decode_gpus"), ("decode_gpus", "prefill_gpus")):
        if math.isnan(numbers[name]):
            raise BadInputError(f"{name} is missing beside {other}; expected the GPUs of both pools")
    if not math.isnan(numbers["gpus"]) and numbers["gpus"] != numbers["prefill_gpus"] + numbers["decode_gpus"]:
        raise BadInputError(f"gpus {numbers['gpus']:g} is not the sum of prefill_gpus and decode_gpus; leave it empty")
    decode = _layout(numbers)
    prefill = _prefill_layout(numbers) or decode
    for name, layout in (("prefill_gpus", prefill), ("decode_gpus", decode)):
        if numbers[name] % layout.gpus:
            raise BadInputError(f"{name} {numbers[name]:g} is not a multiple of a worker's {layout.gpus} GPUs")
    return decode, Pool(prefill, numbers["prefill_gpus"] / prefill.gpus)


def _layout(numbers: Mapping[str, float], pool: str = "") -> Layout:
    """Return the layout that the layout columns say, `prefill_` ones or the plain ones; a degree that is empty is 1."""
    degrees = {degree: numbers.get(f"{pool}{degree}_parallel", 1.0) for degree in _DEGREES}
    return Layout(**{degree: 1 if math.isnan(size) else int(size) for degree, size in degrees.items()})


def _prefill_layout(numbers: Mapping[str, float]) -> Layout | None:
    """Return a prefill worker's own layout; None where the run gives none."""
    if math.isnan(numbers["prefill_tensor_parallel"]) and math.isnan(numbers["prefill_data_parallel"]):
        return None
    return _layout(numbers, "prefill_")


def _open_pools(numbers: Mapping[str, float]) -> tuple[Layout, Pool]:
    """Return (a decode worker's layout, the prefill pool) where both share `gpus`: its workers are yet to be split."""
    named = next(name for name in _OF_PREFILL if not math.isnan(numbers[name]))
    if math.isnan(numbers["gpus"]) or layout_is_open(numbers):
        missing = "gpus" if math.isnan(numbers["gpus"]) else "tensor_parallel or data_parallel of a decode worker"
        raise BadInputError(
            f"{named} is given without {missing}; expected it, to solve the split, or prefill_gpus and decode_gpus"
        )
    decode = _layout(numbers)
    prefill, gpus = _prefill_layout(numbers) or decode, numbers["gpus"]
    sizes = (prefill.gpus, decode.gpus)
    if not whole_splits(gpus, *sizes):
        least, around = sum(sizes), range(1, min(sum(sizes), _SEARCHED_GPUS) + 1)
        near = [next((g for d in around if whole_splits(g := gpus + s * d, *sizes)), None) for s in (-1, 1)]
        hint = ", ".join(f"{g:g}" for g in near if g) or f"{least} or more"
        raise BadInputError(
            f"gpus {gpus:g} cannot be split into prefill workers of {sizes[0]} and decode workers of {sizes[1]} GPUs; "
            f"nearest: {hint}"
        )
    return decode, Pool(prefill, math.nan)


def whole_splits(gpus: float, prefill: int, decode: int) -> range:
    """Return every u >= 1 for which u x prefill + v x decode = gpus with some whole v >= 1.

    Parameters
    ----------
    gpus : GPUs to use up [GPU].
    prefill, decode : GPUs of one prefill and of one decode worker [GPU].

    >>> list(whole_splits(32, 8, 4)), list(whole_splits(14, 8, 4))
    ([1, 2, 3], [])
    """
    common = math.gcd(prefill, decode)
    if gpus % common:
        return range(0)
    step = decode // common  # u x prefill = gpus in whole steps: the inverse says where they begin
    first = int(gpus) // common * pow(prefill // common, -1, step) % step or step
    return range(first, (int(gpus) - decode) // prefill + 1, step)
