"""A served export: what it answers, refuses and counts; batches of what waits."""

import asyncio
import base64
import http.client
import io
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import uvicorn
from PIL import Image

from maskjax.data.history import HistoryProcessor
from maskjax.tools.exported import Exported
from maskjax.tools.serving import answering, app
from maskjax.tools.serving.batching import Batcher
from maskjax.tools.serving.parsing import Question, parse
from maskjax.tools.serving.refused import Refused
from maskjax.tools.serving.settings import Settings

MOST = 30_000  # bytes of a request, in these tests


@pytest.fixture(scope="module")
def server(exported):
    """Port of a server in this process, which computes one row or four at a time."""
    settings = Settings(
        str(exported), max_batch=4, max_bytes=MOST, max_pixels=100_000, max_rows=8, timeout=60.0
    )
    config = uvicorn.Config(app.make(settings), port=0, log_level="error", access_log=False)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run)
    thread.start()
    while not running.started:
        thread.join(0.05)
        assert thread.is_alive()
    yield running.servers[0].sockets[0].getsockname()[1]
    running.should_exit = True
    thread.join()


def test_numbers_that_json_lacks_are_null(exported):
    question = Question([{}], ("error",), {}, has_pictures=False)
    found = {"error": [np.float32(np.nan)], "x": [{"a": np.array([1.0, np.inf])}]}
    content = json.loads(answering.answer(Exported(exported), question, found))
    assert content == {"outputs": {"error": [None], "x": [{"a": [1.0, None]}]}}


@pytest.fixture
def ask(server):
    """`ask("POST", "/predict", body, "image/png")`: status and content of an answer."""

    def ask(method, path, body=None, kind=""):
        connection = http.client.HTTPConnection("127.0.0.1", server, timeout=120)
        connection.request(method, path, body, {"Content-Type": kind} if kind else {})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        is_json = "json" in answer.headers.get("content-type", "")
        return answer.status, json.loads(content) if is_json else content.decode()

    return ask


def png(size, seed=0, kind="PNG"):
    """The bytes of a picture."""
    file = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def test_images_arrays_and_json_give_what_the_export_gives(ask, exported):
    model, image = Exported(exported), png((8, 8))
    stored = np.asarray(Image.open(io.BytesIO(image)), np.float32)[..., None] * 16 / 255
    expected = model("features", model.raw([model.processor({"image": stored})]))[0]
    bodies = [
        (image, "image/png"),
        (array(stored), "application/x-npy"),
        (json.dumps({"inputs": [stored.tolist()]}), "application/json"),
        (json.dumps({"images": [base64.b64encode(image).decode()]}), "application/json"),
    ]
    for body, kind in bodies:
        status, content = ask("POST", "/predict", body, kind)
        assert status == 200, content
        np.testing.assert_allclose(content["outputs"]["features"], [expected], atol=1e-4)


def test_many_rows_are_answered_in_their_order(ask, exported):
    model = Exported(exported)
    rows = np.random.default_rng(0).uniform(0, 16, (6, 8, 8, 1)).astype(np.float32)
    examples = [model.processor({"image": row}) for row in rows]
    expected = model("error", model.raw(examples, index=[3] * 6))
    body = json.dumps({"inputs": rows.tolist(), "what": ["error"], "index": 3})
    status, content = ask("POST", "/predict", body, "application/json")
    assert status == 200
    np.testing.assert_allclose(content["outputs"]["error"], expected, rtol=1e-4)


def test_pictures_are_those_of_the_ratio(ask):
    path = "/predict?what=reconstructions&pictures=1&mask_ratio="
    hidden = []
    for ratio in ("0.25", "0.75"):
        status, content = ask("POST", path + ratio, png((8, 8)), "image/png")
        assert status == 200
        (parts,) = content["outputs"]["reconstructions"]
        assert parts.keys() == {"seen", "prediction", "pasted"}
        bytes_ = base64.b64decode(parts["seen"].partition(",")[2])
        seen = np.asarray(Image.open(io.BytesIO(bytes_)))
        hidden.append((seen == 128).mean())  # grey where nothing is seen
    np.testing.assert_allclose(hidden, [0.25, 0.75], atol=0.05)


def array(values, write=np.save):
    """The bytes of an array."""
    file = io.BytesIO()
    write(file, values)
    return file.getvalue()


def archive():
    """An .npz file, which NumPy opens in the place of an array."""
    return array(np.zeros((8, 8, 1)), np.savez)


def header(shape):
    """The beginning of an array that says it has a shape, and nothing behind it."""
    said = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(said).to_bytes(2, "little") + said.encode()


def huge():
    """A PNG that says it has 50 megapixels, of few bytes."""
    file = io.BytesIO()
    Image.new("1", (10_000, 5_000)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    ("body", "kind", "status", "message"),
    [
        (png((8, 8))[:40], "image/png", 422, "cannot be decoded|no image of a known kind"),
        (b"no image", "image/jpeg", 422, "no image of a known kind"),
        (huge(), "image/png", 413, "10000 x 5000 pixels, more than 100000: send it smaller"),
        (b"x" * (MOST + 1), "image/png", 413, "larger than 30000 bytes"),
        (b"", "image/png", 400, "the body is empty"),
        (b"x", "text/plain", 415, "send an image, application/x-npy, or application/json"),
        (b"{", "application/json", 400, "no JSON"),
        (b"[]", "application/json", 400, "must be an object"),
        (b"[" * 20_000, "application/json", 400, "no JSON"),
        (b'{"inputs": [[1, 2], [3]]}', "application/json", 422, "different lengths"),
        (b'{"inputs": [[[[NaN]]]]}', "application/json", 422, "give numbers of shape|not finite"),
        (b'{"inputs": ["a"]}', "application/json", 422, "nested lists of numbers"),
        (b'{"images": ["?"]}', "application/json", 422, "not in base64"),
        (b'{"images": []}', "application/json", 422, "send at least one"),
        (b'{"images": ["", "", "", "", "", "", "", "", ""]}', "application/json", 413, "9 inputs"),
        (b"\x93NUMPY", "application/x-npy", 400, "no array"),
        (archive(), "application/x-npy", 400, "no array: send what numpy.save writes"),
        (header("(1000000000000,)"), "application/x-npy", 400, "no array"),
        (header("(" * 20), "application/x-npy", 400, "no array"),
        (array(np.full((8, 8, 1), 1e300)), "application/x-npy", 422, "not finite"),
        (array(np.full((8, 8, 1), "a")), "application/x-npy", 422, "holds <U1 of shape (8, 8, 1)"),
        (array(np.zeros((8, 8, 1), complex)), "application/x-npy", 422, "holds complex128"),
        (array(np.array([None])), "application/x-npy", 400, "no array"),
    ],
)
def test_bad_requests_are_told_what_is_wrong(ask, body, kind, status, message):
    found, content = ask("POST", "/predict", body, kind)
    assert found == status, content
    assert any(part in content["error"] for part in message.split("|")), content


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("what=clases", "no output 'clases': ask for some of features, reconstructions, error"),
        ("what=reconstructions&mask_ratio=2", "mask_ratio '2' must be a number from 0 to 1"),
        ("index=-1", "index '-1' must be a number"),
        ("index=nan", "index 'nan' must be a number"),
    ],
)
def test_bad_questions_are_told_what_is_wrong(ask, query, message):
    status, content = ask("POST", f"/predict?{query}", png((8, 8)), "image/png")
    assert status == 422
    assert message in content["error"]


def test_texts_are_histories_and_never_files(tmp_path):
    processor = HistoryProcessor(3, 4, "newest", ("a", "b"))
    file = tmp_path / "histories.csv"
    file.write_text("a\n")
    settings = Settings("export")

    def read(*texts):
        body = json.dumps({"inputs": texts}).encode()
        return parse(body, "application/json", {}, processor, settings).examples

    np.testing.assert_array_equal(
        [each["items"] for each in read("a,b", "b")], [[0, 1, 2], [0, 0, 2]]
    )
    for text in (str(file), str(tmp_path / "none.csv")):
        with pytest.raises(Refused, match="unknown items"):
            read(text)
    with pytest.raises(Refused, match=r"unknown items .ud800; give") as refused:
        read("\ud800")
    assert refused.value.message.encode()
    body = b'{"inputs": ["a"], "index": ' + b"9" * 400 + b"}"
    with pytest.raises(Refused, match="must be a number from 0"):
        parse(body, "application/json", {}, processor, settings)


def test_the_server_says_how_it_is(ask):
    assert ask("GET", "/health")[0] == 200
    status, facts = ask("GET", "/model")
    assert status == 200
    assert facts["inputs"]["inputs"]["shape"] == ["b", 8, 8, 1]
    assert "normalised by their own mean" in facts["note"]  # a picture of predictions must say so
    status, page = ask("GET", "/")
    assert status == 200
    assert 'id="drop"' in page
    before = ask("GET", "/metrics")[1]
    ask("POST", "/predict", b"", "image/png")
    after = ask("GET", "/metrics")[1]
    counts = [_count(text, 'maskjax_requests_total{status="400"}') for text in (before, after)]
    assert counts[1] - counts[0] == 1
    assert "maskjax_batch_rows_bucket" in after
    assert ask("GET", "/predict")[0] == 405


def _count(text, name):
    found = [line for line in text.splitlines() if line.startswith(name)]
    return float(found[0].split()[-1]) if found else 0.0


def _batched(compute, ask, **options):
    """Run `ask(batcher)` beside a queue."""

    async def run():
        with ThreadPoolExecutor(1) as executor:
            settings = {"max_batch": 4, "max_queue": 8, "wait": 0.01} | options
            batcher = Batcher(compute, executor, **settings)
            task = asyncio.create_task(batcher.run())
            try:
                return await ask(batcher)
            finally:
                task.cancel()

    return asyncio.run(run())


def test_rows_that_wait_are_computed_together_and_each_gets_its_own():
    sizes = []

    def compute(batch):
        sizes.append(len(batch["x"]))
        return {"double": 2 * batch["x"]}

    async def ask(batcher):
        return await asyncio.gather(*(batcher([{"x": np.float32(i)}]) for i in range(6)))

    found = _batched(compute, ask)
    assert [row["double"] for (row,) in found] == [0, 2, 4, 6, 8, 10]
    assert sizes == [4, 4]  # the second is filled up: each size is a program


def test_a_failure_is_that_of_its_batch_alone_and_too_many_are_refused():
    calls = []

    def compute(batch):
        calls.append(batch)
        if len(calls) == 1:
            raise FloatingPointError("once")
        return batch["x"]

    async def ask(batcher):
        with pytest.raises(FloatingPointError):
            await batcher([{"x": np.float32(0)}])
        assert await batcher([{"x": np.float32(1)}]) == [1]
        with pytest.raises(Refused, match="are waiting already"):
            await batcher([{"x": np.float32(0)}] * 9)

    _batched(compute, ask)


def test_who_waits_no_longer_is_not_computed():
    seen = []

    def compute(batch):
        seen.extend(batch["x"].tolist())
        return batch["x"]

    async def ask(batcher):
        gone = asyncio.create_task(batcher([{"x": np.float32(7)}]))
        await asyncio.sleep(0)
        gone.cancel()
        return await batcher([{"x": np.float32(1)}])

    assert _batched(compute, ask) == [1]
    assert seen == [1]
