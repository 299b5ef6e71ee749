"""The README says what is: the column table is the schema's, and its Python runs."""

import re
from pathlib import Path

import cosai_nb as cn

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def column_table() -> str:
    rows = ["| column | dtype | from | unit | meaning |", "|---|---|---|---|---|"]
    for column in cn.COLUMNS.values():
        origin = f"`{column.path}`" if column.path else column.source
        rows.append(f"| `{column.name}` | {column.dtype} | {origin} | {column.unit} | {column.meaning} |")
    return "\n".join(rows)


def test_the_column_table_is_the_schemas():
    assert column_table() in README, f"put this into the README:\n\n{column_table()}"


def test_the_ten_lines_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_links_and_pictures_are_there():
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert target.startswith("http") or (ROOT / target).exists(), target


def test_the_reference_leads_from_every_public_name_to_a_section_that_shows_it():
    sections = {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-"): text
        for heading, text in re.findall(r"^## (.+)\n((?:(?!## ).*\n)*)", README, flags=re.MULTILINE)
    }
    links = re.findall(r"\[`(\w+)`\]\(([^)]+)\)", sections["reference"])
    assert sorted(name for name, _ in links) == sorted(cn.__all__)
    for name, target in links:
        shown = (
            sections[target[1:]] if target.startswith("#") else (ROOT / target).read_text(encoding="utf-8")
        )
        assert re.search(rf"\b{name}\b", shown), f"{target} does not show {name}"
