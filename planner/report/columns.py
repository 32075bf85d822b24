"""The fields somebody asks for, out of those there are."""

from collections.abc import Iterable

from planner.errors import BadInputError, unknown
from planner.options.option import COLUMNS


def choose_fields(wanted: str | None, known: Iterable[str] = COLUMNS, *, where: str = "--fields") -> list[str]:
    """Return the fields of `--fields a,b`, or all. Raises BadInputError with the nearest name."""
    known = list(known)
    if wanted is None:
        return known
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    for name in names:
        if name not in known:
            text = unknown("field", name, known, listing="`planner schema --columns` lists them")
            raise BadInputError(text, where=where)
    if not names:
        raise BadInputError("no field given; for example gpu,gpus,cost_usd_per_month", where=where)
    return list(dict.fromkeys(names))
