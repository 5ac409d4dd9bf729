from pathlib import Path

import pytest
from pytest_django import Settings

from dlmodeler_site.static_files import collect_if_changed


@pytest.fixture
def source(settings: Settings, tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    settings.DLM_HOME = tmp_path
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    settings.STATICFILES_DIRS = [folder]
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    return folder


def test_static_files_are_collected_only_when_they_changed(source: Path, tmp_path: Path):
    (source / "app.css").write_text("a {}")
    assert collect_if_changed()
    assert not collect_if_changed()

    (source / "app.css").write_text("a { color: red }")
    assert collect_if_changed()
    assert (tmp_path / "static" / "app.css").read_text() == "a { color: red }"

    (source / "app.css").rename(source / "site.css")
    assert collect_if_changed()
    assert {path.name for path in (tmp_path / "static").iterdir()} == {"site.css"}
