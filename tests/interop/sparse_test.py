"""Weights with zeros are written without them, and come back bit for bit."""

import json

import ml_dtypes
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from maskjax.interop import published, sparse
from maskjax.models.architecture import Architecture
from maskjax.models.resnet_sizes import resnet_sizes
from maskjax.models.sizes import Size
from maskjax.models.text import named

KERNEL = np.array([[0, 1.5, 0, 0, 0], [0, 0, -2, 0, 0]], np.float32)
SMALL = {
    "body/kernel": KERNEL,
    "body/half": np.array([0] * 30 + [3.0], ml_dtypes.bfloat16),
    "body/bias": np.ones(3, np.float32),
}


def test_what_is_kept_and_a_bit_a_weight_are_what_is_stored(tmp_path):
    sizes = sparse.write(tmp_path, SMALL, {})
    # 10 and 3 numbers of 4 bytes, 31 of 2; of these 2, 3 and 1 are kept, and bits fill 2 and 4.
    assert sizes == (40 + 12 + 62, 8 + 2 + 12 + 2 + 4)
    stored = load_file(tmp_path / "model.safetensors")
    assert stored["body/kernel:kept"].tolist() == [1.5, -2]
    assert stored["body/kernel:mask"].tolist() == [0b01000001, 0]
    assert stored["body/bias"].tolist() == [1, 1, 1]


def test_everything_comes_back_bit_for_bit(tmp_path):
    odd = np.asfortranarray(KERNEL)
    odd[0, 0] = -0.0
    masks = {"body/kernel": np.array([[0, 1, 0, 0, 1], [0, 0, 0, 0, 0]])}
    turned = np.arange(1, 7, dtype=np.float32).reshape(2, 3).T
    sparse.write(tmp_path, {**SMALL, "body/kernel": odd, "turned": turned}, masks)
    stored = load_file(tmp_path / "model.safetensors")
    assert stored["body/kernel:kept"].tolist() == [0, 1.5, 0, -2]  # -0, and one that may grow
    found = published.read(tmp_path)
    assert (found.format, found.architecture) == ("sparse", None)
    for path, array in {**SMALL, "body/kernel": odd, "turned": turned}.items():
        assert found.params[path].dtype == array.dtype
        assert found.params[path].tobytes() == array.tobytes()


VIT = Architecture((2, 3), (4, 4), 1, Size(8, 2, 2), 32, 1e-6, decoder=Size(4, 1, 1))


@pytest.mark.parametrize("it", [VIT, resnet_sizes["resnet20"], named("modernbert", "tiny", 10)])
def test_what_weights_are_of_is_told(it, tmp_path):
    sparse.write(tmp_path, SMALL, {}, it)
    found = published.read(tmp_path).architecture
    assert found == it
    for name in {"encoder", "decoder", "size"} & {*vars(it)}:
        assert isinstance(getattr(found, name), Size)


def _changed(folder, change):
    """Write the file anew, with other tensors or metadata."""
    path = folder / "model.safetensors"
    with safe_open(path, "numpy") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    change(tensors, metadata)
    save_file(tensors, path, metadata=metadata)


def _another_mask(tensors, _):
    tensors["body/kernel:mask"] = np.array([65, 1], np.uint8)
    tensors["body/kernel:kept"] = np.ones(3, np.float32)  # the third is behind the end


def _longer_mask(tensors, _):
    tensors["body/kernel:mask"] = np.array([64, 1, 0], np.uint8)


def _other_numbers(tensors, _):
    tensors["body/kernel:kept"] *= 2


def _other_shape(_, metadata):
    metadata["shapes"] = json.dumps(json.loads(metadata["shapes"]) | {"body/bias": [4]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_another_mask, r"the mask of body/kernel keeps 2 of 16, and there are 3 numbers"),
        (_longer_mask, r"the mask of body/kernel keeps 1 of 24"),
        (_other_numbers, "holds other numbers than were written: copy it again"),
        (_other_shape, r"body/bias is \(3,\), not \(4,\)"),
        (lambda x, _: x.pop("body/kernel:mask"), "lacks body/kernel: copy it again"),
        (lambda x, _: x.update(more=np.ones(2)), "holds more, of which it says no shape"),
        (lambda _, said: said.pop("shapes"), "does not say what it holds"),
        (lambda _, said: said.update(maskjax_sparse="2"), "is of version 2 .* maskjax reads 1"),
    ],
)
def test_what_does_not_fit_is_refused(change, message, tmp_path):
    sparse.write(tmp_path, SMALL, {})
    _changed(tmp_path, change)
    with pytest.raises(ValueError, match=message):
        published.read(tmp_path)


def test_a_file_that_is_cut_short_is_refused(tmp_path):
    sparse.write(tmp_path, SMALL, {})
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match=r"cannot be read .*: fetch or copy it again"):
        published.read(tmp_path)


def test_weights_without_zeros_are_refused(tmp_path):
    with pytest.raises(ValueError, match="--format=sparse makes none of these weights smaller"):
        sparse.write(tmp_path, {"kernel": np.ones((3, 8), np.float32)}, {})
    assert not [*tmp_path.iterdir()]
