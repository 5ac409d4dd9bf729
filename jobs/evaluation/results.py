"""What an evaluation leaves: its rows, the figures, and heat maps of the worst mistakes."""

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from datasets.inspection.images import ImageError, fit_rgb, read_rgb
from dlmodeler_site.compute.run_folder import read_json, read_jsonl, write_json
from dlmodeler_site.sentences import to_json
from jobs.bundles.bundle import ImageInput
from jobs.bundles.errors import BundleError
from jobs.bundles.explainer import Explainer, can_explain, painted
from jobs.evaluation.classification import ClassificationTally
from jobs.evaluation.regression import RegressionTally
from jobs.evaluation.served import ServedModel

ROWS, SUMMARY, HEATMAPS = "evaluation.jsonl", "evaluation.json", "heatmaps"

PathsOf = Callable[[Sequence[int]], dict[int, Path]]


def tally(served: ServedModel, rows: Iterable[dict[str, Any]]) -> ClassificationTally | RegressionTally:
    """The rows, counted."""
    bundle = served.bundle
    counted: ClassificationTally | RegressionTally
    counted = ClassificationTally(bundle.labels) if bundle.task == "classification" else RegressionTally()
    for row in rows:
        counted.add(row)
    return counted


def write_summary(
    folder: Path,
    served: ServedModel,
    *,
    part: str,
    of: int,
    started: float,
    paths: PathsOf,
    threads: int,
    **more: Any,
) -> dict[str, Any]:
    """Write `evaluation.json` of the rows in `folder`, and the heat maps; answers what it says.

    Args:
        of: samples that the part has.
        started: `time.monotonic()` at the start, seconds of earlier attempts taken off.
        paths: the files of the samples at some places of the rows, those that have one.
        more: what the summary tells besides.
    """
    bundle = served.bundle
    summary = {
        "task": bundle.task,
        "part": part,
        "of": of,
        **tally(served, read_jsonl(folder / ROWS)).summary(),
        **more,
    }
    if isinstance(bundle.input, ImageInput) and can_explain(bundle):
        _draw(folder, served, summary["worst"], paths, threads)
    summary["engine"] = {
        "name": served.engine.name,
        "precision": served.engine.precision,
        "fallback": to_json(served.engine.fallback),
        "gate": bundle.engine.gate,
    }
    summary["seconds"] = round(time.monotonic() - started, 3)
    write_json(folder / SUMMARY, summary)
    return summary


def add_to_summary(folder: Path, **more: Any) -> None:
    """Have the summary in `folder` tell more."""
    write_json(folder / SUMMARY, read_json(folder / SUMMARY) | more)


def _draw(folder: Path, served: ServedModel, worst: list[dict[str, Any]], paths: PathsOf, threads: int) -> None:
    """Heat maps of mistakes for what was predicted; those whose file is gone or damaged meanwhile go without."""
    bundle = served.bundle
    files = paths([mistake["row"] for mistake in worst])
    shown = []
    for mistake in worst:
        try:
            shown.append((mistake, read_rgb(files[mistake["row"]])))
        except (KeyError, ImageError, OSError):
            continue
    classes = {label.label: index for index, label in enumerate(bundle.labels)}
    fitted = [fit_rgb(pixels, width=bundle.image.width, height=bundle.image.height) for _mistake, pixels in shown]
    try:
        heat = Explainer(bundle, threads=threads).heatmaps(
            fitted, [classes[mistake["predicted"]] for mistake, _pixels in shown]
        )
    except BundleError:
        return  # It was tried at the export; what is measured is worth more than its pictures.
    (folder / HEATMAPS).mkdir(exist_ok=True)
    for number, ((mistake, pixels), each) in enumerate(zip(shown, heat, strict=True)):
        mistake["heatmap"] = f"{HEATMAPS}/{number}.png"
        (folder / mistake["heatmap"]).write_bytes(painted(pixels, each))
