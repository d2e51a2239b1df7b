"""Check that every internal link of the built site leads to a file and an anchor of it.

    python docs/check_links.py docs/_build/html

Sphinx checks the links that it makes itself; this also sees raw ones, pictures, and
what the theme and the gallery make.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], {"", "top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.anchors.add(value)
            if name in ("href", "src") and value and tag != "base":
                self.links.append(value)


def broken(root):
    """Yield pages and their links that lead nowhere."""
    # Templates of the theme, and a list of modules which has those without a page, too.
    unread = {root / "_modules" / "index.html", *(root / "_static").rglob("*.html")}
    paths = set(root.rglob("*.html")) - unread
    pages = {path: Page(path) for path in sorted(paths)}
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)) if parts.path else path
            target = target.resolve()
            anchor = unquote(parts.fragment)
            if not target.exists() or (
                target in pages and anchor not in pages[target].anchors
            ):
                yield path.relative_to(root), link


def main():
    root = Path(sys.argv[1]).resolve()
    found = list(broken(root))
    for path, link in found:
        print(f"{path}: {link}")
    print(f"{len(found)} broken links in {len(list(root.rglob('*.html')))} pages")
    return min(len(found), 1)


if __name__ == "__main__":
    sys.exit(main())
