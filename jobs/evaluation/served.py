"""A bundle as the model server serves it, for those that measure it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.inspection.images import ImageError, fit_rgb, read_rgb
from dlmodeler_site.compute.run_folder import RunError
from dlmodeler_site.sentences import Sentence as _
from jobs.bundles.bundle import Bundle, load_bundle
from jobs.bundles.engine import Engine, Pixels, load_engine
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
        answers = np.concatenate([self.engine.predict(image[None]) for image in images])
        if not np.isfinite(answers).all():
            raise RunError(
                _(
                    "The model “%(name)s” answered probabilities that are not numbers. "
                    "Its training has diverged: train again with a smaller learning rate.",
                    name=self.bundle.model.name,
                ),
                reason="model_not_finite",
            )
        return answers


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
