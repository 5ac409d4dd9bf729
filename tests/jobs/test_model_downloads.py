"""One small training to its end: its evaluations, and its model in every format, which answer the same."""

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.inspection.images import fit_rgb, read_rgb
from dlmodeler_site.storage import workspace
from jobs.models import Download, Training
from tests.cast import api, make_cast, run_work
from tests.jobs.stage import image_names, make_csv, make_images, make_job, make_patterns, right_csv

pytestmark = pytest.mark.django_db
SMALL = {f"filter_num{block}": 2 for block in range(1, 7)}


def test_a_real_training_is_evaluated_and_every_format_answers_as_the_savedmodel(tmp_path: Path) -> None:
    cast = make_cast()
    images = make_patterns(cast.project)
    labels = make_csv(cast.project, right_csv())
    job = make_job(cast.project, images, labels)
    viewer, editor = api(cast.bob), api(cast.erin)
    hyperparameters = {"epochs": 1, "batch_size": 4, "image_size": 64, "validation_split": 0.5, **SMALL}
    started = editor.post(
        "/api/v1/trainings/", {"job": job.pk, "trainings": [{"name": "small", "hyperparameters": hyperparameters}]}
    )
    training = run_work(Training.objects.get(pk=started.json()[0]["id"]))
    url = f"/api/v1/trainings/{training.pk}/"
    own = viewer.get(f"{url}evaluation/").json()
    assert (own["part"], own["samples"], sum(map(sum, own["confusion"]))) == ("held_out", 6, 6)

    made = editor.post(f"{url}evaluations/", {"data": images.pk, "labels": labels.pk}).json()
    other = run_work(training.evaluations.get(pk=made["id"]))
    assert (other.status, other.error) == ("completed", "")
    told = viewer.get(f"/api/v1/evaluations/{other.pk}/").json()
    assert (told["part"], told["samples"], told["data"]) == ("other", 12, images.pk)
    assert viewer.get(f"/api/v1/evaluations/{other.pk}/results/").json()["results"][0]["file"]

    pixels = np.stack([_pixels(images, name) for name in image_names(4)])
    expected = _saved_model(viewer.get(f"{url}model/").getvalue(), tmp_path, pixels)
    assert viewer.get(f"{url}model/?format=pickle").json()["reason"] == "invalid"
    for name, answer in (("keras", _keras), ("onnx", _onnx), ("litert", _litert)):
        response = viewer.get(f"{url}model/?format={name}")
        if name != "keras":
            assert (response.status_code, response.json()["status"], response["Retry-After"]) == (202, "queued", "2")
            assert viewer.get(f"{url}model/?format={name}").json()["id"] == response.json()["id"]
            download = run_work(Download.objects.get(pk=response.json()["id"]))
            assert (download.status, download.error) == ("completed", "")
            response = viewer.get(f"{url}model/?format={name}")
        assert response.status_code == 200, name
        content = response.getvalue()
        assert answer(content, tmp_path, pixels) == pytest.approx(expected, abs=1e-5), name

    key = training.files_key
    assert editor.delete(url).status_code == 204
    assert not list(workspace().keys(key))


def test_a_model_that_cannot_be_converted_says_so_each_time(tmp_path: Path) -> None:
    cast = make_cast()
    training = Training.objects.create(
        job=make_job(cast.project, make_images(cast.project)), name="t", slug="t", status="completed"
    )
    url = f"/api/v1/trainings/{training.pk}/model/"
    assert api(cast.bob).get(f"{url}?format=onnx").json()["reason"] == "no_model"
    training.export_key = f"{training.files_key}/export/1"
    training.save()
    (tmp_path / "bundle.json").write_text("{}")
    workspace().put_tree(training.export_key, tmp_path)
    assert api(cast.bob).get(f"{url}?format=keras").json()["reason"] == "format_unavailable"
    first = api(cast.bob).get(f"{url}?format=onnx").json()
    failed = run_work(Download.objects.get(pk=first["id"]))
    assert (failed.status, failed.error_reason) == ("failed", "bundle_invalid")
    again = api(cast.bob).get(f"{url}?format=onnx")
    assert (again.status_code, again.json()["status"]) == (202, "queued")
    Download.objects.update(status="failed", error_reason="not_convertible", error="It has no such part.")
    refused = api(cast.bob).get(f"{url}?format=onnx")
    assert (refused.status_code, refused.json()["reason"]) == (409, "not_convertible")


def _pixels(images, name):
    file = images.files.get(name=name)
    return fit_rgb(read_rgb(workspace().local_path(file.key, file.sha256)), width=64, height=64)


def _saved_model(content: bytes, folder: Path, pixels):
    import tensorflow as tf

    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
        assert not [name for name in archive.getnames() if name.endswith(".keras")]
        archive.extractall(folder / "saved", filter="data")
    model = tf.saved_model.load(str(folder / "saved" / "small"))
    return model.signatures["serving_default"](tf.constant(pixels))["probabilities"].numpy()


def _keras(content: bytes, folder: Path, pixels):
    import keras

    (folder / "model.keras").write_bytes(content)
    return keras.saving.load_model(folder / "model.keras").predict(pixels, verbose=0)


def _onnx(content: bytes, _folder: Path, pixels):
    import onnx
    from onnx.reference import ReferenceEvaluator

    answers: Any = ReferenceEvaluator(onnx.load_from_string(content)).run(["probabilities"], {"images": pixels})
    return answers[0]


def _litert(content: bytes, _folder: Path, pixels):
    import tensorflow as tf

    runner = tf.lite.Interpreter(model_content=content).get_signature_runner("serving_default")
    return runner(images=pixels)["probabilities"]
