"""A message's tokens and API price as a page of formulas takes them, and where they come from."""

import datetime as dt
from dataclasses import dataclass, field

from planner.catalog.catalog import Catalog
from planner.documents.spec import Loaded
from planner.documents.yaml_reader import Key, path_text
from planner.economics.api import find_price
from planner.economics.questions.message import Message
from planner.economics.text import characters_per_token
from planner.options.provenance import Input


@dataclass(frozen=True)
class Read:
    """A message's numbers by name, those that are known, with the origins and notes of those that are looked up."""

    values: dict[str, float]
    origins: list[Input] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_message(message: Message | None, key: Key, question: Loaded, catalog: Catalog, day: dt.date) -> Read:  # type: ignore[type-arg]  # any kind of question
    """Return the numbers of a message that stands at `key` of a question.

    Raises DataMissingError for a kind of text, a tokenizer or an API price that is not known, with the nearest.
    """
    if message is None:
        return Read({})
    values = {"cached_share": 0.0} | {n: float(v) for n, v in vars(message).items() if isinstance(v, int | float)}
    found = Read(values)
    if message.characters_per_token is not None:
        values["characters_per_token_low"] = values["characters_per_token_high"] = message.characters_per_token
    if message.usd_per_mtok_input is not None:
        values["usd_per_mtok_cached"] = message.usd_per_mtok_input
    if message.text is not None:
        _add_text(found, message.text, message.tokenizer, key, question, catalog)
    if message.price_model is not None:
        _add_price(found, message.price_model, key, question, catalog, day)
    return found


def _add_text(found: Read, text: str, tokenizer: str | None, key: Key, question: Loaded, catalog: Catalog) -> None:  # type: ignore[type-arg]
    place, name = question.document.field_place((*key, "text")), path_text((*key, "characters_per_token"))
    counted_by = question.document.field_place((*key, "tokenizer"))
    per_token = characters_per_token(catalog, text, tokenizer, where=place, tokenizer_where=counted_by, name=name)
    found.values["characters_per_token"] = per_token.mean
    found.values["characters_per_token_low"] = per_token.low
    found.values["characters_per_token_high"] = per_token.high
    found.origins.append(per_token.origin)


def _add_price(found: Read, model: str, key: Key, question: Loaded, catalog: Catalog, day: dt.date) -> None:  # type: ignore[type-arg]
    price = find_price(catalog, model, day, where=question.document.field_place((*key, "price_model")))
    rates = price.standard
    looked_up = {
        "usd_per_mtok_input": rates.usd_per_mtok_input,
        "usd_per_mtok_cached": rates.usd_per_mtok_cached_input,
        "usd_per_mtok_output": rates.usd_per_mtok_output,
    }
    found.values.update(looked_up)
    for name, value in looked_up.items():
        if name != "usd_per_mtok_cached" or found.values["cached_share"]:
            place = path_text((*key, name))
            found.origins.append(Input(place, value, price.where, price.source))
    if found.values["cached_share"]:
        found.notes.extend(price.notes)
