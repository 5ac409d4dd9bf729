"""The model server as its callers meet it: real processes, real sockets, a real OpenVINO model."""

import base64
import http.client
import io
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deployments.client import ModelServerClient, ModelServerError
from deployments.modelserver.protocol import MAX_BODY_BYTES, MAX_IMAGE_BYTES, pack_images, socket_address
from dlmodeler_site.sentences import loads, to_json
from jobs.bundles.bundle import load_bundle
from jobs.bundles.engine import load_engine
from jobs.bundles.errors import BundleError
from tests.deployments.bundles import DESCRIPTION, LABELS, SIZE_PX, describe, make_bundle

ROOT = Path(__file__).parents[2]
RED, GREEN, BLUE = (200, 0, 0), (0, 200, 0), (0, 0, 200)


def encoded(colour: tuple[int, int, int], *, size_px: int = SIZE_PX, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size_px, size_px), colour).save(file, kind)
    return file.getvalue()


# Decoding these takes half a second on one thread: a request that is under way while others come.
SLOW_IMAGES = [encoded(RED, size_px=2000, kind="JPEG")] * 16
UNDER_WAY_S = 0.15


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "b")


@contextmanager
def serving(bundle: Path, path: Path, *options: str) -> Iterator[subprocess.Popen]:
    command = [sys.executable, "-m", "deployments.modelserver", str(bundle), "--socket", str(path), *options]
    process = subprocess.Popen([*command, "--threads", "1"], cwd=ROOT)
    try:
        wait_until(lambda: ModelServerClient(path, 5).healthy() or process.poll() is not None)
        yield process
    finally:
        process.kill()
        process.wait(10)


def wait_until(condition, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def client(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelServerClient]:
    # Longer than the 108 bytes that the kernel takes as the address of a socket.
    path = tmp_path_factory.mktemp("long" * 30) / "server.sock"
    with serving(bundle, path):
        yield ModelServerClient(path, 20)


def raw_request(client: ModelServerClient, method: str, target: str, body: bytes, headers: dict[str, str]):
    """Status and JSON body, by a plain HTTP client."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    with socket_address(client._path) as address:
        connection.sock.connect(address)
    connection.request(method, target, body, headers)
    response = connection.getresponse()
    with response:
        return response.status, json.loads(response.read())


# -- predictions --------------------------------------------------------------------------------


def test_one_image_gives_its_class_with_the_best_candidates_first(client):
    (prediction,) = client.predict([encoded(RED, kind="JPEG")])["predictions"]
    assert (prediction["label"], prediction["class_name"]) == (10, "red")
    assert prediction["top"][0]["label"] == 10
    assert prediction["top"][0]["probability"] == prediction["probability"]
    expected = np.exp(np.array([199, 0, 0]) / 16)
    assert prediction["probability"] == pytest.approx(expected[0] / expected.sum(), abs=2e-5)
    assert sum(candidate["probability"] for candidate in prediction["top"]) == pytest.approx(1, abs=1e-5)


def test_several_images_of_any_size_and_format_are_answered_in_order(client):
    images = [encoded(BLUE, size_px=40), encoded(RED), encoded(GREEN, size_px=7, kind="JPEG")] * 7
    predictions = client.predict(images, top_k=1)["predictions"]
    assert [prediction["label"] for prediction in predictions] == [30, 10, 20] * 7
    assert predictions[0]["class_name"] is None
    assert all(len(prediction["top"]) == 1 for prediction in predictions)


def test_json_instances_as_lists_or_base64_equal_the_image_itself(client):
    image = encoded(GREEN)
    pixels = np.asarray(Image.open(io.BytesIO(image))).tolist()
    larger = np.full((30, 20, 3), GREEN).tolist()
    instances = [pixels, larger, {"b64": base64.b64encode(image).decode()}]
    answer = client.predict_json(json.dumps({"instances": instances}).encode(), top_k=2)
    assert answer["predictions"] == client.predict([image], top_k=2)["predictions"] * 3


def test_metadata_tells_input_labels_and_the_engine_in_use(client):
    metadata = client.metadata()
    assert metadata["input"] == DESCRIPTION["input"]
    assert metadata["labels"] == LABELS
    assert metadata["engine"] == {"name": "openvino", "precision": "f32", "max_difference": 0.0, "fallback": ""}


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "top_k", "status", "reason", "words"),
    [
        ([b"hello, this is text"], None, 415, "not_an_image", "text, not an image"),
        ([encoded(RED, size_px=200, kind="JPEG")[:-200]], None, 415, "truncated", "truncated"),
        ([encoded(RED), b"\x00\x01\x02\x03"], None, 415, "not_an_image", "Image 1"),
        ([b""], None, 400, "no_image", "0 bytes"),
        ([], None, 400, "no_image", "at least one"),
        ([encoded(RED)] * 65, None, 413, "too_many_images", "65"),
        ([b"x" * (MAX_IMAGE_BYTES + 1)], None, 413, "too_large", str(MAX_IMAGE_BYTES + 1)),
        ([b"x" * MAX_IMAGE_BYTES, b"x" * MAX_IMAGE_BYTES], None, 413, "too_large", str(MAX_BODY_BYTES)),
        ([encoded(RED)], 0, 400, "invalid_top_k", "from 1 to 3"),
        ([encoded(RED)], 4, 400, "invalid_top_k", "'4'"),
    ],
)
def test_a_bad_image_or_parameter_is_refused_saying_what_was_received(client, images, top_k, status, reason, words):
    with pytest.raises(ModelServerError) as caught:
        client.predict(images, top_k)
    assert (caught.value.status, caught.value.reason) == (status, reason)
    assert words in caught.value.message
    assert to_json(caught.value.message)["template"], "the client tells it in the language of who reads it"
    assert client.predict([encoded(RED)])["predictions"][0]["label"] == 10


@pytest.mark.parametrize(
    ("instance", "words"),
    [
        ([[1, 2], [3]], "different lengths"),
        ([[1, 2, 3]], "shape [1, 3]"),
        (np.zeros((4, 5, 4), int).tolist(), "shape [4, 5, 4]"),
        ([[[0, 0, 256]]], "values from 0 to 256"),
        ([[[0.5, 0, 0]]], "float64"),
        ([[["a", "b", "c"]]], "type str"),
        ([], "shape [0]"),
        ({"url": "x"}, "['url']"),
        ({"b64": "***"}, "not base64"),
    ],
)
def test_a_malformed_instance_is_named_by_index_with_what_was_received(client, instance, words):
    good = [[[1, 2, 3]]]
    with pytest.raises(ModelServerError) as caught:
        client.predict_json(json.dumps({"instances": [good, instance]}).encode())
    assert (caught.value.status, caught.value.reason) == (400, "malformed_instance")
    assert caught.value.details == {"index": 1}
    assert words in caught.value.message


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"inputs": []}', b'{"instances": 1}', b"[" * 100_000, b"\xff\xfe"])
def test_a_body_without_instances_is_refused(client, body):
    with pytest.raises(ModelServerError) as caught:
        client.predict_json(body)
    assert (caught.value.status, caught.value.reason) == (400, "malformed_body")
    assert '{"instances": [...]} was expected' in caught.value.message


def test_what_is_no_request_is_refused_in_json(client):
    images = {"Content-Type": "application/x-dlm-images"}
    torn = pack_images([encoded(RED)])[:-1]
    assert raw_request(client, "POST", "/predict", torn, images)[0] == 400
    assert raw_request(client, "GET", "/nothing", b"", {})[0] == 404
    status, answer = raw_request(client, "GET", "/predict", b"", {})
    assert (status, answer["error"]) == (
        405,
        {
            "template": "%(path)s answers %(expected)s, %(method)s was received.",
            "values": {"path": "/predict", "expected": "POST", "method": "GET"},
        },
    )
    status, answer = raw_request(client, "POST", "/predict", b"", {"Content-Length": str(MAX_BODY_BYTES + 1)})
    assert (status, answer["reason"]) == (413, "too_large")
    status, answer = raw_request(client, "POST", "/predict", b"", {"Content-Length": "many"})
    assert (status, answer["reason"]) == (400, "malformed_request")


# -- overload -----------------------------------------------------------------------------------


def test_beyond_the_queue_requests_are_refused_at_once_while_health_answers(bundle, tmp_path):
    with serving(bundle, tmp_path / "s", "--queue", "1"), ThreadPoolExecutor(2) as others:
        client = ModelServerClient(tmp_path / "s", 30)
        accepted = [others.submit(client.predict, SLOW_IMAGES) for _ in range(2)]
        time.sleep(UNDER_WAY_S)
        started = time.monotonic()
        error = refusal(client)
        assert client.healthy()
        assert not accepted[0].done()
        assert time.monotonic() - started < 1
        assert (error.status, error.reason, error.retry_after) == (503, "overloaded", 1)
        assert [len(future.result()["predictions"]) for future in accepted] == [16, 16]
        assert client.predict([encoded(RED)])


def refusal(client: ModelServerClient) -> ModelServerError:
    with pytest.raises(ModelServerError) as caught:
        client.predict([encoded(RED)])
    return caught.value


def test_a_request_waits_no_longer_than_the_deadline(bundle, tmp_path):
    with serving(bundle, tmp_path / "s", "--queue", "1", "--deadline-ms", "100"), ThreadPoolExecutor(1) as other:
        client = ModelServerClient(tmp_path / "s", 30)
        slow = other.submit(client.predict, SLOW_IMAGES)
        time.sleep(UNDER_WAY_S)
        assert "waited 0.1 s" in refusal(client).message
        assert slow.result()


# -- life of the process ------------------------------------------------------------------------


def test_sigterm_finishes_what_is_under_way_removes_the_socket_and_exits_0(bundle, tmp_path):
    path = tmp_path / "s"
    with serving(bundle, path) as server, ThreadPoolExecutor(2) as others:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        client = ModelServerClient(path, 30)
        under_way = [others.submit(client.predict, SLOW_IMAGES) for _ in range(2)]
        time.sleep(UNDER_WAY_S)
        server.send_signal(signal.SIGTERM)
        assert [len(future.result()["predictions"]) for future in under_way] == [16, 16]
        assert server.wait(6) == 0
        assert not path.exists()


def test_after_kill_9_the_same_client_goes_on_with_the_next_server(bundle, tmp_path):
    path = tmp_path / "s"
    client = ModelServerClient(path, 5)
    with serving(bundle, path) as server:
        assert client.predict([encoded(RED)])
        server.kill()
        server.wait(5)
        with pytest.raises(ModelServerError) as caught:
            client.predict([encoded(RED)])
        assert (caught.value.status, caught.value.reason) == (503, "not_ready")
        assert not client.healthy()
        assert path.exists()
    with serving(bundle, path):
        assert client.predict([encoded(RED)])


def test_a_newer_server_takes_the_socket_over_and_keeps_it_when_the_older_ends(bundle, tmp_path):
    path = tmp_path / "s"
    with serving(bundle, path) as older:
        client = ModelServerClient(path, 5)
        assert client.predict([encoded(RED)])
        inode = path.stat().st_ino
        with serving(bundle, path):
            wait_until(lambda: path.stat().st_ino != inode)
            older.terminate()
            assert older.wait(6) == 0
            assert client.predict([encoded(RED)])


def test_the_server_ends_when_its_parent_does(bundle, tmp_path):
    path = tmp_path / "s"
    script = (
        "import subprocess, sys, time\n"
        "print(subprocess.Popen([sys.executable, '-m', 'deployments.modelserver', *sys.argv[1:]]).pid, flush=True)\n"
        "time.sleep(60)"
    )
    command = [sys.executable, "-c", script, bundle, "--socket", path, "--threads", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        wait_until(lambda: ModelServerClient(path, 5).healthy())
        parent.kill()
    wait_until(lambda: not path.exists(), timeout_s=5)
    wait_until(lambda: not is_running(pid), timeout_s=5)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_client_never_waits_longer_than_its_timeout(tmp_path):
    """A server that drips one byte now and then would keep a plain socket timeout from ever firing."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    ended = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        while not ended.wait(0.05):
            connection.send(b"H")

    thread = threading.Thread(target=drip)
    thread.start()
    started = time.monotonic()
    with pytest.raises(ModelServerError) as caught:
        ModelServerClient(tmp_path / "s", 0.5).predict([encoded(RED)])
    ended.set()
    thread.join()
    listener.close()
    assert (caught.value.status, caught.value.reason) == (503, "timeout")
    assert 0.4 < time.monotonic() - started < 2


# -- bundles and engines ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema": 2}, "schema 1 was expected, 2 was received"),
        ({"input": {"kind": "image", "shape": [None, 16, 16, 1], "dtype": "uint8"}}, "[null, height, width, 3]"),
        ({"labels": [{"label": "1", "class_name": "a"}]}, "labels[0]"),
        ({"labels": []}, "is empty"),
        ({"engine": {"name": "magic", "precision": "f32"}}, "openvino, tensorflow"),
        ({"model": None}, "'model' must be a dict"),
    ],
)
def test_a_bundle_with_a_wrong_field_is_refused_naming_it(tmp_path, changes, words):
    describe(tmp_path, **changes)
    with pytest.raises(BundleError) as caught:
        load_bundle(tmp_path)
    assert words in str(caught.value)


def test_labels_that_do_not_fit_the_network_are_refused(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path, dirs_exist_ok=True)
    describe(tmp_path, labels=LABELS[:2])
    with pytest.raises(BundleError, match="lists 2 labels"):
        load_engine(load_bundle(tmp_path), threads=1)


def test_a_server_without_any_engine_exits_with_a_message(tmp_path):
    command = [sys.executable, "-m", "deployments.modelserver", describe(tmp_path), "--socket", tmp_path / "s"]
    ended = subprocess.run([*command, "--threads", "1"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert "FALLBACK" in ended.stderr
    assert "there is no saved_model.pb" in ended.stderr
    why = loads(ended.stdout)
    assert "the bundle has no engine/model.xml, and there is no saved_model.pb" in why
    assert str(tmp_path) not in why
    assert to_json(why)["values"]["why"]["template"] == "the bundle has no engine/model.xml"


def test_a_prediction_that_is_no_number_is_an_error_and_not_an_answer(tmp_path):
    make_bundle(tmp_path / "b", scale=float("nan"))
    command = [sys.executable, "-m", "deployments.modelserver", tmp_path / "b", "--socket", tmp_path / "s"]
    ended = subprocess.run([*command, "--threads", "1"], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 1
    assert "probabilities that are not numbers" in ended.stderr
    assert to_json(loads(ended.stdout))["values"] == {"name": "mean colour"}


@pytest.mark.slow
def test_tensorflow_serves_the_saved_model_where_openvino_cannot(bundle, tmp_path):
    script = (
        "import sys, tensorflow as tf\n"
        f"spec = tf.TensorSpec((None, {SIZE_PX}, {SIZE_PX}, 3), tf.uint8, name='images')\n"
        "mean = lambda images: tf.reduce_mean(tf.cast(images, tf.float32), (1, 2))\n"
        "f = lambda images: {'probabilities': tf.nn.softmax(mean(images) / 16)}\n"
        "module = tf.Module()\n"
        "module.f = tf.function(f, input_signature=[spec])\n"
        "tf.saved_model.save(module, sys.argv[1], signatures={'serving_default': module.f})\n"
    )
    subprocess.run([sys.executable, "-c", script, describe(tmp_path)], check=True, timeout=100)
    with serving(tmp_path, tmp_path / "s"), serving(bundle, tmp_path / "t"):
        fallback, usual = ModelServerClient(tmp_path / "s", 20), ModelServerClient(tmp_path / "t", 20)
        engine = fallback.metadata()["engine"]
        assert engine["name"] == "tensorflow"
        assert "no engine/model.xml" in engine["fallback"]
        images = [encoded(RED), encoded(GREEN, size_px=33), encoded(BLUE)]
        for one, other in zip(
            fallback.predict(images)["predictions"], usual.predict(images)["predictions"], strict=True
        ):
            assert one["label"] == other["label"]
            assert one["probability"] == pytest.approx(other["probability"], abs=2e-6)


def test_the_server_process_loads_neither_django_nor_tensorflow_nor_telemetry(bundle):
    script = (
        "import sys, pathlib\n"
        "from deployments.modelserver.__main__ import leave_out_model_conversion\n"
        "leave_out_model_conversion()\n"
        "import deployments.modelserver.batch, deployments.modelserver.server, deployments.client\n"
        "from jobs.bundles.engine import load_engine\n"
        "from jobs.bundles.bundle import load_bundle\n"
        "load_engine(load_bundle(pathlib.Path(sys.argv[1])), threads=1)\n"
        "print([name for name in ('django', 'tensorflow', 'keras', 'openvino_telemetry') if sys.modules.get(name)])"
    )
    command = [sys.executable, "-c", script, str(bundle)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, env=os.environ)
    assert ended.stdout.strip() == "[]", ended.stderr
