"""The devices that a training computes on, as one strategy."""

from typing import Any


def strategy(gpus: int) -> Any:
    """The `tf.distribute.Strategy` for so many GPUs: one device as TensorFlow chooses it, or each of several the same.

    Raises:
        RuntimeError: TensorFlow sees fewer GPUs.
    """
    import tensorflow as tf

    seen = tf.config.list_logical_devices("GPU")
    if gpus > len(seen):
        raise RuntimeError(f"{gpus} GPUs were given, but TensorFlow sees {len(seen)}.")
    if gpus < 2:
        return tf.distribute.get_strategy()
    return mirrored([device.name for device in seen[:gpus]])


def mirrored(devices: list[str]) -> Any:
    """All variables on each of the devices, which share every batch."""
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(devices)
