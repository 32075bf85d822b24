"""Scenario specs: every field's domain, and that a value outside it is named with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.documents.length import Length
from planner.documents.spec import field_names, load, shown
from planner.documents.yaml_reader import parse_document
from planner.errors import EXIT_BAD_INPUT, BadInputError
from planner.scenario.scenario import ScenarioSpec

FIELDS = {"answers_per_day": "1e6", "input_tokens": "1268", "answer_tokens": "392"}


def text(extra: str = "", **workload: str | None) -> str:
    """Return a scenario with some workload fields changed (None: left out) and some lines added."""
    fields = {**FIELDS, **workload}
    lines = [f"  {name}: {value}" for name, value in fields.items() if value is not None]
    return "\n".join(["name: q", "model: m", "workload:", *lines, extra, ""])


def spec(extra: str = "", **workload: str | None) -> ScenarioSpec:
    """Return the validated scenario."""
    return load(ScenarioSpec, parse_document(text(extra, **workload), "s.yaml")).spec


def refusal(extra: str = "", **workload: str | None) -> str:
    """Return what is said about a scenario that must be refused."""
    with pytest.raises(BadInputError) as caught:
        spec(extra, **workload)
    assert caught.value.exit_code == EXIT_BAD_INPUT
    return str(caught.value)


TIERS = "'on_demand', 'spot', 'committed_1y', 'committed_3y', 'capacity_block' or 'owned'"
NOT_A_LENGTH = "expected a number, {mean, cv}, {p50, p90} or {histogram: file.csv}"


@pytest.mark.parametrize(
    ("field", "value", "place", "says"),
    [
        ("answer_tokens", "-500", "6:18 workload.answer_tokens", "-500 is negative; expected a number of at least 0"),
        ("answer_tokens", "0", "6:18 workload.answer_tokens", "0 is out of range; expected at least 1 visible token"),
        ("answer_tokens", "many", "6:18 workload.answer_tokens", f"'many' is text; {NOT_A_LENGTH}"),
        ("answer_tokens", "'392'", "6:18 workload.answer_tokens", f"'392' is text; {NOT_A_LENGTH}"),
        ("answer_tokens", "1,000", "6:18 workload.answer_tokens", f"'1,000' is text; {NOT_A_LENGTH}"),
        ("answer_tokens", "[1, 2]", "6:18 workload.answer_tokens", f"[1, 2] is not valid here; {NOT_A_LENGTH}"),
        ("answer_tokens", "true", "6:18 workload.answer_tokens", f"true is not valid here; {NOT_A_LENGTH}"),
        ("answer_tokens", "{}", "6:18 workload.answer_tokens", f"{NOT_A_LENGTH}"),
        ("answer_tokens", "{mean: 5, p50: 3}", "6:18 workload.answer_tokens", f"{NOT_A_LENGTH}"),
        ("answer_tokens", "{cv: 1}", "6:18 workload.answer_tokens", f"{NOT_A_LENGTH}"),
        (
            "answer_tokens",
            "{mean: -1}",
            "6:25 workload.answer_tokens.mean",
            "-1 is negative; expected a number of at least 0",
        ),
        (
            "answer_tokens",
            "{mean: 1, cv: -1}",
            "6:32 workload.answer_tokens.cv",
            "-1 is negative; expected a number of at least 0",
        ),
        ("answer_tokens", "{men: 5}", "6:24 workload.answer_tokens.men", "unknown field. Did you mean mean?"),
        (
            "answer_tokens",
            "{p50: 5, p90: 3}",
            "6:18 workload.answer_tokens",
            "p90 3 is below p50 5; expected a p90 above the p50",
        ),
        (
            "answer_tokens",
            "{points: [[1, 0]]}",
            "6:18 workload.answer_tokens",
            "the weights of the histogram sum to 0; expected rows of value and weight",
        ),
        (
            "answer_tokens",
            "1e300",
            "6:18 workload.answer_tokens",
            "1e+300 is out of range; expected between 1e-21 and 1e+21",
        ),
        ("input_tokens", "0", "5:17 workload.input_tokens", "0 is out of range; expected at least 1 token"),
        (
            "reasoning_multiplier",
            "0.9",
            "7:25 workload.reasoning_multiplier",
            "0.9 is out of range; expected at least 1 (all generated tokens over visible ones)",
        ),
        (
            "reasoning_multiplier",
            "{mean: 0.5, cv: 1}",
            "7:25 workload.reasoning_multiplier",
            "0.5 is out of range; expected at least 1 (all generated tokens over visible ones)",
        ),
        ("reasoning_tokens", "-1", "7:21 workload.reasoning_tokens", "-1 is negative; expected a number of at least 0"),
        (
            "cached_share",
            "1.01",
            "7:17 workload.cached_share",
            "1.01 is out of range; expected a share between 0 and 1",
        ),
        ("cached_share", "-0.1", "7:17 workload.cached_share", "-0.1 is negative; expected a number of at least 0"),
        (
            "cached_share",
            "{p50: 0.5, p90: 2}",
            "7:17 workload.cached_share",
            "2 is out of range; expected a share between 0 and 1",
        ),
        (
            "cached_share",
            "{points: [[3, 1]]}",
            "7:17 workload.cached_share",
            "3 is out of range; expected a share between 0 and 1",
        ),
        ("answers_per_day", "0", "4:20 workload.answers_per_day", "0 is zero; expected a number above 0"),
        ("answers_per_day", "-1e6", "4:20 workload.answers_per_day", "-1000000 is negative; expected a number above 0"),
        ("answers_per_day", "lots", "4:20 workload.answers_per_day", "'lots' is text; expected a number"),
        (
            "answers_per_day",
            "{mean: 5}",
            "4:20 workload.answers_per_day",
            "{mean: 5} is not valid here; expected a number",
        ),
        ("samples_per_answer", "0", "7:23 workload.samples_per_answer", "0 is zero; expected a number of at least 1"),
        (
            "samples_per_answer",
            "1.5",
            "7:23 workload.samples_per_answer",
            "1.5 is not valid here; expected a whole number",
        ),
        (
            "turns_per_answer",
            "1e200",
            "7:21 workload.turns_per_answer",
            "1e+200 is too large; expected a number of at most 1e+06",
        ),
        ("max_tokens", "-1", "7:15 workload.max_tokens", "-1 is negative; expected a number of at least 1"),
        (
            "answer_token",
            "1",
            "7:17 workload.answer_token",
            "unknown field. Did you mean answer_tokens, shared_tokens, max_tokens?",
        ),
    ],
)
def test_a_bad_workload_value_is_one_exact_line(field: str, value: str, place: str, says: str) -> None:
    """file:line:column field.path: what is wrong; what is expected."""
    assert refusal(**{field: value}) == f"s.yaml:{place}: {says}"


@pytest.mark.parametrize(
    ("extra", "place", "says"),
    [
        ("slo: {ttft_p95_s: 0}", "7:19 slo.ttft_p95_s", "0 is zero; expected a number above 0"),
        (
            "slo: {ttft_p96_s: 1}",
            "7:19 slo.ttft_p96_s",
            "unknown field. Did you mean ttft_p99_s, ttft_p95_s, ttft_p50_s?",
        ),
        ("slo: fast", "7:6 slo", "'fast' is not valid here; expected a mapping of fields"),
        (
            "demand: {peak_to_mean: 0.5}",
            "7:24 demand.peak_to_mean",
            "0.5 is too small; expected a number of at least 1",
        ),
        ("demand: {burst: 1e9}", "7:17 demand.burst", "1000000000 is too large; expected a number of at most 1e+06"),
        (
            "demand: {growth_per_month: -1}",
            "7:28 demand.growth_per_month",
            "-1 is negative; expected a number of at least -0.9",
        ),
        (
            "demand: {horizon_months: 1.5}",
            "7:26 demand.horizon_months",
            "1.5 is not valid here; expected a whole number",
        ),
        ("fleet: {headroom: 1}", "7:19 fleet.headroom", "1 is too large; expected a number below 1"),
        ("fleet: {headroom: -0.1}", "7:19 fleet.headroom", "-0.1 is negative; expected a number of at least 0"),
        ("fleet: {availability: 1}", "7:23 fleet.availability", "1 is too large; expected a number below 1"),
        ("fleet: {max_gpus: 0}", "7:19 fleet.max_gpus", "0 is zero; expected a number of at least 1"),
        ("fleet: {gpus: []}", "7:15 fleet.gpus", "[] is not valid here; expected at least 1"),
        ("fleet: {billing: meen}", "7:18 fleet.billing", "'meen' is not valid here; expected one of 'peak' or 'mean'"),
        ("prices: {tiers: [spt]}", "7:18 prices.tiers[0]", f"'spt' is not valid here; expected one of {TIERS}"),
        ("prices: {extra_share: -1}", "7:23 prices.extra_share", "-1 is negative; expected a number of at least 0"),
        ("quality: {accuracy: 1.2}", "7:21 quality.accuracy", "1.2 is too large; expected a number of at most 1"),
        ("quality: {accuracy: 0}", "7:21 quality.accuracy", "0 is zero; expected a number of at least 1e-06"),
        ("energy: {pue: 0.9}", "7:15 energy.pue", "0.9 is too small; expected a number of at least 1"),
        ("modle: x", "7:8 modle", "unknown field. Did you mean model?"),
        ("zzz: x", "7:6 zzz", f"unknown field. Known: {', '.join(ScenarioSpec.model_fields)}."),
        ("sources: {a: {title: t}}", "7:14 sources.a.checked", "is missing; expected a value"),
        ("overrides: {a: 5}", "7:16 overrides.a", "5 is not valid here; expected a mapping"),
        ("overrides: 5", "7:12 overrides", "5 is not valid here; expected a mapping"),
        (
            "slo: {source: nowhere, ttft_p95_s: 1}",
            "7:6",
            "source: nowhere is not declared; expected the name of an entry of `sources`. Known: none.",
        ),
    ],
)
def test_a_bad_value_of_another_section_is_one_exact_line(extra: str, place: str, says: str) -> None:
    """Shares outside 0-1, factors below 1, unknown fields with the nearest: each in one line."""
    assert refusal(extra) == f"s.yaml:{place}: {says}"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"answers_per_day": None}, "workload: no rate is given; expected exactly one of answers_per_second,"),
        ({"answers_per_day": "null"}, "workload: no rate is given"),
        ({"answers_per_hour": "1"}, "workload: answers_per_hour and answers_per_day are given together; expected one"),
        ({"users": "{count: 1, answers_per_day: 1}"}, "workload: answers_per_day and users are given together"),
        ({"tokens_per_day": "{input: 1, output: 1}"}, "workload: several rates are given; expected exactly one of"),
        (
            {"reasoning_multiplier": "2", "effort": "high"},
            "workload: reasoning_multiplier and effort are given together",
        ),
        ({"input_tokens": None}, "workload: input_tokens is missing; expected a number or a distribution"),
        ({"answer_tokens": None}, "workload: answer_tokens is missing; expected a number or a distribution"),
        ({"classes": "[{name: a, share: 0.5}, {name: b, share: 0.4}]"}, "shares of the classes sum to 0.9; expected 1"),
        ({"classes": "[{name: a, share: 0.5}, {name: b}]"}, "the shares of the classes sum to 0.5; expected 1"),
        (
            {"classes": "[{name: a, share: 1.5}, {name: b}]"},
            "classes[0].share: 1.5 is too large; expected a number of at",
        ),
        ({"classes": "[{name: a, answers_per_day: 1}]"}, "rates are mixed; expected a rate for every class, or one"),
        (
            {"classes": "[{name: a, answers_per_day: 1}, {name: b}]", "answers_per_day": None},
            "some classes have a rate and some have none; expected a rate for every class",
        ),
        (
            {"classes": "[{name: a, share: 1}]", "input_tokens": None},
            "workload: input_tokens of the class 'a' is missing; expected a number or a distribution",
        ),
    ],
)
def test_fields_that_contradict_each_other_are_refused(change: dict[str, str | None], says: str) -> None:
    """No rate, two rates, two ways of reasoning, shares that do not sum to 1: one line at the workload."""
    line = refusal(**change)
    assert line.startswith("s.yaml:4:3 workload" if "classes[0]" not in says else "s.yaml:7:")
    assert says in line
    assert "\n" not in line


def test_every_problem_of_a_file_is_told_at_once() -> None:
    """Three mistakes are three lines, in the file's terms, not one at a time."""
    lines = refusal("slo: {tpot_p95_s: -1}\nmodle: x", answer_tokens="-5").splitlines()
    assert [line.split(": ")[0] for line in lines] == [
        "s.yaml:6:18 workload.answer_tokens",
        "s.yaml:7:19 slo.tpot_p95_s",
        "s.yaml:8:8 modle",
    ]


def test_what_is_missing_is_named() -> None:
    """An empty question names each field it needs."""
    with pytest.raises(BadInputError) as caught:
        load(ScenarioSpec, parse_document("title: x", "s.yaml"))
    assert str(caught.value).splitlines() == [
        f"s.yaml:1:1 {name}: is missing; expected a value" for name in ("name", "model", "workload")
    ]


def test_tokens_per_day_need_measured_rates() -> None:
    """Tokens alone say nothing about answers; only a measured node can be sized by them."""
    tokens = {"answers_per_day": None, "tokens_per_day": "{input: 1e9, output: 1e8}"}
    assert "workload.tokens_per_day needs measured_rates" in refusal(**tokens)
    rates = "measured_rates: {input_tokens_per_s_per_node: 1, output_tokens_per_s_per_node: 1}"
    assert spec(rates, **tokens).measured_rates is not None


@pytest.mark.parametrize(
    ("rate", "per_second"),
    [
        ({"answers_per_second": "2"}, 2.0),
        ({"answers_per_hour": "7200"}, 2.0),
        ({"answers_per_day": "172_800"}, 2.0),
        ({"answers_per_month": "5.256e6"}, 2.0),  # a month is 730 h: 2 / s * 3600 * 730
        ({"users": "{count: 86400, answers_per_day: 2}"}, 2.0),
    ],
)
def test_each_way_to_give_a_rate_is_the_same_rate(rate: dict[str, str], per_second: float) -> None:
    """Seconds, hours, days of 24 h, months of 730 h and users agree."""
    found = spec(**{"answers_per_day": None, **rate}).workload.rate_per_s()
    assert found == pytest.approx(per_second, rel=1e-12)


@pytest.mark.parametrize(
    ("written", "mean"),
    [
        ("392", 392.0),
        ("{mean: 392, cv: 1.5}", 392.0),
        ("{points: [[100, 1], [300, 3]]}", 250.0),
        ("{p50: 10, p90: 20}", 10.0),
    ],
)
def test_each_form_of_a_length_is_accepted(written: str, mean: float) -> None:
    """A number, a mean with its spread, points and percentiles (typical: the median)."""
    length = spec(answer_tokens=written).workload.answer_tokens
    assert length is not None
    assert length.typical() == mean


def test_a_number_with_a_source_is_the_number() -> None:
    """{value, source} is accepted wherever a number is."""
    sources = "sources: {s: {title: t, checked: 2026-11-24}}"
    found = spec(sources, answer_tokens="{value: 392, source: s}", answers_per_day="{value: 1e6, source: s}")
    assert found.workload.answers_per_day == 1e6
    assert found.workload.answer_tokens == Length(mean=392.0)


@pytest.mark.parametrize(
    ("written", "gpus"), [("any", None), ("h100-sxm", ("h100-sxm",)), ("[a, b]", ("a", "b")), ("null", None)]
)
def test_names_are_any_one_or_a_list(written: str, gpus: tuple[str, ...] | None) -> None:
    """`any` filters nothing, one name is a list of one."""
    assert spec(f"fleet: {{gpus: {written}}}").fleet.gpus == gpus


def test_one_price_tier_needs_no_brackets() -> None:
    """`--set prices.tiers=spot` is what people type."""
    assert spec("prices: {tiers: spot}").prices.tiers == ("spot",)


def test_a_spec_cannot_be_changed() -> None:
    """What was validated stays as validated."""
    found = spec()
    with pytest.raises(ValueError, match="frozen"):
        found.name = "other"  # type: ignore[misc]


@given(st.floats(min_value=1e-21, max_value=1e21))
def test_every_positive_rate_is_taken_as_written(rate: float) -> None:
    """A rate inside the domain is kept exactly."""
    assert spec(answers_per_day=repr(rate)).workload.answers_per_day == rate


@given(st.one_of(st.floats(max_value=-1e-300, allow_infinity=False), st.just(0.0), st.just(-0.0)))
def test_no_rate_that_is_not_positive_passes(rate: float) -> None:
    """Zero and everything below is refused, whatever its size."""
    line = refusal(answers_per_day=repr(rate))
    assert "is zero" in line or "is negative" in line


def test_shown_values_read_as_they_were_written() -> None:
    """Messages show YAML, not Python, and shorten what is long."""
    assert shown((1, "a", None)) == "[1, 'a', null]"
    assert shown({"mean": True}) == "{mean: true}"
    assert shown("x" * 100) == "'" + "x" * 58 + "…"


def test_fields_are_found_through_lists_and_optional_parts() -> None:
    """Hints need the fields of a class inside a list and of an optional part."""
    assert "share" in field_names(ScenarioSpec, ("workload", "classes", 0))
    assert field_names(ScenarioSpec, ("workload", "users")) == ["count", "answers_per_day"]
    assert field_names(ScenarioSpec, ("name",)) == []
