"""From a file to a question: overrides, --set, histograms, stdin, and where each value came from."""

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.catalog.catalog import Catalog
from planner.documents.yaml_reader import parse_document
from planner.errors import EXIT_DATA_MISSING, BadInputError, DataMissingError, PlannerError
from planner.scenario.load import (
    EXCLUSIVE,
    REPLACES,
    Scenario,
    build_scenario,
    changed,
    load_scenario,
    open_scenario,
    parse_path,
    parse_value,
    read_histogram,
)

TEXT = """\
name: q
model: m
workload:
  answers_per_day: 1e6
  input_tokens: 1268
  answer_tokens: {mean: 392, cv: 1.5}
  reasoning_multiplier: 3.9
overrides:
"""


FIXED = "cannot be overridden; expected a field of the scenario"
NO_PATH = "is not a field path; expected e.g. workload.reasoning_multiplier"
TIERS = "'on_demand', 'spot', 'committed_1y', 'committed_3y', 'capacity_block' or 'owned'"
NEAR = "answer_tokens, shared_tokens, max_tokens"


def build(override: str | None = None, overrides: str = "  a: {}", **changes: Any) -> Scenario:
    """Return the question with an override of the text above applied, and changes by path."""
    document = parse_document(TEXT + overrides, "s.yaml")
    return build_scenario(document, Path(), override=override, changes=changes)


def refusal(override: str | None = None, overrides: str = "  a: {}", **changes: Any) -> str:
    """Return what is said about a question that must be refused."""
    with pytest.raises(PlannerError) as caught:
        build(override, overrides, **changes)
    return str(caught.value)


def test_an_override_changes_only_what_it_names() -> None:
    """The variant has the new value and the label; the rest is the baseline's."""
    found = build("cheap", "  cheap: {workload.reasoning_multiplier: 2, model: other}")
    assert found.label == "q/cheap"
    assert found.spec.model == "other"
    assert found.spec.workload.reasoning_multiplier is not None
    assert found.spec.workload.reasoning_multiplier.mean == 2.0
    assert found.spec.workload.answers_per_day == 1e6
    assert build(overrides="  cheap: {model: other}").label == "q"


@pytest.mark.parametrize(
    ("change", "dropped", "kept"),
    [
        ({"workload.answers_per_second": 5}, "answers_per_day", "answers_per_second"),
        ({"workload.users": {"count": 5, "answers_per_day": 1}}, "answers_per_day", "users"),
        ({"workload.reasoning_tokens": 100}, "reasoning_multiplier", "reasoning_tokens"),
        ({"workload.effort": "high"}, "reasoning_multiplier", "effort"),
    ],
)
def test_setting_one_of_several_ways_replaces_the_other(change: dict[str, Any], dropped: str, kept: str) -> None:
    """Another rate or another way to reason replaces the baseline's instead of contradicting it."""
    workload = build(**change).spec.workload
    assert getattr(workload, dropped) is None
    assert getattr(workload, kept) is not None


@pytest.mark.parametrize("group", [pytest.param(sorted(g), id=min(g)) for g in EXCLUSIVE])
def test_clearing_one_of_several_ways_drops_no_other(group: list[str]) -> None:
    """`null` takes a field away; only a value takes the place of the others."""
    values = {"users": {"count": 5, "answers_per_day": 1}, "effort": "high"}
    for kept in group:
        for cleared in (name for name in group if name != kept):
            document = parse_document("workload: {}", "s.yaml")
            for name, value in ((kept, values.get(kept, 2)), (cleared, None)):
                document = changed(document, ("workload", name), value, "--set")
            assert document.data["workload"] == {kept: values.get(kept, 2), cleared: None}


@pytest.mark.parametrize(
    ("kept", "cleared"), [(name, other) for name, others in REPLACES.items() for other in sorted(others)]
)
def test_clearing_a_price_keeps_who_quotes_it_and_the_other_way_round(kept: str, cleared: str) -> None:
    """A price as a number, or by who quotes it: null of the one does not drop the other."""
    document = changed(parse_document(f"rent_out: {{{cleared}: 1}}", "s.yaml"), ("rent_out", cleared), None, "--set")
    document = changed(document, ("rent_out", kept), 2, "--set")
    assert changed(document, ("rent_out", cleared), None, "--set").data["rent_out"] == {kept: 2, cleared: None}


def test_a_part_of_a_mapping_can_be_set() -> None:
    """--set workload.answer_tokens.cv=0.5 keeps the mean; .mean of a plain number is the number."""
    changed = build(**{"workload.answer_tokens.cv": 0.5, "workload.input_tokens.mean": 100})
    assert changed.spec.workload.answer_tokens is not None
    assert (changed.spec.workload.answer_tokens.mean, changed.spec.workload.answer_tokens.cv) == (392.0, 0.5)
    assert changed.spec.workload.input_tokens is not None
    assert changed.spec.workload.input_tokens.mean == 100.0


def test_a_section_that_is_not_there_is_made() -> None:
    """--set slo.ttft_p95_s=2 works for a file without slo."""
    assert build(**{"slo.ttft_p95_s": 2}).spec.slo.ttft_p95_s == 2.0


def test_an_entry_of_a_list_can_be_set() -> None:
    """workload.classes[1].share names the second class."""
    document = parse_document(
        TEXT.replace("overrides:\n", "") + "  classes: [{name: a, share: 0.5}, {name: b, share: 0.5}]\n",
        "s.yaml",
    )
    changes = {"workload.classes[0].share": 0.25, "workload.classes[1].share": 0.75}
    found = build_scenario(document, Path(), changes=changes)
    assert [c.share for c in found.spec.workload.classes] == [0.25, 0.75]


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        ("  a: {overrides.b: 1}", f"s.yaml:9:20: 'overrides.b' {FIXED}"),
        ("  a: {overrides: {}}", f"s.yaml:9:18: 'overrides' {FIXED}"),
        ("  a: {sources.x: 1}", f"s.yaml:9:18: 'sources.x' {FIXED}"),
        ("  a: {workload..x: 1}", f"s.yaml:9:20: 'workload..x' {NO_PATH}"),
        ("  a: {model.x: 1}", "s.yaml:9:16: 'x' is a field of a plain value; expected a mapping"),
        ("  a: {wrkload.x: 1}", "s.yaml:9:18 wrkload: unknown field. Did you mean workload?"),
        ("  a: {workload.answer_token: 1}", f"s.yaml:9:30 workload.answer_token: unknown field. Did you mean {NEAR}?"),
        (
            "  a: {workload.answer_tokens: -1}",
            "s.yaml:9:31 workload.answer_tokens: -1 is negative; expected a number of at least 0",
        ),
        ("  a: {'workload.classes[3].share': 1}", "s.yaml:9:36: [3] is an index, but the field is not a list"),
        ("  a: {workload: 5}", "s.yaml:9:17 workload: 5 is not valid here; expected a mapping of fields"),
        ("  a: 5", "s.yaml:9:6: overrides.a: expected a mapping of paths to values"),
        ("  a: [model]", "s.yaml:9:6: overrides.a: expected a mapping of paths to values"),
        ("  a: null", "s.yaml:9:6: overrides.a: expected a mapping of paths to values"),
        ("  a: &x {model: *x}", "s.yaml:9:6 overrides.a.model: an alias refers to itself"),
    ],
)
def test_a_malformed_override_is_placed_where_it_stands(overrides: str, line: str) -> None:
    """Overrides of overrides, bad paths and bad values point into the override, not at the baseline."""
    assert refusal("a", overrides) == line


@pytest.mark.parametrize("overrides", ["  a: {overrides.b: 1}", "  a: {workload..x: 1}", "  a: 5"])
def test_a_malformed_override_is_refused_with_the_baseline_too(overrides: str) -> None:
    """A broken variant is not found only on the day somebody asks for it."""
    assert refusal(None, overrides).startswith("s.yaml:9:")


def test_an_unknown_override_shows_the_nearest() -> None:
    """Exit 3 with the names that are known."""
    with pytest.raises(DataMissingError) as caught:
        build("spoot", "  spot: {model: x}")
    assert str(caught.value) == "s.yaml: unknown override 'spoot'. Did you mean spot?"
    assert caught.value.exit_code == EXIT_DATA_MISSING
    assert refusal("zzz", "  a: {}").endswith("Known: a.")


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("workload.answer_tokens", -1, "--set workload.answer_tokens: -1 is negative; expected a number of at least 0"),
        ("workload.answer_token", 1, f"--set workload.answer_token: unknown field. Did you mean {NEAR}?"),
        ("wrkload.x", 1, "--set wrkload.x wrkload: unknown field. Did you mean workload?"),
        ("name.x", 1, "--set name.x: 'x' is a field of a plain value; expected a mapping"),
        (
            "workload.answers_per_day.x",
            1,
            "--set workload.answers_per_day.x: 'x' is a field of a plain value; expected a mapping",
        ),
        ("workload[0]", 1, "--set workload[0]: [0] is an index, but the field is not a list"),
        ("", 1, f"--set: '' {NO_PATH}"),
        ("a b", 1, f"--set: 'a b' {NO_PATH}"),
        ("workload.", 1, f"--set: 'workload.' {NO_PATH}"),
        ("overrides.a", {}, f"--set: 'overrides.a' {FIXED}"),
        ("slo", None, "--set slo: null is not valid here; expected a mapping of fields"),
        ("prices.tiers", ("x",), f"--set prices.tiers prices.tiers[0]: 'x' is not valid here; expected one of {TIERS}"),
    ],
)
def test_a_bad_set_is_placed_at_the_flag(path: str, value: Any, line: str) -> None:
    """What came from --set is not blamed on the file."""
    assert refusal(**{path: value}) == line


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e6", 1_000_000),
        (" 8 ", 8),
        ("[a, 2]", ("a", 2)),
        ("{mean: 392, cv: 1.5}", {"mean": 392, "cv": 1.5}),
        ("any", "any"),
        ("", None),
        ("h100-sxm", "h100-sxm"),
    ],
)
def test_a_value_of_set_is_read_like_the_file(text: str, value: object) -> None:
    """A cell and --set take scalars, lists and mappings as YAML does."""
    assert parse_value(text, "--set x") == value


@pytest.mark.parametrize("text", ["12:30", "NO", ".nan", "inf", "{mean: 5", "[a", "{a: 1, a: 2}", "2026-13-01"])
def test_a_trap_in_set_is_refused_at_the_flag(text: str) -> None:
    """The reader's refusals hold for --set and cells as well, in one line."""
    with pytest.raises(BadInputError) as caught:
        parse_value(text, "--set x")
    assert str(caught.value).startswith("--set x")
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30))
def test_no_path_makes_the_parser_crash(path: str) -> None:
    """A path is a key or one line."""
    try:
        assert parse_path(path)
    except BadInputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("model", ("model",)),
        ("workload.classes[0].share", ("workload", "classes", 0, "share")),
        ("workload.classes.1.share", ("workload", "classes", 1, "share")),
    ],
)
def test_a_path_is_a_key(path: str, key: tuple[str | int, ...]) -> None:
    """Both spellings of a list entry are known."""
    assert parse_path(path) == key


def test_a_changed_value_has_no_source_but_an_override_may_name_one() -> None:
    """The source of the old number does not cover the new one."""
    text = TEXT.replace("input_tokens: 1268", "input_tokens: {value: 1268, source: s}") + (
        "  a: {workload.input_tokens: {value: 5, source: t}}\n  b: {workload.input_tokens: 5}\n"
        "sources:\n  s: {title: old, checked: 2026-11-24}\n  t: {title: new, checked: 2026-11-24}\n"
    )
    document = parse_document(text, "s.yaml")
    titles = []
    for override in (None, "a", "b"):
        source = build_scenario(document, Path(), override=override).loaded.source("workload", "input_tokens")
        titles.append(source.title if source else None)
    assert titles == ["old", "new", None]


def test_a_scenario_is_read_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    """`-` is standard input; its errors say so."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(TEXT + "  a: {}"))
    assert load_scenario("-", Catalog()).spec.name == "q"
    monkeypatch.setattr(sys, "stdin", io.StringIO("name: [\n"))
    with pytest.raises(BadInputError, match=r"^stdin:2:1: is not valid YAML"):
        load_scenario("-", Catalog())


def test_a_histogram_is_found_beside_the_scenario(tmp_path: Path) -> None:
    """{histogram: file.csv} is the file's pairs; the mean is the weighted one: (10·1 + 30·3) / 4 = 25."""
    (tmp_path / "h.csv").write_bytes(b"\xef\xbb\xbftokens,weight\r\n10,1\r\n30,3\r\n")
    path = tmp_path / "s.yaml"
    path.write_text(TEXT.replace("1268", "{histogram: h.csv}") + "  a: {}", encoding="utf-8")
    length = load_scenario(path, Catalog()).spec.workload.input_tokens
    assert length is not None
    assert length.points == ((10.0, 1.0), (30.0, 3.0))
    assert length.typical() == 25.0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("tokens;weight\n1;2\n", "1: has the columns tokens;weight; expected tokens,weight"),
        ("weight\n1\n", "1: has the columns weight; expected tokens,weight"),
        ("", "1: has the columns ; expected tokens,weight"),
        ("tokens,weight\n1,2\nx,3\n", "3: expected two numbers: tokens,weight"),
        ("tokens,weight\n1\n", "2: expected two numbers: tokens,weight"),
        ("tokens,weight\nnan,1\n", "2: expected two numbers: tokens,weight"),
        ("tokens,weight\n1,inf\n", "2: expected two numbers: tokens,weight"),
        ("tokens,weight\n-1,2\n", "2: expected two numbers: tokens,weight"),
        ("tokens,weight\n1,2,3\n", "2: expected two numbers: tokens,weight"),
    ],
)
def test_a_bad_histogram_names_its_file_and_line(tmp_path: Path, content: str, says: str) -> None:
    """Wrong columns, text, too few or too many cells, NaN and infinity."""
    path = tmp_path / "h.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadInputError) as caught:
        read_histogram(path)
    assert str(caught.value) == f"{path}:{says}"


def test_a_missing_histogram_is_named_at_the_field(tmp_path: Path) -> None:
    """A histogram that is not there is bad input with its path."""
    path = tmp_path / "s.yaml"
    path.write_text(TEXT.replace("1268", "{histogram: no.csv}") + "  a: {}", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"no\.csv: no such file"):
        load_scenario(path, Catalog())


@pytest.mark.parametrize("name", ["o1-clas", "01-class", "x" * 400, "a\0b", "", "o1-class.txt"])
def test_an_unknown_scenario_is_missing_data_with_the_nearest(name: str) -> None:
    """A name that is neither shipped nor a file is exit 3; the message shows near names or all of them."""
    with pytest.raises(PlannerError) as caught:
        open_scenario(name, Catalog())
    text = str(caught.value)
    assert "Known: chat-assistant" in text or "Did you mean" in text or "directory" in text
    assert "o1-class" in text or name not in {"o1-clas", "01-class"}


def test_every_shipped_scenario_builds_with_each_of_its_overrides() -> None:
    """What ships works, each variant on its own."""
    catalog = Catalog()
    names = list(catalog.files("scenarios"))
    assert len(names) >= 8
    for name in names:
        document, folder = open_scenario(name, catalog)
        baseline = build_scenario(document, folder)
        assert baseline.spec.name == name
        for override in baseline.spec.overrides:
            assert build_scenario(document, folder, override=override).label == f"{name}/{override}"


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [
        ("fleet.gpus", ["h100-sxm", "l4"], "[h100-sxm, l4]"),
        ("fleet", {"tensor_parallel": [1, 2]}, "{tensor_parallel: [1, 2]}"),
        ("workload.input_tokens", {"points": [[10, 1], [20, 3]]}, "{points: [[10, 1], [20, 3]]}"),
        (
            "workload.classes",
            [{"name": "a", "share": 1.0, "input_tokens": {"points": [[5, 1]]}}],
            "[{name: a, share: 1.0, input_tokens: {points: [[5, 1]]}}]",
        ),
    ],
)
def test_a_list_from_python_is_what_the_command_line_reads(path: str, value: Any, text: str) -> None:
    """A Python list at any depth gives the question that the same list in YAML gives."""
    assert build(**{path: value}).spec == build(**{path: parse_value(text, "--set")}).spec
