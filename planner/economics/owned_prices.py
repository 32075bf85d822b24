"""Owned machines as a price file: `--catalog` offers them to `estimate` at what an hour of them costs."""

import datetime as dt
import re
from typing import Any

import yaml

from planner.catalog.catalog import shipped_root
from planner.economics.page import QuestionResult, ResultLine
from planner.economics.questions.owning import OwningFile
from planner.errors import BadInputError
from planner.wording import money

_FILE_NAME = re.compile(r"\w[\w.+-]*")


def price_path(result: QuestionResult) -> str:
    """Return where the prices of an owning question belong in a catalogue. Raises BadInputError where they cannot."""
    spec, place = result.question.spec, result.question.document.place
    if not isinstance(spec, OwningFile):
        raise BadInputError(f"{spec.name} owns no machines; expected a file with options", where="--write-prices")
    if not _FILE_NAME.fullmatch(spec.name):
        raise BadInputError(
            f"{spec.name!r} is not a file name; expected letters, digits, dashes", where=place(("name",))
        )
    relative = f"hardware/prices/{spec.name}.yaml"
    if (shipped_root() / relative).exists():
        raise BadInputError(
            f"{spec.name} is a provider of the shipped catalogue, which it would replace; expected another name",
            where=place(("name",)),
        )
    return relative


def price_file(result: QuestionResult, day: dt.date) -> str:
    """Return the YAML of a price file: a quote of tier `owned` for each option, at its cost per GPU-hour."""
    spec: OwningFile = result.question.spec
    data = {
        "provider": spec.name,
        "name": spec.title or spec.name,
        "sources": {
            "owning": {
                "title": f"planner payback, {result.question.document.where}: cost of capital {spec.cost_of_capital:g}",
                "checked": day,
                "published": spec.as_of,
            }
        },
        "quotes": [_quote(line, spec, weak=bool(result.low_confidence)) for line in result.lines],
    }
    text: str = yaml.dump(data, Dumper=_Written, sort_keys=False, allow_unicode=True, width=120)
    return text


class _Written(yaml.SafeDumper):
    """Writes a date that stands twice twice: people edit these files."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ANN401, ARG002 - PyYAML's signature
        """Return that nothing is written as an alias."""
        return True


def _quote(line: ResultLine, spec: OwningFile, *, weak: bool) -> dict[str, Any]:
    values = line.values
    inputs = (
        f"{values['option.systems']:g} x {line.texts['system']} at {money(values['option.capex_usd_per_system'])}, "
        f"{values['systems.life_years']:g} years, residual {values['systems.residual_share']:g}, "
        f"{values['option.power_kw_per_system']:g} kW at load {values['option.load_share']:g}, "
        f"PUE {values['site.pue']:g}, {values['site.usd_per_kwh']:g} USD/kWh, "
        f"colo {values['site.colo_usd_per_kw_month']:g} USD/kW-month, "
        f"maintenance {values['operations.maintenance_share']:g}, "
        f"staff {money(values['operations.staff_usd_per_year'])} a year, "
        f"availability {values['operations.availability']:g}, hours sold {values['sold.share']:g}"
    )
    return {
        "gpu": line.texts["gpu"],
        "sku": line.label,
        "tier": "owned",
        "usd_per_gpu_hour": line.value("usd_per_gpu_hour"),
        "as_of": spec.as_of,
        "sold_by": "node",
        "gpus_per_instance": int(values["system.gpus_per_node"]),
        "kind": "offer",  # the owner can have it at that price, so a search may
        "confidence": "low" if weak else "medium",
        "source": "owning",
        "note": inputs,
    }


def price_warnings(result: QuestionResult) -> list[str]:
    """Return what a price for one's own fleet should not hold: hours that are not sold are counted by `estimate`."""
    idle = [line.label for line in result.lines if line.values["sold.share"] < 1]
    text = "the price includes unsold hours, and estimate counts idle hours itself; for own use, set share to 1"
    return [f"{', '.join(idle)}: {text}"] if idle else []
