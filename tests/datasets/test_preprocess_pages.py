"""The preprocessing form, its preview, splits and recipes, by page and by API."""

import io
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse
from PIL import Image

from datasets.models import Data, File, Recipe
from datasets.versions import preprocess_data
from dlmodeler_site.storage import workspace
from dlmodeler_site.work.models import Status
from tests.cast import Cast, api, make_cast, make_data, make_dataset, run_work

pytestmark = pytest.mark.django_db

LABELS = ("sea", "forest")


def noise(seed: int, *, size: tuple[int, int] = (40, 30)) -> bytes:
    """An image that looks like no other."""
    buffer = io.BytesIO()
    values = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(values).resize(size).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def photos(cast: Cast) -> Data:
    files = [(f"{n}.png", noise(n)) for n in range(10)]
    labels = {name: LABELS[place % 2] for place, (name, _content) in enumerate(files)}
    return make_data(make_dataset(cast.project), files, labels=labels)


@pytest.fixture
def listed(cast: Cast) -> Data:
    """The same as rows alone, where no file is opened."""
    dataset = make_dataset(cast.project)
    data = Data.objects.create(
        dataset=dataset, name="raw", slug="raw", status=Status.COMPLETED, content="image", file_count=10
    )
    File.objects.bulk_create(
        File(data=data, name=f"{n}.png", state="ok", content="image", label=LABELS[n % 2], sha256=f"{n:064}")
        for n in range(10)
    )
    return data


def browser(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]
    return client


def page(name: str, *args: int) -> str:
    return reverse(f"datasets:{name}", args=args)


def fields(*steps: dict[str, Any]) -> dict[str, Any]:
    """The steps as fields of the form."""
    return {f"step-{place}-{name}": value for place, step in enumerate(steps) for name, value in step.items()}


def send(cast: Cast, data: Data, *steps: dict[str, Any], **values: Any) -> Any:
    given = {"data_id": data.pk, "name": "typed name", "on_error": "fail", **fields(*steps), **values}
    return browser(cast.erin).post(page("preprocess", cast.project.pk), given)


def shown_steps(text: str) -> list[str]:
    """The operations in the list, without those that can be added."""
    listed = text[text.index('id="steps"') : text.index("dlm-chain-empty")]
    return [part.split('"')[0] for part in listed.split('-op" value="')[1:]]


class TestForm:
    def test_it_queues_the_steps_in_the_order_of_their_places(self, cast: Cast, listed: Data) -> None:
        url = page("preprocess", cast.project.pk)
        assert f'<option value="{listed.pk}" selected>' in browser(cast.erin).get(url, {"data": listed.pk}).text
        given = {**fields({"op": "grayscale"}), "step-10-op": "resize", "step-10-width": "20", "step-10-height": "10"}
        answer = send(cast, listed, on_error="skip", name="small", **given)
        made = Data.objects.get(name="small")
        assert answer["Location"] == page("data", made.pk)
        assert made.steps == [{"op": "grayscale"}, {"op": "resize", "width": 20, "height": 10}]
        assert (made.status, made.on_error, made.parent) == (Status.QUEUED, "skip", listed)

    @pytest.mark.parametrize(
        ("step", "words"),
        [
            ({"op": "rotate", "degrees": "400"}, "Give a number from -360 to 360."),
            ({"op": "resize", "width": "20"}, "Give a number, or remove this step."),
            (
                {"op": "crop", "x_percent": 50, "y_percent": 0, "width_percent": 60, "height_percent": 9},
                "more than 100 %",
            ),
            ({"op": "exclude", "files": "0.png\nno.png"}, "The data has no file “no.png”."),
            ({"op": "relabel", "files": "", "label": "x"}, "Give at least one name."),
            ({"op": "relabel_each", "files": "0.png\n1.png", "labels": "x"}, "there are 1 labels for 2 files"),
            ({"op": "split", "train": 50, "validation": 20, "test": 20, "seed": 0}, "the three parts make 90 %"),
        ],
    )
    def test_it_keeps_what_was_typed_and_marks_the_wrong_field(
        self, cast: Cast, listed: Data, step: dict[str, Any], words: str
    ) -> None:
        answer = send(cast, listed, {"op": "flip_up_down"}, step)
        assert answer.status_code == 200
        assert words in answer.text
        assert "typed name" in answer.text
        assert shown_steps(answer.text) == ["flip_up_down", step["op"]]
        assert all(f"{value}".split("\n")[0] in answer.text for value in step.values())
        assert answer.text.count('aria-invalid="true"') == 1
        assert Data.objects.count() == 1

    def test_it_asks_for_a_step(self, cast: Cast, listed: Data) -> None:
        assert "1 to 32 preprocessing steps" in send(cast, listed).text

    def test_a_split_makes_a_data_for_each_part_and_augments_the_training_part_alone(
        self, cast: Cast, photos: Data
    ) -> None:
        split = {"op": "split", "train": 60, "validation": 0, "test": 40, "seed": 3, "stratified": "on"}
        augment = {"op": "augment", "copies": 1, "seed": 0, "flip_left_right": "on"}
        augment |= dict.fromkeys(
            ("rotate_degrees", "zoom_percent", "translate_percent", "brightness_percent", "contrast_percent"), 0
        )
        answer = send(cast, photos, {"op": "exclude", "files": "0.png\n1.png"}, split, augment, name="parts")
        assert answer["Location"] == page("dataset", photos.dataset_id)
        train, test = (run_work(Data.objects.get(name=f"parts-{part}")) for part in ("train", "test"))
        assert (train.status, test.status) == (Status.COMPLETED, Status.COMPLETED)
        originals = {name for name in train.files.values_list("name", flat=True) if "~" not in name}
        others = set(test.files.values_list("name", flat=True))
        assert originals | others == {f"{n}.png" for n in range(2, 10)}
        assert not originals & others
        assert (train.file_count, len(originals), test.file_count) == (10, 5, 3)


class TestData:
    def test_what_was_left_out_is_counted_on_its_page(self, cast: Cast, photos: Data) -> None:
        steps = [
            {"op": "exclude", "files": ["0.png", "1.png"]},
            {"op": "grayscale"},
            {"op": "rename_label", "from": "sea", "to": "lake"},
        ]
        made = run_work(preprocess_data(photos, cast.alice, name="fewer", steps=steps))
        assert (made.status, made.file_count) == (Status.COMPLETED, 8)
        shown = browser(cast.bob).get(page("data", made.pk)).text
        assert "8</a> · 2 left out" in shown
        assert "Exclude files: 2 files left out" in shown
        assert "Rename a label: 4 files get another label" in shown
        assert "Exclude files: Files (2): 0.png, 1.png" in shown

    def test_files_that_are_carried_over_keep_their_bytes_facts_and_thumbnails(self, cast: Cast, photos: Data) -> None:
        steps = [{"op": "relabel", "files": ["0.png"], "label": "other"}]
        made = run_work(preprocess_data(photos, cast.alice, name="relabelled", steps=steps))
        facts = ("name", "sha256", "size_bytes", "width", "height", "mode", "format", "content", "has_thumbnail")
        assert list(made.files.values_list(*facts)) == list(photos.files.values_list(*facts))
        assert made.files.get(name="0.png").label == "other"
        for file in made.files.all():
            original = photos.files.get(name=file.name)
            for key in ("key", "thumbnail_key"):
                with workspace().open(getattr(file, key)) as one, workspace().open(getattr(original, key)) as other:
                    assert one.read() == other.read()

    def test_a_small_photo_is_its_own_thumbnail(self, cast: Cast) -> None:
        buffer = io.BytesIO()
        Image.new("RGB", (90, 60), "teal").save(buffer, "JPEG")
        photos = make_data(make_dataset(cast.project, "teal"), [("a.jpg", buffer.getvalue())])
        made = run_work(preprocess_data(photos, cast.alice, name="gray", steps=[{"op": "grayscale"}]))
        file = made.files.get()
        with workspace().open(file.thumbnail_key) as thumbnail, workspace().open(file.key) as content:
            assert thumbnail.read() == content.read()


class TestPreview:
    def ask(self, cast: Cast, photos: Data, *steps: dict[str, Any]) -> str:
        file = photos.files.get(name="1.png")
        given = {"data_id": photos.pk, "file": file.pk, **fields(*steps)}
        return browser(cast.bob).post(page("preprocess-preview", cast.project.pk), given).text

    def test_it_shows_before_and_after_or_the_mistake(self, cast: Cast, photos: Data) -> None:
        shown = self.ask(cast, photos, {"op": "rotate", "degrees": 45})
        assert reverse("api-file-content", args=[photos.files.get(name="1.png").pk]) in shown
        assert shown.count("data:image/jpeg;base64,") == 1
        assert "from -360 to 360" in self.ask(cast, photos, {"op": "rotate", "degrees": 900})
        assert "No data chosen" in browser(cast.bob).post(page("preprocess-preview", cast.project.pk)).text

    def test_it_shows_variants_of_an_augmented_image(self, cast: Cast, photos: Data) -> None:
        step = {"op": "augment", "copies": 9, "seed": 0, "rotate_degrees": 90, "zoom_percent": 0}
        step |= dict.fromkeys(("translate_percent", "brightness_percent", "contrast_percent"), 0)
        assert self.ask(cast, photos, step).count("data:image/jpeg;base64,") == 5

    def test_it_counts_what_selections_leave(self, cast: Cast, photos: Data) -> None:
        shown = self.ask(
            cast, photos, {"op": "exclude", "files": "0.png"}, {"op": "rename_label", "from": "sea", "to": "lake"}
        )
        assert "Files: 9 of 10 stay" in shown
        assert "Exclude files: 1 file left out" in shown
        assert "4 files get another label" in shown
        split = {"op": "split", "train": 50, "validation": 30, "test": 20, "seed": 0}
        assert "Training 5 · Validation 3 · Test 2" in self.ask(cast, photos, split)

    def test_a_comparison_of_very_many_files_is_left_to_the_run(self, cast: Cast, photos: Data) -> None:
        Data.objects.filter(pk=photos.pk).update(file_count=30_001)
        shown = self.ask(cast, photos, {"op": "drop_duplicates", "across_labels": "keep_first"}, {"op": "grayscale"})
        assert "is counted when the steps run" in shown
        assert "data:image/jpeg;base64," in shown
        assert "Files: 9 of 10 stay" in self.ask(cast, photos, {"op": "exclude", "files": "0.png"})


class TestRecipes:
    STEPS = ({"op": "resize", "width": 20, "height": 10}, {"op": "exclude", "files": "0.png"}, {"op": "grayscale"})

    def save(self, cast: Cast, name: str = "small and gray") -> str:
        given = {"recipe_name": name, **fields(*self.STEPS)}
        return browser(cast.erin).post(page("recipe-save", cast.project.pk), given).text

    def test_steps_are_saved_without_those_that_name_files_and_used_again(self, cast: Cast) -> None:
        assert "Left out, because they name files of one data: Exclude files." in self.save(cast)
        recipe = Recipe.objects.get()
        assert recipe.steps == [{"op": "resize", "width": 20, "height": 10}, {"op": "grayscale"}]
        client = browser(cast.erin)
        loaded = client.get(page("recipe-steps", recipe.pk)).text
        assert 'name="step-0-width" value="20"' in loaded
        used = client.get(page("preprocess", cast.project.pk), {"recipe": recipe.pk}).text
        assert shown_steps(used) == ["resize", "grayscale"]
        assert "Resize: Width 20 px, Height 10 px" in client.get(page("recipes", cast.project.pk)).text

    def test_names_are_unique_and_can_be_changed(self, cast: Cast) -> None:
        assert "Give the recipe a name." in self.save(cast, " ")
        self.save(cast)
        assert "has a recipe “small and gray” already" in self.save(cast)
        client = browser(cast.erin)
        client.post(page("recipe-rename", Recipe.objects.get().pk), {"name": "other"})
        assert Recipe.objects.get().name == "other"
        client.post(page("recipe-delete", Recipe.objects.get().pk))
        assert not Recipe.objects.exists()

    def test_the_api_does_what_the_page_does(self, cast: Cast) -> None:
        client, url = api(cast.erin), reverse("api-recipe-list")
        given = {"project": cast.project.pk, "name": "gray", "steps": [{"op": "grayscale"}]}
        made = client.post(url, given, format="json").json()
        assert made["steps"] == given["steps"]
        naming = client.post(url, given | {"steps": [{"op": "exclude", "files": ["a"]}]}, format="json")
        assert (naming.status_code, naming.json()["reason"]) == (400, "step_names_files")
        again = client.post(url, given, format="json")
        assert (again.status_code, again.json()["reason"]) == (409, "name_taken")
        detail = reverse("api-recipe-detail", args=[made["id"]])
        changed = client.patch(detail, {"steps": [{"op": "flip_up_down"}]}, format="json").json()
        assert (changed["name"], changed["steps"]) == ("gray", [{"op": "flip_up_down"}])
        listed = api(cast.bob).get(url, {"project": cast.project.pk}).json()
        assert [recipe["name"] for recipe in listed["results"]] == ["gray"]
        assert client.delete(detail).status_code == 204


class TestApi:
    def test_a_split_answers_the_parts(self, cast: Cast, photos: Data) -> None:
        given = {"name": "parts", "train": 50, "validation": 30, "test": 20, "seed": 1}
        url = reverse("api-data-split", args=[photos.pk])
        answer = api(cast.erin).post(url, given, format="json")
        assert answer.status_code == 201
        assert [data["name"] for data in answer.json()] == ["parts-train", "parts-validation", "parts-test"]
        made = [run_work(Data.objects.get(pk=data["id"])) for data in answer.json()]
        assert [data.file_count for data in made] == [5, 3, 2]
        assert sum(data.files.filter(label="sea").count() for data in made) == 5
        names = [name for data in made for name in data.files.values_list("name", flat=True)]
        assert sorted(names) == sorted(photos.files.values_list("name", flat=True))
        wrong = api(cast.erin).post(url, given | {"test": 10}, format="json")
        assert (wrong.status_code, wrong.json()["reason"]) == (400, "invalid_steps")
        assert wrong.json()["details"]["steps"][0]["parameter"] == "test"

    def test_selections_are_tried_out(self, cast: Cast, listed: Data) -> None:
        url = reverse("api-data-selection", args=[listed.pk])
        steps = [{"op": "grayscale"}, {"op": "relabel", "files": ["0.png", "1.png"], "label": "sea"}]
        answer = api(cast.bob).post(url, {"steps": [*steps, {"op": "drop_duplicates"}]}, format="json").json()
        assert (answer["files"], answer["kept"]) == (10, 10)
        assert [(step["step"], step["op"], step["relabelled"]) for step in answer["steps"]] == [
            (1, "relabel", 1),
            (2, "drop_duplicates", 0),
        ]
        unknown = api(cast.bob).post(url, {"steps": [{"op": "exclude", "files": ["x"] * 3}]}, format="json")
        assert (unknown.status_code, unknown.json()["details"]["steps"][0]["parameter"]) == (400, "files")
