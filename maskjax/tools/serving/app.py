"""The web application of one worker.

POST /predict  ->  parsing.py, in a thread  ->  batching.py, a queue an output  ->  JSON
GET /health, /metrics, /model, and / with a page to try it
"""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from maskjax.tasks import pictures
from maskjax.tools import startup
from maskjax.tools.exported import Exported
from maskjax.tools.serving import metrics
from maskjax.tools.serving.answering import answer
from maskjax.tools.serving.batching import Batcher, Row, padded_sizes
from maskjax.tools.serving.parsing import Question, parse
from maskjax.tools.serving.refused import Refused
from maskjax.tools.serving.settings import Settings

_PATIENCE = 10  # times the allowed bytes that are read of a request that is too large
_MOST_HELD = 32  # times the allowed bytes that all requests under way may have together
_PREFERRED = ("classes", "predictions", "features")


class Server:
    """A model with its queues."""

    def __init__(self, settings: Settings):
        """Open the model and compile its programs.

        Raises:
            FileNotFoundError: there is none.
            ValueError: it cannot be served.
        """
        self.settings, self.model = settings, Exported(Path(settings.model))
        self.is_warm = False
        self._held = 0  # bytes of the requests under way
        names = self.model.names
        self.default = next((name for name in _PREFERRED if name in names), names[0])
        self._device = ThreadPoolExecutor(1, "device")  # a device computes one thing at a time
        self.batchers: dict[str, Batcher] = {}

    def warm_up(self) -> None:
        """Compute each size of batch of each output once."""
        example = self.model.processor.empty()
        for name in self.model.names:
            for size in padded_sizes(self.settings.max_batch):
                self.model(name, self.model.raw([example] * size))
        self.is_warm = True

    @contextlib.asynccontextmanager
    async def running(self, app: Any = None) -> AsyncIterator[None]:
        """Run the queues, from the time that all is compiled."""
        del app
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._device, self.warm_up)
        settings, tasks = self.settings, []
        self._decoding = CapacityLimiter(os.cpu_count() or 1)  # each may take a whole image
        for name in self.model.names:
            self.batchers[name] = Batcher(
                lambda batch, name=name: self._compute(name, batch),
                self._device,
                max_batch=settings.max_batch,
                max_queue=settings.max_queue,
                wait=settings.wait_ms / 1000,
                observe=metrics.BATCH.labels(name).observe,
            )
            tasks.append(asyncio.create_task(self.batchers[name].run()))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            self._device.shutdown(wait=True)

    def _compute(self, name: str, batch: dict[str, np.ndarray]) -> Any:
        with metrics.COMPUTE.labels(name).time():
            return self.model(name, batch)

    async def predict(self, request: Request) -> Response:
        """Answer POST /predict."""
        begun, status, body = time.perf_counter(), 500, bytearray()
        try:
            await self._read(request, body)
            async with asyncio.timeout(self.settings.timeout):
                content = await self._answer(bytes(body), request)
            status = 200
            return Response(content, media_type="application/json")
        except Refused as refused:
            status = refused.status
            headers = {"Retry-After": "1"} if status == 503 else {}
            return JSONResponse({"error": refused.message}, status, headers)
        except TimeoutError:
            status = 504
            message = f"no answer within {self.settings.timeout:g} seconds: try again later"
            return JSONResponse({"error": message}, status)
        except ClientDisconnect:
            status = 499
            return Response(status_code=400)
        finally:
            self._held -= len(body)
            metrics.REQUESTS.labels(status).inc()
            metrics.LATENCY.observe(time.perf_counter() - begun)
            metrics.WAITING.set(sum(map(len, self.batchers.values())))

    async def _read(self, request: Request, body: bytearray) -> None:
        """Read a body, and keep no more of it than is allowed, nor of all together.

        The rest of one that is too large is read and dropped, within reason: a client that still
        sends would not see the answer.
        """
        most, seconds = self.settings.max_bytes, self.settings.timeout
        length = request.headers.get("content-length", "0")
        size = int(length) if length.isdecimal() else 0
        if size <= _PATIENCE * most:
            size = 0
            try:
                async with asyncio.timeout(seconds):
                    async for chunk in request.stream():
                        size += len(chunk)
                        if size <= most:
                            self._hold(chunk, body)
                        elif size > _PATIENCE * most:
                            break
            except TimeoutError:
                raise Refused(408, f"the body took more than {seconds:g} seconds") from None
        if size > most:
            raise Refused(413, f"the request is larger than {most} bytes: send less at once")

    def _hold(self, chunk: bytes, body: bytearray) -> None:
        if self._held + len(chunk) > _MOST_HELD * self.settings.max_bytes:
            raise Refused(503, "other requests take all memory there is: try again later")
        self._held += len(chunk)
        body += chunk

    async def _answer(self, body: bytes, request: Request) -> bytes:
        kind, query = request.headers.get("content-type", ""), dict(request.query_params)
        question, rows = await to_thread.run_sync(
            self._rows, body, kind, query, limiter=self._decoding
        )
        what = question.what or (self.default,)
        found = await asyncio.gather(*(self.batchers[name](rows) for name in what))
        together = dict(zip(what, found, strict=True))
        return await to_thread.run_sync(answer, self.model, question, together)

    def _rows(self, body: bytes, kind: str, query: dict[str, str]) -> tuple[Question, list[Row]]:
        question = parse(body, kind, query, self.model.processor, self.settings)
        for name in question.what:
            if name not in self.model.names:
                known = ", ".join(self.model.names)
                raise Refused(422, f"the model has no output {name!r}: ask for some of {known}")
        for name in question.given:
            if name not in self.model.facts["inputs"]:
                raise Refused(422, f"the model takes no {name}: leave it out")
        count = len(question.examples)
        given = {name: [value] * count for name, value in question.given.items()}
        raw = self.model.raw(question.examples, **given)
        for name, x in raw.items():  # one that is longer would spoil the batch of all others
            shape = tuple(self.model.facts["inputs"][name]["shape"][1:])
            if x.shape[1:] != shape:
                raise Refused(
                    422,
                    f"{name} are of shape {x.shape[1:]}, and the model takes {shape}: send less",
                )
        return question, [{name: x[row] for name, x in raw.items()} for row in range(count)]

    async def health(self, request: Request) -> Response:
        """Answer GET /health: 200 once all is compiled."""
        del request
        state = {"status": "ok" if self.is_warm else "starting", "outputs": list(self.model.names)}
        return JSONResponse(state, 200 if self.is_warm else 503)

    async def describe(self, request: Request) -> Response:
        """Answer GET /model: what goes in and what comes out."""
        del request
        keys = ("format", "made", "step", "versions", "inputs", "programs", "class_names")
        facts: dict[str, Any] = {key: self.model.facts.get(key) for key in keys}
        config = self.model.config
        facts |= {"task": config.task, "default": self.default}
        target = config.get("loss", {}).get("target", "")
        return JSONResponse({**facts, "note": pictures.note_on(target)})


async def exposition(request: Request) -> Response:
    """Answer GET /metrics."""
    del request
    content, kind = metrics.exposition()
    return Response(content, media_type=kind)


async def page(request: Request) -> Response:
    """Answer GET /."""
    del request
    return HTMLResponse((Path(__file__).parent / "page.html").read_text(encoding="utf-8"))


def make(settings: Settings) -> Starlette:
    """Make the application."""
    server = Server(settings)
    return Starlette(
        routes=[
            Route("/predict", server.predict, methods=["POST"]),
            Route("/health", server.health),
            Route("/model", server.describe),
            Route("/metrics", exposition),
            Route("/", page),
        ],
        lifespan=server.running,
    )


def worker() -> Starlette:
    """Make the application in a process that the server started."""
    startup.prepare()
    return make(Settings.published())
