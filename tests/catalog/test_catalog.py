"""The catalogue: names found by id, alias and spelling; the nearest shown; user folders before the shipped one."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from planner.catalog.catalog import Catalog, normal, shipped_root
from planner.catalog.hardware import EngineSpec, GpuSpec, SystemSpec
from planner.catalog.market import DemandCurve, PricesFile
from planner.catalog.model import ModelSpec
from planner.documents.spec import FileSpec, load
from planner.documents.yaml_reader import Document
from planner.errors import EXIT_BAD_INPUT, EXIT_DATA_MISSING, BadInputError, DataMissingError, PlannerError

KINDS = (GpuSpec, SystemSpec, EngineSpec, PricesFile, ModelSpec, DemandCurve)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """Return the shipped catalogue, read once."""
    return Catalog()


@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_every_shipped_file_loads_and_is_found_by_its_name(catalog: Catalog, kind: type[FileSpec]) -> None:
    """An id is the file's name, and the file under it validates."""
    names = catalog.ids(kind)
    assert len(names) >= 3
    for name in names:
        found = catalog.find(kind, name)
        assert found.note is None
        spec = found.loaded.spec
        assert getattr(spec, "id", None) in {name, None}


@pytest.mark.parametrize("name", ["h100-sxm", "H100-SXM", "H100 SXM", "h100_sxm"])
def test_a_gpu_is_found_however_it_is_spelled(catalog: Catalog, name: str) -> None:
    """Case, blanks, dashes and underscores do not matter."""
    assert catalog.get(GpuSpec, name).spec.id == "h100-sxm"


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("deepseek-ai/DeepSeek-R1", "deepseek-r1"),
        ("DeepSeek R1", "deepseek-r1"),
        ("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1-8b"),
        ("Llama-3.3-70B-Instruct-FP8", "llama-3.3-70b"),
    ],
)
def test_a_model_is_found_by_its_hugging_face_name_and_says_so(catalog: Catalog, name: str, model: str) -> None:
    """Owners, -instruct and -fp8 resolve, and the note says what was answered."""
    found = catalog.find(ModelSpec, name)
    assert found.loaded.spec.id == model
    assert found.note == f"{name} resolved to {model}"


@pytest.mark.parametrize(
    ("kind", "name", "line"),
    [
        (GpuSpec, "h100-sxn", "unknown GPU 'h100-sxn'. Did you mean h100-sxm, "),
        (ModelSpec, "deepseek-r2", "unknown model 'deepseek-r2'. Did you mean deepseek-r1"),
        (PricesFile, "lamda", "unknown provider 'lamda'. Did you mean lambda"),
        (EngineSpec, "vlm", "unknown engine 'vlm'. Did you mean vllm"),
        (SystemSpec, "hgx-h10", "unknown system 'hgx-h10'. Did you mean hgx-h100"),
        (DemandCurve, "azure-2024-codin", "unknown demand curve 'azure-2024-codin'. Did you mean azure-2024-coding"),
        (GpuSpec, "zzzzzz", "unknown GPU 'zzzzzz'. `planner list gpus` lists them."),
    ],
)
def test_an_unknown_name_shows_the_nearest(catalog: Catalog, kind: type[FileSpec], name: str, line: str) -> None:
    """Exit 3, one line, the nearest names, or where to see all."""
    with pytest.raises(DataMissingError) as caught:
        catalog.get(kind, name, where="here")
    assert str(caught.value).startswith(f"here: {line}")
    assert caught.value.exit_code == EXIT_DATA_MISSING


@pytest.mark.parametrize("name", ["", "../../hardware/formats", "a\0b", "x" * 1000, "*", "/etc/passwd", "ü"])
def test_a_strange_name_is_only_unknown(catalog: Catalog, name: str) -> None:
    """Names are looked up, never opened as paths."""
    with pytest.raises(DataMissingError, match="unknown GPU"):
        catalog.get(GpuSpec, name)


def test_an_unknown_precision_and_zone_are_missing_data(catalog: Catalog) -> None:
    """The other look-ups show the nearest, too."""
    with pytest.raises(DataMissingError, match=r"unknown precision 'fp9'.*fp8"):
        catalog.format("fp9")
    with pytest.raises(DataMissingError, match=r"unknown grid zone 'USB'.*USA"):
        catalog.grid("USB")
    with pytest.raises(DataMissingError, match="'nobody' has no figure for the grid of USA"):
        catalog.grid("USA", "nobody")


def test_a_format_is_found_by_its_alias(catalog: Catalog) -> None:
    """An alias of formats.yaml is the format it belongs to, in any case."""
    key, spec = next((k, f) for k, f in catalog.formats.spec.formats.items() if f.aliases)
    assert catalog.format(spec.aliases[0].upper())[0] == key


def test_a_user_folder_comes_before_the_shipped_one(tmp_path: Path) -> None:
    """A GPU of the user replaces the shipped one of that id and a new one is found; the rest stays."""
    folder = tmp_path / "hardware" / "gpus"
    folder.mkdir(parents=True)
    text = (shipped_root() / "hardware" / "gpus" / "h100-sxm.yaml").read_text(encoding="utf-8")
    (folder / "h100-sxm.yaml").write_text(text.replace("\nname: ", "\nname: my own ", 1), encoding="utf-8")
    own = Catalog([tmp_path])
    assert own.get(GpuSpec, "h100-sxm").spec.name.startswith("my own")
    assert not Catalog().get(GpuSpec, "h100-sxm").spec.name.startswith("my own")
    assert own.ids(GpuSpec) == Catalog().ids(GpuSpec)


def test_the_environment_names_user_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """PLANNER_CATALOG is a path list that comes after --catalog and before what ships."""
    (tmp_path / "a" / "scenarios").mkdir(parents=True)
    (tmp_path / "b" / "scenarios").mkdir(parents=True)
    for name in ("a", "b"):
        shutil.copy(shipped_root() / "scenarios" / "o1-class.yaml", tmp_path / name / "scenarios" / "mine.yaml")
    monkeypatch.setenv("PLANNER_CATALOG", str(tmp_path / "b"))
    assert Catalog().files("scenarios")["mine"].parent.parent.name == "b"
    assert Catalog([tmp_path / "a"]).files("scenarios")["mine"].parent.parent.name == "a"


def test_a_folder_that_is_not_there_is_bad_input(tmp_path: Path) -> None:
    """--catalog of nothing is refused before anything is answered."""
    with pytest.raises(BadInputError, match="is not a folder") as caught:
        Catalog([tmp_path / "nowhere"])
    assert caught.value.exit_code == EXIT_BAD_INPUT


def test_a_bad_file_of_a_user_is_named(tmp_path: Path) -> None:
    """An error inside a user's GPU names that file, line and field."""
    folder = tmp_path / "hardware" / "gpus"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("id: mine\nmemory_bytes: -1\n", encoding="utf-8")
    with pytest.raises(PlannerError) as caught:
        Catalog([tmp_path]).get(GpuSpec, "mine")
    assert f"{folder / 'mine.yaml'}:2:15 memory_bytes: -1 is negative" in str(caught.value)


def test_a_source_that_is_not_declared_is_refused() -> None:
    """`source: x` without an entry under `sources` is a slip, told with what was expected."""
    document = Document({"sources": {}}, "f.yaml", {(): (1, 1)}, {(): "papr"})
    with pytest.raises(
        BadInputError,
        match=r"f\.yaml:1:1: source: papr is not declared; expected the name of an entry of `sources`",
    ):
        load(FileSpec, document)


def test_normal_forms_meet() -> None:
    """How people's spellings are compared: letters, digits and +."""
    assert normal("GB200-NVL72") == normal("gb200 nvl72") == "gb200nvl72"
    assert normal("ü") == ""


@pytest.mark.parametrize("as_given", [str, Path, lambda path: [path], lambda path: (str(path),)])
def test_one_folder_or_several_come_before_the_shipped_catalogue(tmp_path: Path, as_given: Any) -> None:
    """A folder alone is one folder, not the letters of its name."""
    (tmp_path / "hardware").mkdir()
    assert Catalog(as_given(tmp_path)).roots[0] == tmp_path
