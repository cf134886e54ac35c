"""Every message that an error of this package can have is an entry of docs/troubleshooting.md."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "vsanimesr"
PAGE = ROOT / "docs" / "troubleshooting.md"


def template(node):
    """What a message is made of, with … for what is put in; None: it is made elsewhere."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(p.value if isinstance(p, ast.Constant) else "…" for p in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            both = [template(left), template(right)]
            return None if both == [None, None] else "".join(text or "…" for text in both)
        case _:
            return None


def errors():
    """Names of the classes of errors that users see."""
    found = {"VsAnimeSRError"}
    trees = [ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")]
    for _ in range(3):  # classes of classes
        for tree in trees:
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef):
                    bases = {base.id for base in node.bases if isinstance(base, ast.Name)}
                    if bases & found:
                        found.add(node.name)
    return found


@cache
def messages(*, others=False):
    """Templates of what these errors say, and the file of each; of all errors with `others`."""
    known, found = errors(), {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)):
                continue
            name = getattr(node.exc.func, "id", getattr(node.exc.func, "attr", ""))
            if not node.exc.args or not (others or name in known):
                continue
            text = template(node.exc.args[2 if name == "ConfigError" else 0])  # file, key, problem
            if text is not None and text != "…":
                found[text] = path.relative_to(ROOT).as_posix()
    return found


def entries():
    lines = PAGE.read_text().splitlines()
    return [found[2] for line in lines if (found := re.fullmatch(r"(`+) ?(.+?) ?\1", line))]


@pytest.mark.parametrize("path", sorted(set(messages().values())))
def test_each_message_has_an_entry(path):
    listed = set(entries())
    missing = [text for text, where in messages().items() if where == path]
    missing = [text for text in missing if text not in listed]
    assert not missing, f"docs/troubleshooting.md has no entry for these of {path}"


def test_each_entry_is_a_message():
    """None is there twice, and none that the package no longer gives."""
    listed = entries()
    assert len(listed) > 250
    assert len(listed) == len(set(listed))
    assert not set(listed) - set(messages(others=True))


def test_each_entry_says_something():
    groups = re.split(r"\n\n(?=`)", PAGE.read_text())[1:]
    assert len(groups) > 50
    for group in groups:
        assert re.search(r"`\n\n:   \S", group), group
