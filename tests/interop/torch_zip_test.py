"""Files of torch.save are read without PyTorch; what is in them is never run."""

import io
import pickle
import pickletools
import tarfile
import zipfile

import numpy as np
import pytest

from maskjax.interop.torch_zip import read_torch


def _pickled(opcodes):
    return b"\x80\x02" + opcodes + b"."


def _text(word):
    return b"X" + len(word).to_bytes(4, "little") + word.encode()


def _number(value):
    return b"J" + value.to_bytes(4, "little", signed=True)


def _tuple(*parts):
    return b"(" + b"".join(parts) + b"t"


def _tensor(key, offset, shape, strides, kind="FloatStorage", count=6):
    """A call of torch._utils._rebuild_tensor_v2, in opcodes."""
    dtype = b"ctorch\n" + kind.encode() + b"\n"
    storage = _tuple(_text("storage"), dtype, _text(key), _text("cpu"), _number(count))
    arguments = _tuple(
        storage + b"Q",
        _number(offset),
        _tuple(*map(_number, shape)),
        _tuple(*map(_number, strides)),
        b"\x89",
        b"N",
    )
    return b"ctorch._utils\n_rebuild_tensor_v2\n" + arguments + b"R"


def _mapping(entries):
    return b"}(" + b"".join(_text(name) + value for name, value in entries.items()) + b"u"


def _write(path, opcodes, storages=None, compression=zipfile.ZIP_STORED, **others):
    content = {"archive/data.pkl": _pickled(opcodes), "archive/version": b"3\n", **others}
    if storages is None:
        storages = {"0": np.arange(6, dtype=np.float32)}
    content |= {f"archive/data/{key}": array.tobytes() for key, array in storages.items()}
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in content.items():
            file.writestr(name, data)
    return path


def test_tensors_are_views_of_their_storages(tmp_path):
    entries = {"a": _tensor("0", 0, (2, 3), (3, 1)), "b": _tensor("0", 1, (3, 2), (1, 3))}
    entries["c"] = _tensor("0", 0, (0, 4), (4, 1))
    entries["d"] = _tensor("0", 5, (), ())
    path = _write(tmp_path / "x.pth", _mapping({"model": _mapping(entries), "epoch": _number(3)}))
    # The last number of b is at 1 + 2 + 3.
    with pytest.raises(ValueError, match="b reaches beyond its bytes"):
        read_torch(path)
    entries["b"] = _tensor("0", 0, (3, 2), (1, 3))
    found, entry = read_torch(_write(path, _mapping({"model": _mapping(entries)})))
    assert entry == "model"
    np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["b"], [[0, 3], [1, 4], [2, 5]])
    assert found["c"].shape == (0, 4)
    assert found["d"] == 5


@pytest.mark.parametrize(
    ("kind", "dtype"), [("HalfStorage", "<f2"), ("DoubleStorage", "<f8"), ("LongStorage", "<i8")]
)
def test_other_numbers_and_the_other_byte_order_are_read(tmp_path, kind, dtype):
    tensor = _mapping({"a": _tensor("0", 0, (6,), (1,), kind)})
    for order, name in ((">", b"big"), ("<", b"little")):
        numbers = {"0": np.arange(6).astype(dtype).astype(dtype.replace("<", order))}
        path = _write(tmp_path / "x.bin", tensor, numbers, **{"archive/byteorder": name})
        found, entry = read_torch(path)
        assert (entry, found["a"].dtype) == ("", np.dtype(dtype))
        np.testing.assert_array_equal(found["a"], np.arange(6))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("builtins", "getattr"),
        ("torch._utils", "_rebuild_tensor_v3"),
        ("torch", "load"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("maskjax.interop.torch_zip", "read_torch"),
        ("collections", "OrderedDict.__init__"),
    ],
)
def test_nothing_that_a_file_names_is_run(tmp_path, module, name):
    made = tmp_path / "made"
    call = f"c{module}\n{name}\n".encode() + _tuple(_text(f"touch {made}")) + b"R"
    path = _write(tmp_path / "x.pth", _mapping({"model": call}))
    with pytest.raises(ValueError, match=rf"names {module}.{name}, .*weights_only=True"):
        read_torch(path)
    assert not made.exists()


def test_options_of_a_run_are_passed_over(tmp_path):
    options = b"cargparse\nNamespace\n)\x81" + _mapping({"lr": _number(1)}) + b"b"
    entries = {"args": options, "state_dict": _mapping({"a": _tensor("0", 0, (6,), (1,))})}
    found, entry = read_torch(_write(tmp_path / "x.pt", _mapping(entries)))
    assert (list(found), entry) == (["a"], "state_dict")


def test_formats_that_are_not_read_are_refused_with_what_to_do(tmp_path):
    path = tmp_path / "x.pth"
    with tarfile.open(path, "w") as file:
        file.addfile(tarfile.TarInfo("pickle"), io.BytesIO())
    with pytest.raises(ValueError, match=r"older one \(a tar file .* torch.save\({'model'"):
        read_torch(path)
    path.write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="not a zip file"):
        read_torch(path)
    np.savez(tmp_path / "x.npz", a=np.zeros(2))
    with pytest.raises(ValueError, match=r"none that torch\.save wrote"):
        read_torch(tmp_path / "x.npz")
    _write(path, _mapping({}), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(ValueError, match=r"none that torch\.save wrote"):
        read_torch(path)
    _write(path, _mapping({}), **{"archive/code/model.py": b""})
    with pytest.raises(ValueError, match="is a TorchScript program"):
        read_torch(path)
    _write(path, _mapping({"weights": _number(1)}))
    with pytest.raises(ValueError, match=r"holds \['weights'\], and neither tensors by name"):
        read_torch(path)


@pytest.mark.parametrize(
    "tensor",
    [
        _tensor("0", 0, (7,), (1,)),
        _tensor("0", 0, (7,), (0,)),
        _tensor("0", -1, (2,), (1,)),
        _tensor("0", 0, (2,), (-1,)),
        _tensor("0", 0, (2, 2), (1,)),
        _tensor("9", 0, (2,), (1,)),
        _tensor("0", 0, (2,), (1,), "QInt8Storage"),
        b"ctorch._utils\n_rebuild_tensor_v2\n" + _tuple(_number(1)) + b"R",
        b"ctorch._utils\n_rebuild_tensor_v2\n" + _tuple(*[_number(1)] * 4) + b"R",
        _text("x") + b"Q",
        b"R",
    ],
)
def test_what_is_damaged_is_refused(tmp_path, tensor):
    path = _write(tmp_path / "x.pth", _mapping({"model": _mapping({"a": tensor})}))
    with pytest.raises(ValueError, match=r"damaged|names torch\.QInt8Storage"):
        read_torch(path)


def test_a_file_that_ends_early_is_refused(golden, tmp_path):
    whole = (golden / "mae_full.pth").read_bytes()
    path = tmp_path / "x.pth"
    for size in (3, 1000, len(whole) - 10):
        path.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="is damaged"):
            read_torch(path)


def test_a_real_file_names_no_more_than_is_admitted(golden):
    with zipfile.ZipFile(golden / "mae_full.pth") as file:
        data = file.read(next(name for name in file.namelist() if name.endswith("data.pkl")))
    named = {arg for code, arg, _ in pickletools.genops(data) if code.name == "GLOBAL"}
    assert named == {
        "torch._utils _rebuild_tensor_v2",
        "torch FloatStorage",
        "collections OrderedDict",
        "argparse Namespace",
    }
