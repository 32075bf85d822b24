"""What all readers share: a run as measured, the row it becomes, and how the load of a run is stated.

Definitions (those of `predict`): TTFT from sending a request to its first token; TPOT of a request
= (end to end - TTFT)/(output tokens - 1), its mean over requests; throughput in output tokens per
second over the whole run. Times in seconds. A value that a file does not hold is an empty cell.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import TypeVar

from planner.errors import BadInputError, unknown
from planner.loadtest.run import NUMBERS, REQUIRED, TEXTS
from planner.scenario.load import parse_value

T = TypeVar("T")
MEASURED = ("measured_ttft_mean_s", "measured_tpot_mean_s", "measured_output_tokens_per_s")
LOADS = ("concurrency", "request_rate")
DURATION = "duration_s"
"""The one thing to give that is no column: how long a server ran, for a dump that does not say."""
COLUMNS = (*TEXTS, *NUMBERS, *MEASURED, "source", "tool", "note")
_BOUND = 0.9
"""Share of the allowed concurrency in flight from which it, and not the request rate, bounds a run."""
_SUSTAINED = 0.8
"""Share of the offered rate that a run has to serve to count as keeping up."""


@dataclass(frozen=True)
class Reader:
    """A format: its name, how to tell it, and how to read it.

    `read(text, where, given)` returns one row per run; `given` holds what the file does not state.
    """

    name: str
    recognises: Callable[[str, Path], bool]
    read: Callable[[str, str, Mapping[str, str]], list[dict[str, str]]]


@dataclass(frozen=True)
class Run:
    """One run as a file states it; None where it states nothing."""

    ttft_s: float | None
    tpot_s: float | None
    output_tokens_per_s: float | None
    input_tokens: float | None
    output_tokens: float | None
    concurrency: float | None = None
    request_rate: float | None = None
    maximum_load: bool = False
    """Stated: as many requests as the server takes, so neither of the two above."""
    stated: Mapping[str, str] = field(default_factory=dict)
    """Other columns that the file states."""
    notes: Sequence[str] = ()
    where: str = ""
    """The place of the run where a file holds several."""
    tool: str = ""
    """The tool that wrote it, where a format has several."""


def rows(runs: Sequence[Run], tool: str, where: str, given: Mapping[str, str]) -> list[dict[str, str]]:
    """Return the rows of a file's runs, what they do not state taken from `given`."""
    check_given(given)
    stem = given.get("id") or PurePath(where).stem
    names = [stem] if len(runs) == 1 else [f"{stem}-{i}" for i in range(1, len(runs) + 1)]
    return [_row(run, name, run.tool or tool, where, given) for run, name in zip(runs, names, strict=True)]


def check_given(given: Mapping[str, str]) -> None:
    """Refuse `--given` fields that no row has, and numbers that are none."""
    for name, text in given.items():
        known = (*TEXTS, *NUMBERS, DURATION)
        if name not in known:
            raise BadInputError(unknown("field", name, known), where="--given")
        if not text.strip():
            raise BadInputError(f"{name} is empty; expected {name}=VALUE", where="--given")
        if name in TEXTS:
            continue
        value = parse_value(text, f"--given {name}")
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or value < 0
            or (name == DURATION and not value)
        ):
            raise BadInputError(f"{text!r} is not a positive number", where=f"--given {name}")


def _row(run: Run, name: str, tool: str, where: str, given: Mapping[str, str]) -> dict[str, str]:
    place, notes = run.where or where, list(run.notes)
    values = {k: v for k, v in given.items() if k in TEXTS or k in NUMBERS} | dict(run.stated) | {"id": name}
    values["model"], renamed = _model(run.stated.get("model", ""), given.get("model", ""))
    notes += [renamed] if renamed else []
    values |= {k: text(v) for k, v in (("input_tokens", run.input_tokens), ("output_tokens", run.output_tokens)) if v}
    load = {k: text(v) for k, v in zip(LOADS, (run.concurrency, run.request_rate), strict=True) if v}
    if load or run.maximum_load:
        values |= dict.fromkeys(LOADS, "") | load
    _refuse_gaps(values, stated_load=run.maximum_load or any(values.get(k) for k in LOADS), where=place)
    found = dict(zip(MEASURED, (run.ttft_s, run.tpot_s, run.output_tokens_per_s), strict=True))
    if not any(found.values()):
        raise BadInputError("holds no TTFT, TPOT or throughput above 0; there is nothing to compare", where=place)
    notes += [f"{k.removeprefix('measured_')} is 0 in the file: not measured" for k, v in found.items() if v == 0]
    values |= {k: text(v) if v else "" for k, v in found.items()}
    values |= {"source": place, "tool": tool, "note": "; ".join(notes)}
    return {column: values.get(column, "") for column in COLUMNS}


def _model(stated: str, given: str) -> tuple[str, str]:
    """Return the model and a note: a Hugging Face id in the file wins, a path or a served name is only an alias."""
    if not stated or not given or stated == given:
        return stated or given, ""
    if stated.count("/") == 1 and not stated.startswith(("/", ".", "~")):
        return stated, f"model {given} was given, the file states {stated}"
    return given, f"model {given} as given; the file calls it {stated}"


def _refuse_gaps(values: Mapping[str, str], *, stated_load: bool, where: str) -> None:
    missing = [name for name in REQUIRED if not values.get(name)]
    if missing:
        how = " ".join(f"--given {name}=VALUE" for name in missing)
        raise BadInputError(f"does not state {', '.join(missing)}; give it with {how}", where=where)
    if not stated_load:
        how = "--given concurrency=VALUE or --given request_rate=VALUE"
        raise BadInputError(f"does not state the load (concurrency or request_rate); give it with {how}", where=where)


def text(value: float) -> str:
    """Return a number as a cell, every digit kept.

    >>> text(128.0), text(0.1), text(1e22)
    ('128', '0.1', '1e+22')
    """
    return str(int(value)) if value.is_integer() and value < _WHOLE else repr(value)


_WHOLE = 1e15
"""Below this, whole numbers are written without a point."""


@dataclass(frozen=True)
class Load:
    """How the requests of a run came."""

    concurrency: float | None = None
    request_rate: float | None = None
    notes: tuple[str, ...] = ()


def offered_load(
    rate: float | None, limit: float | None, sent: float, served_per_s: float, in_flight: float | None
) -> Load:
    """Return the load of a client that sends at a rate (None or inf: at once) to at most `limit` in flight.

    Where both are set, the one that binds counts: the limit if nearly as many were in flight.
    """
    if rate is None or rate == float("inf") or rate == 0:
        if limit:
            return Load(min(limit, sent))
        return Load(sent, None, (f"all {text(sent)} requests sent at once: a burst, not a steady state",))
    if limit and in_flight is not None and in_flight >= _BOUND * limit:
        return Load(min(limit, sent))
    behind = served_per_s < _SUSTAINED * rate
    note = f"offered {rate:g} requests/s, served {served_per_s:.3g}: the run did not keep up, or was short"
    return Load(None, rate, (note,) if behind else ())


class NothingCompletedError(BadInputError):
    """A run in which no request was answered."""


def runs_of(parts: Iterable[T], run: Callable[[T], Run]) -> list[Run]:
    """Return the runs of a file's parts; one of several that completed nothing is left out, and noted in the others."""
    done, empty = [], []
    for part in parts:
        try:
            done.append(run(part))
        except NothingCompletedError as error:
            empty.append(error)
    if empty and not done:
        raise empty[0]
    note = [f"{len(empty)} more in the file completed no request: left out"] if empty else []
    return [dataclasses.replace(one, notes=(*one.notes, *note)) for one in done]


def refuse_none_completed(completed: float, failed: float, where: str) -> None:
    """Refuse a run in which no request was answered."""
    if completed == 0:
        message = f"no request completed ({text(failed)} failed); there is nothing to compare"
        raise NothingCompletedError(message, where=where)


def failures(failed: float, completed: float) -> list[str]:
    """Return a note where requests failed: their load is in the run, their latency is not."""
    return [f"{text(failed)} of {text(failed + completed)} requests failed"] if failed > 0 else []


def speculation(drafted: float, yielded: float) -> dict[str, str]:
    """Return the columns of speculative decoding whose steps yield so many tokens: 1 + a + ... + a^drafted = yielded.

    >>> speculation(2.0, 1.75)
    {'speculative_tokens': '2', 'acceptance': '0.5'}
    """
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2.0
        short = sum(middle**j for j in range(round(drafted) + 1)) < yielded
        low, high = (middle, high) if short else (low, middle)
    return {"speculative_tokens": text(drafted), "acceptance": text(round(high, _DIGITS))}


_HALVINGS, _DIGITS = 40, 4
