"""Exploring and mending a data: findings, charts, files by what they are like, changes that make a new version."""

import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from datasets.file_lists import FileFilter, listing, matching, names
from datasets.findings import findings
from datasets.models import Data, File
from datasets.preprocessing.parameters import MAX_NAMES
from datasets.profile import profile
from datasets.versions import create_raw_data, preprocess_data, suggested_name
from dlmodeler_site.errors import UserError
from dlmodeler_site.work.models import Status
from tests.cast import Cast, make_cast, make_data, make_dataset, png, run_work

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def photos(cast: Cast) -> Data:
    """Twelve seas, a forest, two copies of a sea (one labelled forest), a dark and small one, and a refused one."""
    seas = [(f"sea/{n:02}.png", png((n * 20, 90, 200), size=(60, 40 + n))) for n in range(12)]
    files = [*seas, ("forest.png", png((0, 200, 0))), ("a.png", seas[0][1]), ("b.png", seas[0][1])]
    files += [("dark.png", png((3, 3, 3), size=(20, 40))), ("no.jpg", b"no image")]
    labels = {name: "sea" for name, _content in seas} | {"forest.png": "forest", "a.png": "sea", "b.png": "forest"}
    return make_data(make_dataset(cast.project), files, labels=labels)


@pytest.fixture
def many(cast: Cast) -> Data:
    """300 files of three labels and sizes of 1 to 300 KB; every tenth is refused."""
    data = Data.objects.create(dataset=make_dataset(cast.project, "many"), name="many", slug="many", status="completed")
    File.objects.bulk_create(
        File(
            data=data,
            name=f"{n * 7 % 300:03}.png",
            state="rejected" if n % 10 == 0 else "ok",
            content="image",
            label=("", "sea", "forest")[n % 3],
            size_bytes=(n + 1) * 1024,
            width=n,
            height=300 - n,
            has_thumbnail=True,
        )
        for n in range(300)
    )
    data.file_count, data.rejected_count = 270, 30
    data.save()
    return data


def browser(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return client


def page(name: str, *args: int) -> str:
    return reverse(f"datasets:{name}", args=args)


# -- Explore -----------------------------------------------------------------------------------------


def test_findings_say_what_is_wrong_and_how_to_mend_it(photos: Data) -> None:
    found = {each.title: each for each in findings(photos, profile(photos))}
    assert list(found)[:2] == [
        "1 file was refused",
        "2 files are exact duplicates; 1 group has different labels",
    ]
    duplicates = found["2 files are exact duplicates; 1 group has different labels"]
    assert [action.step and action.step["across_labels"] for action in duplicates.actions if action.step] == [
        "keep_first",
        "drop_all",
    ]
    assert "1 file has no label" in found
    assert "“forest” (2)" in found["1 class has fewer than 10 files"].why
    assert found["1 image is very dark"].actions[0].href == "#dark"
    assert found["Some images are less than 32 pixels wide"].actions[0].href.endswith("?max_width=31")


def test_every_step_that_a_finding_offers_can_be_run(cast: Cast, photos: Data) -> None:
    steps = [action.step for each in findings(photos, profile(photos)) for action in each.actions if action.step]
    assert len(steps) >= 3
    for step in steps:
        answer = browser(cast.erin).post(page("data-mend", photos.pk), {"steps": json.dumps([step])})
        assert "files stay" in answer.text


def test_labels_that_differ_in_writing_alone_are_found(cast: Cast) -> None:
    data = Data(pk=1, dataset=make_dataset(cast.project))
    labels = [{"label": label, "count": 20} for label in ("dark sea", "forest", "Dark-Sea")]
    found = findings(data, profile(Data()) | {"labels": labels})
    assert found[0].actions[0].step == {"op": "rename_label", "from": "Dark-Sea", "to": "dark sea"}


def test_the_page_draws_charts_classes_and_groups(cast: Cast, photos: Data, django_assert_num_queries: Any) -> None:
    client = browser(cast.bob)
    with django_assert_num_queries(7):
        shown = client.get(page("data-explore", photos.pk)).text
    charts = dict(re.findall(r'<script id="chart-(\w+)" type="application/json">(.*?)</script>', shown))
    assert list(charts) == ["classes", "width", "height", "aspect", "size_bytes", "brightness", "saturation", "colour"]
    assert json.loads(charts["classes"]) == {"labels": ["sea", "forest"], "values": [13, 2]}
    assert sum(json.loads(charts["width"])["counts"]) == 16
    assert shown.count('data-chart-source="chart-') == 8
    assert "different labels" in shown
    assert "Not an image" in shown
    alike = client.get(page("data-alike", photos.pk)).text
    assert [alike.index(name) for name in ("a.png", "b.png")] == sorted(alike.index(n) for n in ("a.png", "b.png"))
    assert 'id="dark"' in shown
    assert 'id="bright"' not in shown
    assert 'data-file="dark.png"' in client.get(page("data-extremes", photos.pk)).text
    classes = client.get(page("data-classes", photos.pk)).text
    assert f"{page('data-files', photos.pk)}?label=forest" in classes


def test_it_is_one_row_however_many_files_there_are(cast: Cast, many: Data, django_assert_num_queries: Any) -> None:
    group = {"files": [{"name": f"{n:03}.png", "label": ""} for n in range(20)], "count": 40, "labels": []}
    across = {**group, "count": 20, "labels": ["forest", "sea"]}
    told = {"groups": 200, "files": 999, "across_labels": 1, "largest": [*[group] * 99, across]}
    many.profile = {"files": 270, "labels": [{"label": f"<{n}>", "count": 1} for n in range(1000)], "complete": True}
    many.profile["duplicates"] = told
    many.save()
    client = browser(cast.bob)
    with django_assert_num_queries(6):
        shown = client.get(page("data-explore", many.pk)).text
    assert shown.index("different labels") < shown.index("the first 20 are shown")
    assert "The 100 largest of 200 groups" in shown
    assert "<999>" not in client.get(page("data-classes", many.pk), {"page": "50"}).text
    assert "&lt;999&gt;" in client.get(page("data-classes", many.pk), {"page": "50"}).text


def test_a_table_tells_its_columns_and_first_rows(cast: Cast) -> None:
    rows = "".join(f"{n}.jpg,{n * 1.5},{'yes' if n % 2 else ''}\n" for n in range(40))
    data = make_data(
        make_dataset(cast.project), [("t.csv", f"파일,weight,day\n{rows}".encode()), ("u.csv", b"x,y\n1,2")]
    )
    client = browser(cast.bob)
    shown = client.get(page("data-explore", data.pk)).text
    assert "파일" in shown
    assert "dlm-spark" in shown
    assert "0 – 58.5" in shown
    assert "(50 %)" in shown
    assert "39.jpg" not in shown
    assert "12.jpg" in shown  # of the first rows
    assert "weight" not in client.get(page("data-columns", data.pk), {"table": "1"}).text
    assert client.get(page("data-columns", data.pk), {"table": "2"}).status_code == 404


def test_it_is_shown_while_it_comes(cast: Cast, photos: Data) -> None:
    made = preprocess_data(photos, cast.alice, name="gray", steps=[{"op": "grayscale"}])
    client = browser(cast.bob)
    assert "every 3s" in client.get(page("data-explore", made.pk)).text
    Data.objects.filter(pk=made.pk).update(status=Status.RUNNING, profile={"files": 7, "complete": False})
    partial = client.get(page("data-explore-now", made.pk)).text
    assert "every 3s" in partial
    assert "duplicates are looked for at the end" in partial
    Data.objects.filter(pk=made.pk).update(status=Status.QUEUED, profile={})
    run_work(made)
    shown = client.get(page("data-explore-now", made.pk)).text
    assert "every 3s" not in shown
    assert "chart-brightness" in shown
    empty = create_raw_data(photos.dataset, cast.alice, name="empty")
    assert "Nothing to explore yet" in client.get(page("data-explore", empty.pk)).text


# -- Files -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"state": "rejected"},
        {"state": "ok", "sort": "-name"},
        {"label": "sea", "sort": "size"},
        {"sort": "label"},
        {"sort": "-label", "state": "ok"},
        {"sort": "-pixels", "state": "ok"},
        {"unlabelled": "1", "sort": "name"},
        {"min_kb": "10", "max_kb": "20.5"},
        {"min_width": "30", "max_height": "200", "state": "ok", "sort": "name"},
        {"max_width": "250", "sort": "-name"},
        {"search": "7", "sort": "-size"},
        {"search": "1", "content": "image", "label": "forest", "state": "ok", "sort": "name"},
        {"content": "table"},
    ],
)
def test_every_page_of_every_filter_holds_what_it_should(many: Data, query: dict[str, str]) -> None:
    """Against a plain loop over the rows, whatever way round the pages are taken."""
    wanted = FileFilter.asked(query)

    def is_wanted(file: File) -> bool:
        return (
            query.get("search", "") in file.name
            and file.state in (query.get("state") or file.state)
            and file.label == ("" if "unlabelled" in query else query.get("label", file.label))
            and file.content == query.get("content", file.content)
            and float(query.get("min_kb", 0)) * 1024 <= file.size_bytes <= float(query.get("max_kb", 999)) * 1024
            and int(query.get("min_width", 0)) <= (file.width or 0) <= int(query.get("max_width", 999))
            and (file.height or 0) <= int(query.get("max_height", 999))
        )

    keys: dict[str, Any] = {
        "name": lambda file: file.name,
        "size": lambda file: (file.size_bytes, file.pk),
        "label": lambda file: (
            file.label,
            file.state,
            file.content,
            file.size_bytes,
            file.width or -1,
            file.height,
            file.pk,
        ),
        "pixels": lambda file: (file.width * file.height, file.pk),
    }
    order = query.get("sort", "")
    expected = sorted(filter(is_wanted, many.files.all()), key=keys.get(order.lstrip("-"), lambda file: file.pk))
    if order.startswith("-"):
        expected.reverse()
    found: list[str] = []
    number, last = 1, 1
    while number <= last:
        files = listing(many, wanted, page=number, per_page=7)
        found += [file.name for file in files.page]
        number, last = number + 1, files.paginator.num_pages
    assert found == [file.name for file in expected]


def test_nonsense_in_the_address_is_left_out(cast: Cast, many: Data) -> None:
    nonsense = {"state": "x", "sort": "password", "min_kb": "nan", "max_kb": "-1", "min_width": "1e9", "content": "<b>"}
    assert FileFilter.asked(nonsense) == FileFilter()
    client = browser(cast.bob)
    for page_number in ("0", "-3", "999999999999999999999", "x"):
        assert client.get(page("data-files", many.pk), {**nonsense, "page": page_number}).status_code == 200


@pytest.mark.parametrize("query", [{"view": "grid"}, {"view": "list"}, {"search": "1", "min_kb": "2", "sort": "name"}])
def test_the_queries_of_a_page_of_files_are_the_same_for_any(
    cast: Cast, many: Data, query: dict[str, str], django_assert_max_num_queries: Any
) -> None:
    client = browser(cast.bob)
    for number in (1, 2, 99):
        with django_assert_max_num_queries(11):
            answer = client.get(page("data-files", many.pk), {**query, "per_page": "100", "page": str(number)})
        assert answer.status_code == 200


def test_a_database_answers_from_indexes_alone(many: Data) -> None:
    plan = matching(many.pk, FileFilter.asked({"min_width": "5", "state": "ok"})).values("pk").explain()
    assert "file_facts" in plan or "Scan" in plan  # a small table is scanned by PostgreSQL
    if "SEARCH" in plan:
        assert "COVERING INDEX file_facts" in plan


def test_all_that_match_are_chosen_up_to_the_limit_of_a_step(cast: Cast, many: Data) -> None:
    client = browser(cast.erin)
    found = client.get(page("data-file-names", many.pk), {"label": "sea"}).json()["names"]
    assert len(found) == 90
    File.objects.bulk_create(File(data=many, name=f"more{n}", state="ok") for n in range(MAX_NAMES))
    refused = client.get(page("data-file-names", many.pk))
    assert (refused.status_code, refused.json()["reason"]) == (400, "too_many_files")
    with pytest.raises(UserError, match="Narrow the filter"):
        names(many, FileFilter())


# -- Mend --------------------------------------------------------------------------------------------


def test_changes_are_told_in_numbers_and_make_a_new_version(cast: Cast, photos: Data) -> None:
    client = browser(cast.erin)
    steps = [
        {"op": "exclude", "files": ["sea/01.png", "sea/02.png"]},
        {"op": "relabel", "files": ["dark.png"], "label": "sea"},
        {"op": "rename_label", "from": "sea", "to": "바다"},
        {"op": "drop_duplicates", "near": False, "across_labels": "drop_all"},
    ]
    url = page("data-mend", photos.pk)
    foreseen = client.post(url, {"steps": json.dumps(steps)}).text
    assert "<strong>11</strong> of 16 files stay" in foreseen
    assert 'value="photos-2"' in foreseen
    assert photos.children.count() == 0
    unnamed = client.post(url, {"steps": json.dumps(steps), "name": " ", "make": "1"})
    assert "This field is required" in unnamed.text
    made = client.post(url, {"steps": json.dumps(steps), "name": "mended", "description": "", "make": "1"})
    data = Data.objects.get(name="mended")
    assert made["HX-Redirect"] == page("data", data.pk)
    assert (data.parent, data.dataset, data.creator) == (photos, photos.dataset, cast.erin)
    run_work(data)
    assert data.status == Status.COMPLETED, data.error
    assert data.file_count == 11
    assert set(data.files.values_list("label", flat=True)) == {"바다", "forest"}
    assert photos.files.filter(state="ok").count() == 16
    assert suggested_name(photos) == "photos-2"
    Data.objects.filter(pk=data.pk).update(name="photos-2")
    assert suggested_name(photos) == suggested_name(Data.objects.get(pk=data.pk)) == "photos-3"


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ("[]", "received 0 steps"),
        ("no json", "could not be read"),
        ('[{"op": "exclude", "files": ["x.png"]}]', "has no file “x.png”"),
        ('[{"op": "relabel", "files": ["forest.png"], "label": "forest"}]', "Nothing would change"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_made(cast: Cast, photos: Data, steps: str, told: str) -> None:
    assert told in browser(cast.erin).post(page("data-mend", photos.pk), {"steps": steps}).text
    assert photos.children.count() == 0


def test_viewers_explore_but_mend_nothing(cast: Cast, photos: Data) -> None:
    viewer, editor = browser(cast.bob), browser(cast.erin)
    for name in ("data-explore", "data-files", "data-alike", "data-classes"):
        shown = viewer.get(page(name, photos.pk)).text
        assert re.findall(r"data-mend\b|data-choose|data-mend-step|rename-label", shown) == []
        if name != "data-classes":
            assert "data-choose" in editor.get(page(name, photos.pk)).text
        assert browser(cast.charlie).get(page(name, photos.pk)).status_code == 404
    steps = {"steps": '[{"op": "drop_rejected"}]'}
    assert viewer.post(page("data-mend", photos.pk), steps).status_code == 403
    assert browser(cast.charlie).post(page("data-mend", photos.pk), steps).status_code == 404
