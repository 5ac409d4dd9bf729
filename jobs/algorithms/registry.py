"""The algorithms by name. Reads their manifests only: importing this loads no Keras, TensorFlow or NumPy."""

from jobs.algorithms.base import Manifest
from jobs.algorithms.image_classification.manifest import IMAGE_CLASSIFICATION
from jobs.algorithms.tabular.manifest import TABULAR

_MANIFESTS = {manifest.name: manifest for manifest in (IMAGE_CLASSIFICATION, TABULAR)}


class UnknownAlgorithmError(LookupError):
    """No algorithm has that name."""


def manifests() -> tuple[Manifest, ...]:
    """All algorithms, in the order in which pages list them."""
    return tuple(_MANIFESTS.values())


def manifest(name: str) -> Manifest:
    """The algorithm called `name`; raises `UnknownAlgorithmError`, which lists the known ones."""
    try:
        return _MANIFESTS[name]
    except KeyError:
        raise UnknownAlgorithmError(f"There is no algorithm {name!r}; known are {', '.join(_MANIFESTS)}.") from None
