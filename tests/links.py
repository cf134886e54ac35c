"""Where links of documents lead, sections included: in Markdown, and in pages built of it."""

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def sections(text: str) -> set[str]:
    """What a link may name after `#`, by the rule of GitHub."""
    seen: Counter[str] = Counter()
    found: set[str] = set()
    for title in re.findall(r"^#{1,6} (.+)$", FENCED.sub("", text), re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", title)  # of a link, its text
        slug = re.sub(r"[^\w\- ]", "", shown.strip().lower()).replace(" ", "-")
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


def broken(document: Path) -> list[str]:
    """The links of a Markdown file that lead to no file or no section."""
    text = FENCED.sub("", document.read_text("utf-8"))
    links = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    return [link for link in links if not _leads(document, link)]


def _leads(document: Path, link: str) -> bool:
    name, _, section = link.partition("#")
    target = (document.parent / name) if name else document
    if not target.exists():
        return False
    return not section or section in sections(target.read_text("utf-8"))


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.links: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.names |= {given[key] or "" for key in ("id", "name") if key in given}
        self.links |= {given["href"] or ""} if "href" in given else set()


def broken_in_site(folder: Path) -> tuple[list[str], int]:
    """Links between the pages of a folder that lead to no page or place, and how many name one."""
    pages: dict[Path, _Page] = {}
    for path in set(folder.rglob("*.html")) - {folder / "404.html"}:  # that one is of a server
        page = pages[path] = _Page()
        page.feed(path.read_text("utf-8"))
    found: list[str] = []
    named = 0
    for path, page in pages.items():
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            named += bool(place)
            if not target.exists() or (
                place and target in pages and place not in pages[target].names
            ):
                found.append(f"{path.name}: {link}")
    return found, named
