"""docs/troubleshooting.md: what longtail is said to say, it says; every entry has a text, none twice."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/troubleshooting.md").read_text()


def texts(section):
    return re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^### (.*)$", section, re.MULTILINE)))


def test_every_entry_is_the_text_of_an_error_and_none_stands_twice():
    headings = re.findall(r"^### (.*)$", PAGE, re.MULTILINE)
    assert len(headings) > 30
    assert all(re.fullmatch(r"`[^`]+`((, | or )`[^`]+`)*", heading) for heading in headings)
    assert len(set(texts(PAGE))) == len(texts(PAGE))


def test_our_own_texts_are_in_the_code():
    own = PAGE.split("## Said by longtail and its scripts")[1].split("\n## ")[0]
    sources = [
        *ROOT.glob("scripts/kind/*.sh"),
        *(ROOT / "src/longtail").rglob("*.py"),
        *(ROOT / "pipelines").rglob("*.py"),
    ]
    code = "\n".join(path.read_text() for path in sources).replace("$SERVICE", "longtail")
    assert len(texts(own)) > 8
    assert not [text for text in texts(own) if text not in code]


def test_links_lead_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / target).exists(), target
