"""The example notebook answers its five questions on exported facts, and is committed clean."""

from __future__ import annotations

from pathlib import Path

import duckdb
import nbformat
import pytest
from nbclient import NotebookClient

from bench._fact_tables import write

NOTEBOOK = Path(__file__).parents[3] / "examples" / "five_questions.ipynb"


def _text(cell: nbformat.NotebookNode) -> str:
    return "".join(str(output.get("data", {}).get("text/plain", "")) for output in cell.outputs)


def test_notebook_runs_on_facts_and_shows_their_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = tmp_path / "facts"
    write(facts, requests=400, days=1)
    monkeypatch.setenv("TONGBAN_FACTS", str(facts))
    # Kernels keep their connection files and history here, and not in the home directory.
    for variable in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}
    assert "400" in _text(cells["open"])
    requests = duckdb.read_parquet(f"{facts}/requests/*/*.parquet")
    waiting = len(requests.filter("NOT final"))
    assert waiting > 0
    for name in ("slow", "demand", "failure", "promise", "waits"):
        assert "shape: (" in _text(cells[name]), name
        assert "shape: (0," not in _text(cells[name]), name


def test_notebook_is_committed_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) >= 6
    assert not any(cell.outputs or cell.execution_count for cell in code)
