"""Load on a deployment, from a process of its own so that its CPU time is not the server's.

python -m benchmarks.load ADDRESS IMAGES CONCURRENCY SECONDS   (the token in the environment: TOKEN)

Each of CONCURRENCY clients keeps one connection and sends the next image as soon as it has its answer. Prints JSON.
"""

import http.client
import itertools
import json
import os
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

BOUNDARY = "a-boundary-of-the-benchmark"


def main(address: str, images: Path, concurrency: int, seconds: float) -> None:
    bodies = itertools.cycle([_multipart(path.read_bytes()) for path in sorted(images.iterdir())])
    times_ms: list[float] = []
    statuses: dict[int, int] = {}
    lock, end = threading.Lock(), time.monotonic() + seconds
    url, token = urlsplit(address), os.environ["TOKEN"]
    headers = {"token": token, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}

    def send() -> None:
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=30)
        while time.monotonic() < end:
            with lock:
                body = next(bodies)
            began = time.monotonic()
            connection.request("POST", f"{url.path}/predict", body, headers)
            answer = connection.getresponse()
            answer.read()
            took_ms = (time.monotonic() - began) * 1000
            with lock:
                statuses[answer.status] = statuses.get(answer.status, 0) + 1
                if answer.status == 200:
                    times_ms.append(took_ms)
        connection.close()

    began = time.monotonic()
    clients = [threading.Thread(target=send) for _ in range(concurrency)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    used = os.times()
    answer = {"seconds": time.monotonic() - began, "cpu_s": used.user + used.system}
    print(json.dumps({**answer, "statuses": statuses, "times_ms": sorted(times_ms)}))


def _multipart(image: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="input"; filename="a.jpg"\r\n'
    return head.encode() + b"Content-Type: image/jpeg\r\n\r\n" + image + f"\r\n--{BOUNDARY}--\r\n".encode()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
