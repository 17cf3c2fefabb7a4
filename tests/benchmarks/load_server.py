"""A served export under load on this machine: requests a second, latency, what bad requests do.

    python tests/benchmarks/load_server.py --model=EXPORT                       10,000 requests
    python tests/benchmarks/load_server.py --model=EXPORT --requests=500        a quick look

It starts launch/serve.py twice: with batches of one, and with dynamic batches. To each it sends
pictures over as many connections as --clients says, 5 % of them broken, too large, of another dtype
or of no known kind, and counts the answers: every good one must be 200, every bad one 4xx. Then it
kills a worker, and sends more; what was on its way in the worker is sent again, as any client of
HTTP may, for a prediction changes nothing. Everything stays on the loopback. A tenth of the
requests goes before, unmeasured. It ends with what was not as it should be: answers, a worker that
did not come back, an exit code, or memory that grew by more than a tenth.
"""

import argparse
import asyncio
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[2]
BAD_SHARE = 0.05
MAX_BYTES, MAX_PIXELS = 1_000_000, 4_000_000
TRIES = 50  # of a request whose connection was lost: a worker takes a while to come back


class Request(NamedTuple):
    """One request, and whether it is a good one."""

    body: bytes
    kind: str
    is_good: bool


def picture(generator: np.random.Generator, side: int) -> bytes:
    """A JPEG of noise."""
    file = io.BytesIO()
    pixels = generator.integers(0, 256, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def make_requests(count: int, seed: int = 0, side: int = 64) -> list[Request]:
    """Good pictures, and BAD_SHARE of bad ones of every kind, shuffled."""
    generator = np.random.default_rng(seed)
    pictures = [picture(generator, side) for _ in range(32)]
    huge = io.BytesIO()
    Image.new("1", (10_000, 5_000)).save(huge, "PNG")
    words, complexes = io.BytesIO(), io.BytesIO()
    np.save(words, np.full((side, side, 3), "a"))
    np.save(complexes, np.zeros((side, side, 3), np.complex64))
    bad = [
        Request(pictures[0][:200], "image/jpeg", False),
        Request(b"no image", "image/png", False),
        Request(huge.getvalue(), "image/png", False),
        Request(b"x" * (MAX_BYTES + 1), "image/png", False),
        Request(b"", "image/png", False),
        Request(b"{", "application/json", False),
        Request(b"a,b", "text/csv", False),
        Request(words.getvalue(), "application/x-npy", False),
        Request(complexes.getvalue(), "application/x-npy", False),
    ]
    number = round(count * BAD_SHARE)
    found = [bad[i % len(bad)] for i in range(number)]
    found += [Request(pictures[i % 32], "image/jpeg", True) for i in range(count - number)]
    random.Random(seed).shuffle(found)
    return found


async def send(port: int, request: Request) -> int:
    """Send a request over a connection of its own; the status, 0 where there was no answer."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return 0
    head = (
        f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {request.kind}\r\n"
        f"Content-Length: {len(request.body)}\r\nConnection: close\r\n\r\n"
    )
    try:
        writer.write(head.encode())
        try:
            writer.write(request.body)
            await writer.drain()
        except OSError:  # it was refused before all was sent; the answer says why
            pass
        line = await reader.readline()
        await reader.read()
        return int(line.split()[1]) if line else 0
    except (OSError, IndexError, ValueError):
        return 0
    finally:
        writer.close()


async def load(port: int, requests: list[Request], clients: int) -> tuple[dict, list[float], int]:
    """Send requests over so many clients: counts of statuses, latencies, requests sent again."""
    waiting, seconds, again = iter(requests), [], 0
    counts: dict[str, int] = {}

    async def client() -> None:
        nonlocal again
        for request in waiting:
            for _ in range(TRIES):
                begun = time.perf_counter()
                status = await send(port, request)
                if status not in (0, 503):
                    break
                again += 1
                await asyncio.sleep(0.2)
            seconds.append(time.perf_counter() - begun)
            is_right = status == 200 if request.is_good else 400 <= status < 500
            name = "right" if is_right else f"{'good' if request.is_good else 'bad'}: {status}"
            counts[name] = counts.get(name, 0) + 1

    await asyncio.gather(*(client() for _ in range(clients)))
    return counts, seconds, again


def children(pid: int) -> list[int]:
    """Workers of a server, by /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
            command = (path.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == pid and b"spawn_main" in command:
            found.append(int(path.parent.name))
    return found


def memory(pid: int) -> float:
    """Resident megabytes of a server's workers."""
    total = 0
    for worker in children(pid):
        status = Path(f"/proc/{worker}/status").read_text()
        total += int(status.partition("VmRSS:")[2].split()[0])
    return total / 1024


def start(model: str, workers: int, max_batch: int) -> tuple[subprocess.Popen, int]:
    """Start a server, and wait until it answers."""
    command = [
        sys.executable, str(ROOT / "launch" / "serve.py"), f"--model={model}", "--port=0",
        f"--workers={workers}", f"--max_batch={max_batch}", f"--max_bytes={MAX_BYTES}",
        f"--max_pixels={MAX_PIXELS}",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = int(process.stdout.readline().rpartition(":")[2])
    probe = make_requests(1)[0]
    while asyncio.run(send(port, probe)) != 200:
        assert process.poll() is None, "the server has ended"
        time.sleep(0.5)
    return process, port


def measure(arguments: argparse.Namespace, max_batch: int) -> dict:
    """Load one server."""
    process, port = start(arguments.model, arguments.workers, max_batch)
    try:
        requests = make_requests(arguments.requests)
        asyncio.run(load(port, requests[: len(requests) // 10], arguments.clients))
        before, begun = memory(process.pid), time.perf_counter()
        counts, seconds, again = asyncio.run(load(port, requests, arguments.clients))
        took, after = time.perf_counter() - begun, memory(process.pid)
        found = {
            "max_batch": max_batch,
            "requests": len(requests),
            "per_second": round(len(requests) / took, 1),
            "p50_ms": round(1000 * float(np.percentile(seconds, 50)), 1),
            "p99_ms": round(1000 * float(np.percentile(seconds, 99)), 1),
            "answers": counts,
            "sent_again": again,
            "memory_mb": [round(before), round(after)],
        }
        if max_batch > 1:
            found["after_a_kill"] = _kill(process, port, requests, arguments)
        process.send_signal(signal.SIGTERM)
        found["exit_code"] = process.wait(120)
        return found
    finally:
        if process.poll() is None:
            process.kill()


def wrong(found: dict, arguments: argparse.Namespace) -> list[str]:
    """What a measurement shows that should not be."""
    before, after = found["memory_mb"]
    kill = found.get("after_a_kill", {"answers": {}, "workers": arguments.workers})
    answers = {key for part in (found, kill) for key in part["answers"]} - {"right"}
    problems = [f"answers {key}" for key in sorted(answers)]
    if after > 1.1 * before:
        problems.append(f"memory from {before} to {after} MB")
    if kill["workers"] != arguments.workers:
        problems.append(f"{kill['workers']} workers after a kill")
    if found["exit_code"]:
        problems.append(f"exit code {found['exit_code']}")
    return problems


def _kill(process: subprocess.Popen, port: int, requests: list, arguments) -> dict:
    """Kill a worker in the middle of a load."""

    async def both() -> tuple[dict, list[float], int]:
        task = asyncio.create_task(load(port, requests, arguments.clients))
        await asyncio.sleep(0.5)
        os.kill(children(process.pid)[0], signal.SIGKILL)
        return await task

    counts, _, again = asyncio.run(both())
    deadline = time.monotonic() + 120
    while len(children(process.pid)) < arguments.workers and time.monotonic() < deadline:
        time.sleep(0.2)
    workers = len(children(process.pid))
    return {"answers": counts, "sent_again": again, "workers": workers}


def main() -> None:
    """Measure, and print one line of JSON a server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of an export")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--max_batch", type=int, default=16)
    arguments = parser.parse_args()
    problems = []
    for max_batch in (1, arguments.max_batch):
        found = measure(arguments, max_batch)
        print(json.dumps(found), flush=True)
        problems += [f"batches of {max_batch}: {each}" for each in wrong(found, arguments)]
    sys.exit("; ".join(problems) or 0)


if __name__ == "__main__":
    main()
