"""The Korean catalogue is complete, is Korean, keeps its placeholders, and reaches the pages."""

import re
from pathlib import Path

import polib  # type: ignore[import-untyped]
import pytest
from django.test import Client
from django.urls import reverse

CATALOGUE = Path(__file__).resolve().parents[2] / "locale/ko/LC_MESSAGES/django.po"
ENTRIES = [entry for entry in polib.pofile(str(CATALOGUE)) if not entry.obsolete]

# What is written the same in both languages: names and abbreviations.
SAME_IN_BOTH = re.compile(r"DL Modeler|REST API|CPU|GPUs?|JSON|csv|token|F1|R²")
PLACEHOLDER = re.compile(r"%\(\w+\)[\d.]*[a-z]|%%|\{\w*\}")


def translations(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


def needs_hangul(text: str) -> bool:
    return bool(re.search(r"[A-Za-z]", SAME_IN_BOTH.sub("", PLACEHOLDER.sub("", text))))


def test_every_message_is_translated() -> None:
    assert [entry.msgid for entry in ENTRIES if entry.fuzzy or not all(translations(entry))] == []


def test_no_page_translates_a_percent_sign() -> None:
    """Django doubles it before it looks into the catalogue, which has it once."""
    templates = [path.read_text() for path in (CATALOGUE.parents[3] / "templates").rglob("*.html")]
    found = [text for page in templates for text in re.findall(r"{%\s*translate\s+(?:\"[^\"]*\"|'[^']*')", page)]
    assert len(found) > 100
    assert [text for text in found if "%" in text[2:]] == []


def test_every_translation_is_korean() -> None:
    foreign = {
        text: entry.msgid
        for entry in ENTRIES
        for text in translations(entry)
        if needs_hangul(entry.msgid) and not re.search("[가-힣]", text)
    }
    assert foreign == {}


def test_every_translation_keeps_the_placeholders() -> None:
    differing = {
        text: entry.msgid
        for entry in ENTRIES
        for text in translations(entry)
        if set(PLACEHOLDER.findall(text)) != set(PLACEHOLDER.findall(entry.msgid_plural or entry.msgid))
    }
    assert differing == {}


def test_no_particle_is_guessed_after_a_value() -> None:
    """은/는, 이/가, 을/를 depend on the last sound of a value that is not known here: 을(를) fits all."""
    guessed = [
        text
        for entry in ENTRIES
        for text in translations(entry)
        if re.search(r"%\(\w+\)s[”’]?(은|는|이|가|을|를|와|과|으로|로)(?=[ .,])", text)
    ]
    assert guessed == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "words"),
    [("intro", ["지금 시작해 보세요", "로그인", "이용 방법"]), ("account_login", ["DL Modeler 로그인", "비밀번호"])],
)
def test_a_korean_browser_sees_korean(client: Client, name: str, words: list[str]) -> None:
    korean = client.get(reverse(name), headers={"accept-language": "ko-KR,ko;q=0.9,en;q=0.5"}).text
    english = client.get(reverse(name), headers={"accept-language": "en"}).text
    assert '<html lang="ko"' in korean
    for word in words:
        assert word in korean
        assert word not in english
