"""A bundle made ready to predict, whatever its input is."""

from collections.abc import Sequence
from pathlib import Path

from datasets.preprocessing.operation import Step
from deployments.modelserver.predictor import Predictor
from deployments.modelserver.table_predictor import TablePredictor
from jobs.bundles.bundle import TableInput, load_bundle
from jobs.bundles.engine import load_engine


def load_predictor(path: Path, *, threads: int, steps: Sequence[Step] = ()) -> Predictor | TablePredictor:
    """The bundle at `path` with its engine; images go through `steps` first.

    Raises:
        BundleError: it cannot be served.
    """
    bundle = load_bundle(path)
    engine = load_engine(bundle, threads=threads)
    if isinstance(bundle.input, TableInput):
        return TablePredictor(bundle, engine)
    return Predictor(bundle, engine, steps, threads=threads)
