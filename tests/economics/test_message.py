"""A message's numbers: as given, by a kind of text, by an API's price, each with where it comes from."""

import datetime as dt

import pytest

from planner.catalog.catalog import Catalog
from planner.documents.spec import Loaded, load
from planner.documents.yaml_reader import parse_document
from planner.economics.message import Read, read_message
from planner.economics.questions.plan import PlanFile
from planner.errors import BadInputError, DataMissingError

CATALOG = Catalog()
KEY = ("limits", 0, "api")


def plan(api: str) -> Loaded[PlanFile]:
    """Return a plan of one limit with an API's message."""
    limit = f"{{model: a, messages: 1, window_hours: 24, api: {{{api}}}}}"
    return load(PlanFile, parse_document(f"name: p\nas_of: 2025-02-28\nlimits:\n  - {limit}\n", "p.yaml"))


def read(api: str) -> Read:
    """Return what is read of that message."""
    question = plan(api)
    return read_message(question.spec.limits[0].api, KEY, question, CATALOG, question.spec.as_of)


def test_no_message_has_no_numbers() -> None:
    """A limit without an API's message reads nothing."""
    question = plan("tokens: 5, price_model: o1, input_tokens: 0")
    assert read_message(None, KEY, question, CATALOG, dt.date(2025, 2, 28)) == Read({})


def test_what_is_given_stays_as_it_is() -> None:
    """Prices of the file: cached input without a price of its own costs what other input does; nothing is looked up."""
    found = read("tokens: 5, input_tokens: 7, usd_per_mtok_input: 1, usd_per_mtok_output: 4")
    assert found.values == {
        "cached_share": 0.0,
        "tokens": 5.0,
        "input_tokens": 7.0,
        "usd_per_mtok_input": 1.0,
        "usd_per_mtok_cached_input": 1.0,
        "usd_per_mtok_output": 4.0,
    }
    assert (found.origins, found.notes) == ([], [])


def test_an_exact_ratio_has_no_range() -> None:
    """A given number of characters per token is its own smallest and largest."""
    values = read("characters: 9, characters_per_token: 3, price_model: o1, input_tokens: 0").values
    assert {values[f"characters_per_token{end}"] for end in ("", "_low", "_high")} == {3.0}


def test_a_kind_of_text_brings_its_range_and_its_source() -> None:
    """Thinking and code lie between all Python and all LaTeX; the ratio is named as the file would name it."""
    found = read("characters: 9, text: thinking-and-code, price_model: o1, input_tokens: 0")
    ends = [found.values[f"characters_per_token{end}"] for end in ("_low", "", "_high")]
    assert ends == sorted(ends)
    assert ends[0] < ends[2]
    ratio = next(i for i in found.origins if i.name == "limits[0].api.characters_per_token")
    assert ratio.value == ends[1]
    assert "scenarios/texts/thinking-and-code.yaml" in ratio.where


def test_a_looked_up_price_names_its_table() -> None:
    """o1 cost $15 and $60 on that day; its cached price has a source only where some input is cached."""
    plain = read("tokens: 5, price_model: o1, input_tokens: 7")
    assert [plain.values[f"usd_per_mtok_{n}"] for n in ("input", "cached_input", "output")] == [15.0, 7.5, 60.0]
    names = [i.name.rpartition(".")[2] for i in plain.origins]
    assert names == ["usd_per_mtok_input", "usd_per_mtok_output"]
    assert all("hardware/api_prices/openai.yaml" in i.where for i in plain.origins)
    cached = read("tokens: 5, price_model: o1, input_tokens: 7, cached_share: 0.5")
    assert "usd_per_mtok_cached_input" in [i.name.rpartition(".")[2] for i in cached.origins]


def test_what_is_not_known_is_said_with_its_place() -> None:
    """A kind of text, a tokenizer and a price that nobody has, and a text counted by several."""
    rest = "price_model: o1, input_tokens: 0"
    for api, fault in (
        (f"characters: 9, text: code-pyton, {rest}", "Did you mean code-python"),
        (f"characters: 9, text: code-python, tokenizer: o200, {rest}", "Did you mean o200k"),
        ("tokens: 5, price_model: o11, input_tokens: 0", "no API price of 'o11'"),
    ):
        with pytest.raises(DataMissingError, match=r"p\.yaml:4") as missing:
            read(api)
        assert fault in str(missing.value)
    with pytest.raises(BadInputError, match="code-python needs a tokenizer"):
        read(f"characters: 9, text: code-python, {rest}")
