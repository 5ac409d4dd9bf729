"""A training with a model and an evaluation, made by the code that makes them but without training."""

from pathlib import Path
from typing import Any

import numpy as np

from dlmodeler_site.compute.run_folder import RunFolder, write_json, write_jsonl
from dlmodeler_site.work.models import Status
from jobs.bundles.bundle import Label
from jobs.evaluating import evaluations
from jobs.evaluation.classification import ClassificationTally
from jobs.evaluation.rows import classification_rows
from jobs.evaluation.samples import Sample
from jobs.models import Evaluation, Job, Training

LABELS = (Label(0, "red"), Label(1, "blue"))


def make_training(job: Job, name: str = "first") -> Training:
    training = Training.objects.create(job=job, name=name, slug=name, status=Status.COMPLETED)
    training.export_key = f"{training.files_key}/export/1"
    training.record_of_run = {"data": {key: data.manifest_sha256 for key, data in job.data_by_input().items()}}
    training.save()
    return training


def write_results(folder: Path, answers: dict[str, tuple[int, float]], *, part: str = "held_out") -> dict[str, Any]:
    """What a run leaves: of each name its true class and the probability that the model gives to class 1."""
    samples = [Sample(None, name, str(true), true) for name, (true, _probability) in answers.items()]
    blue = np.array([probability for _true, probability in answers.values()], np.float32)
    rows = classification_rows(samples, np.stack([1 - blue, blue], axis=1), LABELS)
    tally = ClassificationTally(LABELS)
    for row in rows:
        tally.add(row)
    summary = {"task": "classification", "part": part, "of": len(rows), **tally.summary()}
    summary["engine"] = {"name": "openvino", "precision": "f32"}
    folder.mkdir(parents=True)
    write_jsonl(folder / "evaluation.jsonl", rows)
    if summary["worst"]:
        summary["worst"][0]["heatmap"] = "heatmaps/0.png"
        (folder / "heatmaps").mkdir()
        (folder / "heatmaps" / "0.png").write_bytes(b"a picture")
    write_json(folder / "evaluation.json", summary)
    return summary


def make_evaluation(
    training: Training, answers: dict[str, tuple[int, float]], folder: Path, *, part: str = "held_out"
) -> Evaluation:
    """The training's own, taken over from a run folder as at its end."""
    run = RunFolder.create(folder / f"run-{training.pk}", {})
    write_results(run.output / "evaluation", answers, part=part)
    evaluations.publish_own(training, run)
    evaluations.record_own(training)
    return training.evaluations.get(data=None)
