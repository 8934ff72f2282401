"""Parts of pages that scripts write, between <!-- name --> and <!-- /name -->."""

from pathlib import Path

METRICS_PAGE = Path(__file__).resolve().parents[1] / "docs" / "metrics.md"


def part_of(page: str, name: str) -> str:
    """What stands between the markers of a part.

    Raises:
        SystemExit: the markers are not there.
    """
    _, found, rest = page.partition(f"<!-- {name} -->\n\n")
    part, closed, _ = rest.partition(f"\n\n<!-- /{name} -->")
    if not (found and closed):
        raise SystemExit(f"the page has no <!-- {name} --> ... <!-- /{name} -->")
    return part


def write_part(path: Path, name: str, text: str) -> None:
    """Put a text between the markers of a part, in the place of what is there.

    Raises:
        SystemExit: the markers are not there.
    """
    page = path.read_text(encoding="utf-8")
    old, new = (
        f"<!-- {name} -->\n\n{part}\n\n<!-- /{name} -->" for part in (part_of(page, name), text)
    )
    path.write_text(page.replace(old, new), encoding="utf-8")
