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
    read = Read(values)
    if message.characters_per_token is not None:
        values["characters_per_token_low"] = values["characters_per_token_high"] = message.characters_per_token
    if message.usd_per_mtok_input is not None:
        values["usd_per_mtok_cached_input"] = message.usd_per_mtok_input
    if message.text is not None:
        where, counted_by = (question.document.field_place((*key, name)) for name in ("text", "tokenizer"))
        name = path_text((*key, "characters_per_token"))
        ratio = characters_per_token(
            catalog, message.text, message.tokenizer, where=where, tokenizer_where=counted_by, name=name
        )
        values["characters_per_token"] = ratio.mean
        values |= {"characters_per_token_low": ratio.low, "characters_per_token_high": ratio.high}
        read.origins.append(ratio.origin)
    if message.price_model is not None:
        _add_price(read, message.price_model, key, question, catalog, day)
    return read


def _add_price(read: Read, model: str, key: Key, question: Loaded, catalog: Catalog, day: dt.date) -> None:  # type: ignore[type-arg]
    """Add an API's price on a day; its cached rate only counts where some of the input is cached."""
    price = find_price(catalog, model, day, where=question.document.field_place((*key, "price_model")))
    rates, cached = vars(price.standard), read.values["cached_share"] > 0.0
    read.values.update(rates)
    for name, value in rates.items():
        if name != "usd_per_mtok_cached_input" or cached:
            read.origins.append(Input(path_text((*key, name)), value, price.where, price.source))
    if cached:
        read.notes.extend(price.notes)
