"""The base of every spec: lists and `any`, plausible ranges, values as users write them, sources that exist."""

import datetime as dt
from collections.abc import Sequence
from typing import Annotated, Any

import pytest
from pydantic import Field

from planner.documents.length import AnyLength, Length
from planner.documents.spec import (
    LARGEST,
    SMALLEST,
    Day,
    DayOrLatest,
    FileSpec,
    Names,
    NonNegative,
    Positive,
    Share,
    Sizes,
    Spec,
    field_names,
    load,
    one_or_many,
    shown,
)
from planner.documents.yaml_reader import parse_document
from planner.errors import BadInputError
from planner.scenario.scenario import ScenarioSpec


class Part(Spec):
    """A nested spec."""

    share: Share | None = None
    length: AnyLength | None = None


class Example(FileSpec):
    """One field of every shared type."""

    size: Positive | None = None
    wait: NonNegative | None = None
    names: Names = None
    sizes: Sizes = None
    day: Day | None = None
    as_of: DayOrLatest = "latest"
    parts: Annotated[tuple[Part, ...], Field(min_length=1)] | None = None


def read(text: str) -> Example:
    """Return a text as an Example."""
    return load(Example, parse_document(text, "e.yaml")).spec


def refusal(text: str) -> str:
    """Return what is said about a text that is no Example."""
    with pytest.raises(BadInputError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "names"),
    [("any", None), ("[any]", None), ("null", None), ("h100-sxm", ("h100-sxm",)), ("[a, b]", ("a", "b"))],
)
def test_any_one_name_or_a_list(text: str, names: tuple[str, ...] | None) -> None:
    """`any`, also as the only entry of a list, is every one; a name alone is a list of it."""
    assert read(f"names: {text}").names == names


@pytest.mark.parametrize(("text", "sizes"), [("any", None), ("8", (8,)), ("[1, 8]", (1, 8))])
def test_sizes_are_whole_numbers(text: str, sizes: tuple[int, ...] | None) -> None:
    """A size or a list of them."""
    assert read(f"sizes: {text}").sizes == sizes


def test_one_or_many_leaves_a_list_as_it_is() -> None:
    """Only the form changes, never a value."""
    assert [one_or_many(v) for v in (("a", "any"), "a", 3, None)] == [("a", "any"), ("a",), (3,), None]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("size: 0", "e.yaml:1:7 size: 0 is zero; expected a number above 0"),
        ("size: -1", "e.yaml:1:7 size: -1 is negative; expected a number above 0"),
        ("size: 1e22", f"e.yaml:1:7 size: 1e+22 is out of range; expected between {SMALLEST:g} and {LARGEST:g}"),
        ("size: 1e-22", f"e.yaml:1:7 size: 1e-22 is out of range; expected between {SMALLEST:g} and {LARGEST:g}"),
        ("size: big", "e.yaml:1:7 size: 'big' is text; expected a number"),
        ("size: true", "e.yaml:1:7 size: true is not valid here; expected a number"),
        ("sizes: [0]", "e.yaml:1:9 sizes[0]: 0 is zero; expected a number of at least 1"),
        ("names: []", "e.yaml:1:8 names: [] is not valid here; expected at least 1"),
        ("day: 5", "e.yaml:1:6 day: 5 is not valid here; expected a date, YYYY-MM-DD"),
        ("as_of: soon", "e.yaml:1:8 as_of: 'soon' is not a day; expected a date, YYYY-MM-DD, or latest"),
        ("parts: [{share: 1.5}]", "e.yaml:1:17 parts[0].share: 1.5 is too large; expected a number of at most 1"),
        ("parts: [{shar: 1}]", "e.yaml:1:16 parts[0].shar: unknown field. Did you mean share?"),
        ("parts: 5", "e.yaml:1:8 parts: 5 is not valid here; expected a list"),
    ],
)
def test_a_wrong_value_is_one_line_with_place_fault_and_expectation(text: str, line: str) -> None:
    """The user reads where, what, and what would do; a number's fault is told by its size."""
    assert refusal(text) == line


def test_a_source_must_be_declared() -> None:
    """A name under `source:` is an entry of `sources`; the near one is shown."""
    sources = "sources: {maker: {title: Sheet, checked: 2026-11-01}}"
    assert refusal(f"size: {{value: 1, source: makr}}\n{sources}") == (
        "e.yaml:1:15: source: makr is not declared; expected the name of an entry of `sources`. Did you mean maker?"
    )
    assert read(f"size: {{value: 1, source: maker}}\n{sources}").size == 1.0


@pytest.mark.parametrize("value", ["0", "1e-21", "1e21"])
def test_the_ends_of_the_plausible_range_are_in_it(value: str) -> None:
    """Zero is no time at all, and is allowed where a number may be zero."""
    assert read(f"wait: {value}").wait == float(value)


def test_every_problem_of_a_file_is_told_at_once() -> None:
    """Two faults, two lines, in the file's order."""
    assert refusal("size: -1\nnames: 5\nday: 2026-13-01x").splitlines() == [
        "e.yaml:1:7 size: -1 is negative; expected a number above 0",
        "e.yaml:2:8 names: 5 is not valid here; expected text",
        "e.yaml:3:6 day: '2026-13-01x' is not valid here; expected a date, YYYY-MM-DD",
    ]


def test_a_date_of_json_is_a_date() -> None:
    """JSON has no dates: an ISO text in quotes is one; a day that no calendar has is refused."""
    assert read('day: "2026-02-28"').day == dt.date(2026, 2, 28)
    assert refusal('day: "2026-02-30"').endswith("2026-02-30 is not a calendar date; expected YYYY-MM-DD")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        (0.5, "0.5"),
        (10**16, "1e+16"),
        ("a", "'a'"),
        (("a", 1, None), "['a', 1, null]"),
        ({"mean": 5, "cv": False}, "{mean: 5, cv: false}"),
    ],
)
def test_values_are_shown_as_yaml_writes_them(value: Any, text: str) -> None:
    """No Python word (None, True, tuples) reaches a message."""
    assert shown(value) == text


def test_a_long_value_is_shortened() -> None:
    """A message stays a line: 60 letters, the last one an ellipsis."""
    assert shown("x" * 100) == "'" + "x" * 58 + "…"
    assert len(shown(tuple(range(100)))) == 60


@pytest.mark.parametrize(
    ("key", "some"),
    [
        ((), ["name", "model", "workload"]),
        (("workload",), ["answer_tokens", "classes"]),
        (("workload", "classes", 3), ["share", "model"]),
        (("workload", "input_tokens"), ["mean", "cv", "p90"]),
    ],
)
def test_fields_are_known_at_every_depth(key: tuple[str | int, ...], some: Sequence[str]) -> None:
    """Through optional fields, lists and unions."""
    assert set(some) <= set(field_names(ScenarioSpec, key))
    assert field_names(ScenarioSpec, ("name", "x")) == []


@pytest.mark.parametrize(
    ("text", "length", "typical"),
    [
        ("5", Length(mean=5), 5.0),
        ("{mean: 5, cv: 1.5}", Length(mean=5, cv=1.5), 5.0),
        ("{p50: 4, p90: 40}", Length(p50=4, p90=40), 4.0),
        ("{points: [[10, 1], [40, 2]]}", Length(points=((10, 1), (40, 2))), 30.0),
    ],
)
def test_each_form_of_a_length_has_its_typical_value(text: str, length: Length, typical: float) -> None:
    """The mean; the median where quantiles are given; the weighted mean of a histogram (10 + 2 x 40) / 3."""
    (part,) = read(f"parts: [{{length: {text}}}]").parts or ()
    assert part.length == length
    assert length.typical() == typical


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{mean: 5, p50: 4}", "expected a number, {mean, cv}, {p50, p90} or {histogram: file.csv}"),
        ("{cv: 1}", "expected a number, {mean, cv}, {p50, p90} or {histogram: file.csv}"),
        ("{p50: 4}", "expected a number, {mean, cv}, {p50, p90} or {histogram: file.csv}"),
        ("{p50: 4, p90: 3}", "p90 3 is below p50 4; expected a p90 above the p50"),
        ("{p50: 1, p90: 2e6}", "p90 2e+06 is more than 1e+06 times p50 1; expected a p90 above the p50"),
        ("{points: []}", "the weights of the histogram sum to 0; expected rows of value and weight"),
        ("{points: [[5, 0]]}", "the weights of the histogram sum to 0; expected rows of value and weight"),
        ("{points: [[5, 1]], mean: 5}", "expected a number, {mean, cv}, {p50, p90} or {histogram: file.csv}"),
        ("short", "'short' is text; expected a number, {mean, cv}, {p50, p90} or {histogram: file.csv}"),
        ("true", "true is not valid here; expected a number, {mean, cv}, {p50, p90} or {histogram: file.csv}"),
    ],
)
def test_what_is_no_length_is_refused(text: str, says: str) -> None:
    """Mixed or incomplete forms, quantiles in the wrong order, histograms without weight."""
    assert refusal(f"parts: [{{length: {text}}}]") == f"e.yaml:1:18 parts[0].length: {says}"
