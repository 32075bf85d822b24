"""The digest of a question: what it covers, and what it must not depend on."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from planner.catalog.catalog import Catalog
from planner.options.answer import answer
from planner.scenario.load import load_scenario

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "tests/data/hf/openai-community--gpt2_config.json"
ONE_GPU = {"fleet.gpus": ("h200-sxm",), "fleet.tensor_parallel": 1, "workload.input_tokens": 100}


def digest(changes: Mapping[str, Any]) -> str | None:
    """Return the digest of a small question with changes."""
    catalog = Catalog()
    asked = load_scenario("chat-assistant", catalog, changes={**ONE_GPU, "workload.answer_tokens": 50, **changes})
    return answer(asked, catalog).best.scenario_hash


def config_in(folder: Path, **fields: Any) -> str:
    """Return the path of a copy of the config in a folder, with fields changed."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / "config.json"
    copy.write_text(json.dumps({**json.loads(CONFIG.read_text(encoding="utf-8")), **fields}), encoding="utf-8")
    return str(copy)


def test_the_digest_does_not_depend_on_where_a_config_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same config.json in two folders, by absolute and by relative path, is the same question."""
    first, second = config_in(tmp_path / "a" / "gpt2"), config_in(tmp_path / "b" / "other")
    monkeypatch.chdir(tmp_path / "a")
    assert digest({"model": first}) == digest({"model": second}) == digest({"model": "gpt2/config.json"})


def test_the_digest_depends_on_what_a_config_says(tmp_path: Path) -> None:
    """Other content at the same path is another question."""
    path = tmp_path / "gpt2"
    before = digest({"model": config_in(path)})
    assert before != digest({"model": config_in(path, n_layer=6)})


def test_the_digest_does_not_depend_on_where_a_spec_lies(tmp_path: Path) -> None:
    """A model's YAML file is judged by its content, too."""
    copies = [tmp_path / name / "m.yaml" for name in ("a", "b")]
    for copy in copies:
        copy.parent.mkdir()
        shutil.copy(Catalog().files("scenarios/models")["llama-3.1-8b"], copy)
    first, second = (digest({"model": str(copy)}) for copy in copies)
    assert first == second


def test_the_digest_covers_the_points_of_a_histogram_and_not_its_path(tmp_path: Path) -> None:
    """Two files with the same points are one question; other points are another."""
    for name, weight in (("a", 1), ("b", 1), ("c", 9)):
        (tmp_path / f"{name}.csv").write_text(f"tokens,weight\n100,{weight}\n200,2\n", encoding="utf-8")
    a, b, c = (digest({"workload.input_tokens": {"histogram": str(tmp_path / f"{n}.csv")}}) for n in "abc")
    assert a == b != c
