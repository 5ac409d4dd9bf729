"""A bundle as the model server serves it, for those that measure it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.inspection.images import ImageError, fit_rgb, read_rgb
from dlmodeler_site.compute.run_folder import RunError
from dlmodeler_site.sentences import Sentence as _
from jobs.bundles.bundle import Bundle, load_bundle
from jobs.bundles.engine import Cells, Engine, Pixels, load_engine
from jobs.bundles.errors import BundleError


class ServedModel:
    """A loaded bundle; thread-safe."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle = bundle
        self.engine = engine

    def answer(self, images: Sequence[Pixels]) -> NDArray[np.float32]:
        """Probabilities (image, class) of images at the network's size.

        Each is asked by itself, as most requests are; several at once take as long.

        Raises:
            RunError: the model answered something that is not a number.
        """
        return self._finite(np.concatenate([self.engine.predict(image[None]) for image in images]))

    def answer_rows(self, cells: Cells) -> NDArray[np.float32]:
        """Probabilities (row, class) or values (row,) of texts (row, column of the model).

        Raises:
            RunError: the model answered something that is not a number.
        """
        return self._finite(self.engine.predict(cells))

    def _finite(self, answers: NDArray[np.float32]) -> NDArray[np.float32]:
        if np.isfinite(answers).all():
            return answers
        if self.bundle.task == "regression":
            message = _(
                "The model “%(name)s” answered a value that is not a number. "
                "A number in the row may be far from those that it was trained on; or train again.",
                name=self.bundle.model.name,
            )
        else:
            message = _(
                "The model “%(name)s” answered probabilities that are not numbers. "
                "Its training has diverged: train again with a smaller learning rate.",
                name=self.bundle.model.name,
            )
        raise RunError(message, reason="model_not_finite")


def load_served(path: Path, *, threads: int) -> ServedModel:
    """The bundle at `path` with the engine that serves it.

    Raises:
        RunError: it cannot be served.
    """
    try:
        bundle = load_bundle(path)
        return ServedModel(bundle, load_engine(bundle, threads=threads))
    except BundleError as error:
        raise RunError(error.message, reason="bundle_invalid") from error


def read_fitted(bundle: Bundle, path: Path) -> Pixels | str:
    """uint8 (height, width, 3) at the network's size as the model server makes them, or why there are none."""
    try:
        return fit_rgb(read_rgb(path), width=bundle.image.width, height=bundle.image.height)
    except ImageError as error:
        return error.message
    except OSError as error:
        return _("The file cannot be read from storage (%(cause)s).", cause=error.strerror)
