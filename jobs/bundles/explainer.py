"""What speaks for a class in an image: heat maps of the bundle's explaining network, and as pictures."""

import io
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dlmodeler_site.sentences import Sentence as _
from jobs.bundles.bundle import Bundle
from jobs.bundles.conversion import import_openvino
from jobs.bundles.errors import BundleError

LONGER_SIDE_PX = 512
# Blue over green and yellow to red, as heat is usually painted.
_COLOURS = np.array([(0, 0, 131), (0, 90, 255), (0, 230, 200), (255, 235, 0), (255, 90, 0), (160, 0, 0)], np.float32)
_GREATEST_OPACITY = 0.65
_BATCH = 8

Heat = NDArray[np.float32]


def can_explain(bundle: Bundle) -> bool:
    return (bundle.path / "engine" / "explain.xml").exists()


class Explainer:
    """`engine/explain.xml`, loaded at its first use; one caller at a time."""

    def __init__(self, bundle: Bundle, *, threads: int) -> None:
        self._bundle = bundle
        self._threads = threads
        self._lock = threading.Lock()
        self._network: Any = None

    def heatmaps(self, images: Sequence[NDArray[np.uint8]], classes: Sequence[int]) -> list[Heat]:
        """For each image (uint8, of the network's size) where what speaks for the class lies, 0..1, on a coarse grid.

        Raises:
            BundleError: the bundle has no explaining network, or it does not load.
        """
        maps: list[Heat] = []
        with self._lock:
            if self._network is None:
                self._network = self._load()
            for start in range(0, len(images), _BATCH):
                part = slice(start, start + _BATCH)
                batch = {"images": np.stack(images[part]), "classes": np.array(classes[part], np.int32)}
                maps += list(self._network(batch)["heatmaps"].copy())
        return maps

    def _load(self) -> Any:
        path = self._bundle.path / "engine" / "explain.xml"
        if not path.exists():
            raise BundleError(_("its bundle has no engine/explain.xml"))
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": self._threads,
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
        }
        try:
            return import_openvino().Core().compile_model(path, "CPU", settings)
        except (ImportError, RuntimeError) as error:
            cause = str(error).replace(f"{self._bundle.path}/", "")
            raise BundleError(_("OpenVINO could not load engine/explain.xml (%(cause)s)", cause=cause)) from error


def painted(pixels: NDArray[np.uint8], heat: Heat) -> bytes:
    """A PNG of the image (uint8 (height, width, 3)) under its heat map, its longer side cut to `LONGER_SIDE_PX`."""
    image = Image.fromarray(pixels)
    image.thumbnail((LONGER_SIDE_PX, LONGER_SIDE_PX))
    smooth = Image.fromarray(heat.astype(np.float32)).resize(image.size, Image.Resampling.BICUBIC)
    warmth = np.clip(np.asarray(smooth), 0, 1)
    place = warmth * (len(_COLOURS) - 1)
    steps = np.arange(len(_COLOURS))
    colours = np.stack([np.interp(place, steps, _COLOURS[:, channel]) for channel in range(3)], axis=-1)
    opacity = (_GREATEST_OPACITY * np.sqrt(warmth))[..., None]
    blended = np.asarray(image) * (1 - opacity) + colours * opacity
    content = io.BytesIO()
    Image.fromarray(np.rint(blended).astype(np.uint8)).save(content, "PNG", compress_level=3)
    return content.getvalue()
