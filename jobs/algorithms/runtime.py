"""How TensorFlow runs on this machine: threads, devices, precision."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jobs.algorithms.circumstances import cpu_info


def thread_count(threads: int | None) -> int:
    """The threads to compute with; 0 or None stands for all cores that this process may use."""
    return threads or len(os.sched_getaffinity(0))


def prepare_environment(*, threads: int, gpus: int, home: Path) -> None:
    """Set what TensorFlow and Keras read while they are imported; call before either is."""
    os.environ |= {
        "KERAS_BACKEND": "tensorflow",
        "KERAS_HOME": str(home),  # Keras writes its configuration there, by default into the user's home.
        "OMP_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "TF_NUM_INTEROP_THREADS": str(min(threads, 2)),
        "TF_NUM_INTRAOP_THREADS": str(threads),
    }
    if not gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def dtype_policy(wanted: str, *, gpus: int) -> str:
    """The Keras dtype policy, "float32" or "mixed_bfloat16"; "auto" takes bfloat16 where the hardware has it."""
    if wanted != "auto":
        return wanted
    if gpus:
        import tensorflow as tf

        devices = tf.config.list_physical_devices("GPU")
        details = [tf.config.experimental.get_device_details(device) for device in devices]
        native = bool(details) and all(detail.get("compute_capability", (0, 0)) >= (8, 0) for detail in details)
    else:
        native = bool({"avx512_bf16", "amx_bf16"} & _cpu_flags())
    return "mixed_bfloat16" if native else "float32"


def load_tensorflow(log: Path) -> None:
    """Import TensorFlow and Keras and start the devices; what the libraries say on stderr meanwhile goes to `log`.

    They report there that a machine has no GPU, as an error, before any setting could silence them.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 2)
    try:
        with _absent("sklearn"):  # Keras would load it for wrappers that nobody here uses: a fifth of the start.
            import keras  # noqa: F401
        import tensorflow as tf

        tf.config.list_logical_devices()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


@contextmanager
def _absent(package: str) -> Iterator[None]:
    """Let imports of a package that is not loaded yet fail meanwhile."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]


@contextmanager
def memory_errors() -> Iterator[None]:
    """Raise TensorFlow's out-of-memory errors as `MemoryError`, which the edge of the process explains."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(error.message) from error


def _cpu_flags() -> set[str]:
    return set(cpu_info("flags").split())
