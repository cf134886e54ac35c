"""Links of the documents lead to files, and to sections that are there."""

from pathlib import Path

import pytest
from links import broken, broken_in_site, sections

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(p for d in ("docs", "training") for p in (ROOT / d).glob("*.md")),
]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_they_lead_somewhere(path):
    assert broken(path) == []


def test_there_are_many_and_some_name_a_section():
    text = "".join(path.read_text("utf-8") for path in DOCUMENTS)
    assert text.count("](") > 50
    assert text.count("#quick-start)") >= 1


def test_sections_are_named_as_github_does():
    text = "# Cost, beside `others` & us\n```sh\n# none\n```\n## A [b](c)\n### A b\n"
    assert sections(text) == {"cost-beside-others--us", "a-b", "a-b-1"}


def test_what_leads_nowhere_is_found(tmp_path):
    (tmp_path / "b.md").write_text("## There\n")
    (tmp_path / "a.md").write_text(
        "[1](b.md#there) [2](b.md#here) [3](c.md) [4](#a) [5](https://c.d/e#f)\n# A\n"
        "```\n[6](no.md)\n```\n"
    )
    assert broken(tmp_path / "a.md") == ["b.md#here", "c.md"]


def test_what_leads_nowhere_in_a_site_is_found(tmp_path):
    (tmp_path / "b.html").write_text('<h2 id="there">x</h2>')
    (tmp_path / "a.html").write_text(
        '<a href="b.html#there"></a><a href="b.html#here"></a><a href="c.html"></a><p id="a">'
        '<a href="#a"></a><a href="#b"></a><a href="https://c.d/#e"></a><a href="#"></a>'
    )
    assert broken_in_site(tmp_path) == (["a.html: #b", "a.html: b.html#here", "a.html: c.html"], 4)
