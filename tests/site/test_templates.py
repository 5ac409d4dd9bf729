"""Rules that every template keeps, whoever writes it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# A file to be kept and printed brings its own style; the site shows it as a page by another template.
FILES = {ROOT / "templates/jobs/card_file.html"}
TEMPLATES = sorted(set((ROOT / "templates").rglob("*.html")) - FILES)


@pytest.mark.parametrize(
    "rule", [r"\sstyle=", r"\son[a-z]+=", r"\shx-on", r"<script(?![^>]*\ssrc=)(?![^>]*json)", r"<style"]
)
def test_no_template_needs_what_the_content_policy_forbids(rule: str) -> None:
    offenders = [str(path.relative_to(ROOT)) for path in TEMPLATES if re.search(rule, path.read_text())]
    assert offenders == []


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    sprite = set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static/vendor/icons.svg").read_text()))
    missing = {}
    for path in TEMPLATES:
        for name in re.findall(r'(?:icon|<c-icon name)="([a-z0-9-]+)"', path.read_text()):
            if name not in sprite:
                missing[name] = path.name
    assert missing == {}, "add the names to static/vendor/build.mjs and run `npm run vendor`"


def test_every_component_that_a_template_uses_exists() -> None:
    components = {path.stem.replace("_", "-") for path in (ROOT / "templates/cotton").glob("*.html")} | {"vars", "slot"}
    used = {name: path.name for path in TEMPLATES for name in re.findall(r"<c-([a-z-]+)", path.read_text())}
    assert {name: where for name, where in used.items() if name not in components} == {}


def test_every_static_file_that_a_template_names_exists() -> None:
    from django.contrib.staticfiles import finders

    named = {name: path.name for path in TEMPLATES for name in re.findall(r"{% static '([^'{]+)'", path.read_text())}
    assert {name: where for name, where in named.items() if finders.find(name) is None} == {}


def test_vendored_files_point_at_no_source_map() -> None:
    vendored = [path for path in (ROOT / "static/vendor").rglob("*.*") if path.suffix in {".css", ".js"}]
    assert vendored
    assert [path.name for path in vendored if "sourceMappingURL" in path.read_text()] == []


def test_no_plural_is_hidden_from_the_translators() -> None:
    """`make messages` passes over a plural whose `trimmed` stands before `count`."""
    hidden = r"{% blocktrans(?:late)? trimmed (?:[^%]* )?count \w+="
    assert [str(path.relative_to(ROOT)) for path in TEMPLATES if re.search(hidden, path.read_text())] == []
