"""The YAML reader: what it accepts, what it refuses, and that each refusal says where."""

import datetime as dt
import os
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.documents.text_file import MAX_FILE_BYTES, read_text
from planner.documents.yaml_reader import Document, parse_document, path_text, plain_scalar, read_document
from planner.errors import EXIT_BAD_INPUT, EXIT_SYSTEM, BadInputError, PlannerError


def refusal(text: str) -> str:
    """Return what the reader says about a text it must refuse."""
    with pytest.raises(BadInputError) as caught:
        parse_document(text, "s.yaml")
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e6", 1_000_000),
        ("1E6", 1_000_000),
        ("4.8e12", 4_800_000_000_000),
        ("4.8e+12", 4_800_000_000_000),
        ("1.97e-5", 1.97e-5),
        ("-3", -3),
        ("+3", 3),
        (".5", 0.5),
        ("2.", 2.0),
        ("0", 0),
        ("0.0", 0.0),
        ("1_000", 1000),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("2026-11-24", dt.date(2026, 11, 24)),
        ("h100-sxm", "h100-sxm"),
        ("1.2.3", "1.2.3"),
        ("1e", "1e"),
        ("+", "+"),
        ("0x10", "0x10"),
        ("information", "information"),
        ("not a number", "not a number"),
    ],
)
def test_a_plain_scalar_is_what_a_person_meant(text: str, value: object) -> None:
    """YAML 1.1 reads 1e6 and 4.8e12 as text; people mean numbers, and a whole number stays whole."""
    found = plain_scalar(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("12:30", "base-60"),
        ("1:30:00", "base-60"),
        ("NO", "yes/no"),
        ("no", "yes/no"),
        ("Yes", "yes/no"),
        ("on", "yes/no"),
        ("OFF", "yes/no"),
        ("y", "yes/no"),
        ("010", "octal"),
        ("-007", "octal"),
        (".nan", "not a finite number"),
        ("nan", "not a finite number"),
        (".inf", "not a finite number"),
        ("-.inf", "not a finite number"),
        ("Infinity", "not a finite number"),
        ("1e400", "too large"),
        ("9" * 5000, "5,000 digits"),
        ("2026-02-30", "not a calendar date"),
    ],
)
def test_a_trap_of_yaml_is_refused_with_its_place_and_path(text: str, says: str) -> None:
    """What YAML 1.1 would turn into 750, False, 8 or nan is refused with file:line:column and the field's path."""
    line = refusal(f"a:\n  b: {text}\n")
    assert line.startswith("s.yaml:2:6 a.b: ")
    assert says in line
    assert "\n" not in line


@pytest.mark.parametrize("quoted", ['"12:30"', "'NO'", '"010"', '"1e6"', '".nan"'])
def test_quotes_make_text_of_anything(quoted: str) -> None:
    """The cure the messages name works: in quotes it is text."""
    assert parse_document(f"a: {quoted}", "s.yaml").data["a"] == quoted[1:-1]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_float_is_read_back_as_itself(number: float) -> None:
    """Written by repr, read back: the same number, nothing is lost on the way through a file."""
    assert parse_document(f"a: {number!r}", "s.yaml").data["a"] == number


@given(st.integers(min_value=-(10**300), max_value=10**300))
def test_every_whole_number_is_read_back_as_itself(number: int) -> None:
    """A whole number of any length that a float can hold stays exact."""
    assert parse_document(f"a: {number}", "s.yaml").data["a"] == number


@given(st.text(max_size=40))
def test_no_text_makes_the_reader_crash(text: str) -> None:
    """Whatever a file holds: a document or one PlannerError, never another exception."""
    with suppress(PlannerError):
        assert isinstance(parse_document(text, "s.yaml"), Document)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2\n", "s.yaml:2:1 a: the key is repeated; expected it once"),
        ("a: 1\n'a': 2\n", "s.yaml:2:1 a: the key is repeated; expected it once"),
        ("a:\n  b: 1\n  b: 2\n", "s.yaml:3:3 a.b: the key is repeated; expected it once"),
        ("a: {b: 1, b: 2}\n", "s.yaml:1:11 a.b: the key is repeated; expected it once"),
        ("", "s.yaml: is empty; expected a mapping of fields"),
        ("# only a comment\n", "s.yaml: is empty; expected a mapping of fields"),
        ("just text\n", "s.yaml:1:1: has no fields; expected `key: value` lines"),
        ("- a\n- b\n", "s.yaml:1:1: has no fields; expected `key: value` lines"),
        ("a: 1\n---\nb: 2\n", "s.yaml:2:1: has a second document; expected one per file"),
        ("a: &x [*x]\n", "s.yaml:1:4 a[0]: an alias refers to itself"),
        ("a: &x {b: *x}\n", "s.yaml:1:4 a.b: an alias refers to itself"),
        ("? [a]\n: b\n", "s.yaml:1:3: a key must be plain text"),
        ("<<: {a: 1}\n", "s.yaml:1:1: merge keys (<<) are not supported; use overrides"),
        ("a: \x00", "s.yaml: contains a character that YAML does not allow (#x0000)"),
        ("a: \x07", "s.yaml: contains a character that YAML does not allow (#x0007)"),
        ("a: \udcff", "s.yaml: is not UTF-8 text"),
    ],
)
def test_a_bad_document_is_refused_in_one_exact_line(text: str, line: str) -> None:
    """Repeated keys, empty and second documents, alias cycles, odd keys: one line with the place."""
    assert refusal(text) == line


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [", "s.yaml:2:1"),
        ("a: {b: 1\n", "s.yaml:2:1"),
        ("a: b: c\n", "s.yaml:1:5"),
        ("a: 'x", "s.yaml:1:6"),
        ("a: *unknown\n", "s.yaml:1:4"),
        ("a:\n\t- b\n", "s.yaml:2:1"),
        ("%YAML 3.0\n---\na: 1\n", "s.yaml:1:1"),
    ],
)
def test_broken_yaml_is_refused_at_its_line(text: str, place: str) -> None:
    """A syntax error names line and column and says that it is about YAML."""
    line = refusal(text)
    assert line.startswith(f"{place}: is not valid YAML: ")
    assert "\n" not in line


def test_billion_laughs_are_refused() -> None:
    """Ten levels of nine aliases would expand to 9**10 values; the reader stops counting long before."""
    names = "abcdefghij"
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    lines += [f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]" for a, b in pairwise(names)]
    assert refusal("\n".join(lines)) == "s.yaml: expands to more than 200,000 values (aliases?); refused"


@pytest.mark.parametrize("depth", [200, 5000, 100_000])
@pytest.mark.parametrize(("start", "end"), [("[", "]"), ("{a: ", "}")])
def test_deep_nesting_never_crashes(depth: int, start: str, end: str) -> None:
    """However deep a file nests, the answer is a document or one line, not a broken stack."""
    text = "a: " + start * depth + end * depth
    try:
        assert isinstance(parse_document(text, "s.yaml"), Document)
    except BadInputError as error:
        assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


def test_tags_are_text_and_run_nothing() -> None:
    """A tag that unsafe loaders would execute is plain text here."""
    assert parse_document("a: !!python/object/apply:os.getcwd []", "s.yaml").data == {"a": ()}


def test_aliases_share_values() -> None:
    """An alias without a cycle is the value it names."""
    assert parse_document("a: &x {n: 1}\nb: *x\n", "s.yaml").data == {"a": {"n": 1}, "b": {"n": 1}}


def test_a_sourced_scalar_is_its_value_and_its_source() -> None:
    """{value, source} is the number; the source is found for it, and a mapping's source covers what is inside."""
    document = parse_document(
        "rate: {value: 1e6, source: trace}\nlengths:\n  source: paper\n  mean: 3\nsources: {trace: 1, paper: 2}\n",
        "s.yaml",
    )
    assert document.data["rate"] == 1_000_000
    assert document.data["lengths"] == {"mean": 3}
    assert document.source_name(("rate",)) == "trace"
    assert document.source_name(("lengths", "mean")) == "paper"
    assert document.source_name(("sources",)) is None
    assert document.place(("rate",)) == "s.yaml:1:15"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('name: "a\\nb"', "1:7 name: contains a line break; expected one line"),
        ("name: a\n\n  b", "1:7 name: contains a line break; expected one line"),
        ("name: |\n  a\n  b\n", "1:7 name: contains a line break; expected one line"),
        ('users: [{name: "a\\rb"}]', "1:16 users[0].name: contains a line break; expected one line"),
        ('name: "a\\u2028b"', "1:7 name: contains a line break; expected one line"),
        ('name: "\\e[31mred"', "1:7 name: contains a control character (#x001b); expected text without one"),
        ('name: "a\\tb"', "1:7 name: contains a control character (#x0009); expected text without one"),
        ('note: "a\\eb"', "1:7 note: contains a control character (#x001b); expected text without one"),
        ('overrides: {"a\\nb": {c: 1}}', "1:13 overrides: a key contains a line break; expected one line"),
    ],
)
def test_a_control_character_is_refused(text: str, line: str) -> None:
    """A line break or an escape code in a name would break tables, Markdown and the terminal."""
    assert refusal(text) == f"s.yaml:{line}"


def test_a_note_may_have_lines_and_names_any_letters() -> None:
    """Prose keeps its lines; no-break spaces, emoji with joiners and other scripts are no control characters."""
    name = "Größe\u00a0👩\u200d🔬 模型"
    document = parse_document(f"note: |\n  a\n  \tb\nname: '{name}'\ntitle: >\n  one\n  line\n", "s.yaml")
    assert document.data == {"note": "a\n\tb", "name": name, "title": "one line"}


@pytest.mark.parametrize("source", ["5", "0", "''", "null", "true", "2024-01-01", "{a: 1}", "[a]"])
@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: {value: 20, source: %s}", "1:24 a.source"),
        ("a:\n  source: %s\n  mean: 3", "2:11 a.source"),
        ("source: %s", "1:9 source"),
    ],
)
def test_a_source_that_is_no_name_is_refused(text: str, place: str, source: str) -> None:
    """Of a number, a part or the file: it would say nothing of where a number comes from."""
    expected = f"s.yaml:{place}: is not a name; expected the name of an entry of `sources`"
    assert refusal(text % source) == expected


def test_source_may_be_the_name_of_a_source_and_of_an_override() -> None:
    """Where people give the names, `source` is one like any other."""
    text = "sources: {source: {title: x}}\noverrides: {source: {a: 1}}\n"
    assert parse_document(text, "s.yaml").data["overrides"] == {"source": {"a": 1}}


def test_a_place_is_that_of_the_value_or_of_its_nearest_ancestor() -> None:
    """A value that is missing is placed where its parent stands."""
    document = parse_document("a:\n  b:\n    - {c: 1}\n", "s.yaml")
    assert document.place(("a", "b", 0, "c")) == "s.yaml:3:11"
    assert document.place(("a", "b", 0, "missing")) == "s.yaml:3:7"
    assert document.place(("nothing",)) == "s.yaml:1:1"
    assert document.field_place(("a", "b", 0, "c")) == "s.yaml:3:11 a.b[0].c"
    assert path_text(("a", 0, "b")) == "a[0].b"


def test_lists_are_tuples_and_keys_are_text() -> None:
    """Data cannot be changed by accident; a number as a key is its text."""
    assert parse_document("a: [1, [2]]\n1: x\ntrue: z\n", "s.yaml").data == {"a": (1, (2,)), "1": "x", "true": "z"}


def test_a_byte_order_mark_is_accepted(tmp_path: Path) -> None:
    """Editors on Windows write one; it is not part of the first key."""
    path = tmp_path / "s.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_document(path).data == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff\xfe\x00\x01", "is not UTF-8 text; expected a text file"),
        (b"name: caf\xe9\n", "is not UTF-8 text; expected a text file"),
        (b"", "is empty; expected a mapping of fields"),
        (b"\x00" * 100, "contains a character that YAML does not allow (#x0000)"),
    ],
)
def test_a_file_that_is_not_text_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    """Binary files, Latin-1 and empty files are named, with what was expected."""
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=r"s\.yaml") as caught:
        read_document(path)
    assert str(caught.value) == f"{path}: {says}"


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    """A sparse file of 10 MB and a byte is refused."""
    path = tmp_path / "s.yaml"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(BadInputError, match="is larger than 10,000,000 bytes"):
        read_text(path)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="the system has no /dev/zero")
def test_a_file_without_end_is_read_up_to_the_limit() -> None:
    """A device says it has 0 bytes and never ends: the limit ends it."""
    with pytest.raises(BadInputError, match="is larger than 10,000,000 bytes"):
        read_text(Path("/dev/zero"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_read_to_its_end(tmp_path: Path) -> None:
    """What a named pipe holds is a document, in however many pieces it comes."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = Thread(target=lambda: path.write_text(f"a: 1\nb: {'x' * 200_000}\n", encoding="utf-8"))
    writer.start()
    assert len(read_document(path).data["b"]) == 200_000
    writer.join()


def test_a_missing_file_shows_its_neighbours(tmp_path: Path) -> None:
    """The nearest file name beside a missing one is shown."""
    (tmp_path / "scenario.yaml").write_text("a: 1", encoding="utf-8")
    with pytest.raises(BadInputError, match=r"no such file\. Did you mean scenario\.yaml\?") as caught:
        read_text(tmp_path / "scenaro.yaml")
    assert caught.value.exit_code == EXIT_BAD_INPUT


@pytest.mark.parametrize(
    ("name", "says"),
    [("", "is a directory"), ("nowhere/s.yaml", "no such file"), ("a\0b.yaml", "is not a usable file name")],
)
def test_a_path_that_is_no_file_is_refused(tmp_path: Path, name: str, says: str) -> None:
    """A directory, a missing folder and a NUL in a name each get a sentence."""
    with pytest.raises(BadInputError, match=says):
        read_text(tmp_path / name)


def test_a_name_no_file_can_have_is_refused(tmp_path: Path) -> None:
    """A name longer than file systems allow is bad input, not a broken disk."""
    with pytest.raises(BadInputError, match="is not a usable file name"):
        read_text(tmp_path / ("x" * 400))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_a_file_without_permission_is_refused(tmp_path: Path) -> None:
    """A file nobody may read says so."""
    path = tmp_path / "s.yaml"
    path.write_text("a: 1", encoding="utf-8")
    path.chmod(0)
    with pytest.raises(BadInputError, match="permission denied"):
        read_text(path)


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs a file that cannot be read")
def test_a_failing_disk_is_not_bad_input() -> None:
    """An input error of the system (reading /proc/self/mem at 0) is exit 4."""
    with pytest.raises(PlannerError, match="cannot be read") as caught:
        read_text(Path("/proc/self/mem"))
    assert caught.value.exit_code == EXIT_SYSTEM
