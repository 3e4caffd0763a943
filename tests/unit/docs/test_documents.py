"""Holds the documents to what exists: tests they name, files they link to, sections they point at."""

from __future__ import annotations

import ast
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "simulator" / "README.md"])
LINK = re.compile(r"\]\((?!https?://)(?P<path>[^)#\s]*)(?:#(?P<section>[^)\s]+))?\)")
ACTION = re.compile(r'action="([a-z_.]+)"')
METRIC = re.compile(r'(?:Counter|Histogram|Gauge)\(\s*"([a-z_]+)"')
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
TEST = re.compile(r"`(?P<file>[a-z_0-9/]+\.py)::(?P<name>test_[a-z_0-9]+)`")


def _sections(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    dead = []
    for link in LINK.finditer(document.read_text()):
        target = (document.parent / link["path"]).resolve() if link["path"] else document
        missing_section = link["section"] and target.suffix == ".md" and target.exists()
        if not target.exists() or (missing_section and link["section"] not in _sections(target)):
            dead.append(link[0])
    assert not dead


def test_the_tests_that_coverage_names_exist() -> None:
    named = {(test["file"], test["name"]) for test in TEST.finditer((ROOT / "docs/coverage.md").read_text())}
    gone = sorted(
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / "tests" / file).exists()
        or not re.search(rf"\bdef {name}\(", (ROOT / "tests" / file).read_text())
    )
    assert named
    assert not gone


def _sends(source: str) -> list[str]:
    """The calls of send_push_for_account in a source, as their syntax trees read."""
    return [
        ast.dump(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "send_push_for_account"
    ]


def test_the_readmes_examples_are_those_that_the_demo_runs() -> None:
    blocks = PYTHON.findall((ROOT / "README.md").read_text())
    # Some blocks await at their top level, as a console would let them.
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    for block in blocks:
        compile(block, "README.md", "exec", flags=flags)
    shown = [send for block in blocks if "await " not in block for send in _sends(block)]
    run = _sends((ROOT / "demo" / "examples.py").read_text())
    assert len(run) == 3
    assert shown[:3] == run


def _in_the_code(pattern: re.Pattern[str]) -> set[str]:
    files = [ROOT / "bootstrap.py", *(ROOT / "modules").rglob("*.py")]
    return {name for file in files for name in pattern.findall(file.read_text())}


def test_operating_explains_every_log_action_and_metric() -> None:
    operating = (ROOT / "docs/operating.md").read_text()
    names = _in_the_code(ACTION) | _in_the_code(METRIC)
    assert len(names) > 10
    assert not sorted(name for name in names if f"`{name}" not in operating)


@pytest.mark.parametrize("image", sorted((ROOT / "docs/images").glob("*.svg")), ids=lambda image: image.name)
def test_pictures_are_well_formed_and_described(image: Path) -> None:
    root = ElementTree.parse(image).getroot()
    assert {child.tag.rpartition("}")[2] for child in root} >= {"title", "desc"}
