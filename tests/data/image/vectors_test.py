import numpy as np
import pytest

from maskjax.data import build
from maskjax.data.image.vectors import covariance

COUNT = 2000  # of 10,000, which are read one by one
ERROR = 5 / np.sqrt(COUNT)  # five standard errors
AS_DRAWN = {"mean": (0.0,), "std": (1.0,)}


def _held_out(source, **settings):
    data = build({"source": source, **AS_DRAWN, **settings}, seed=0, batch_size=1000)
    (batch,) = data.eval_batches("validation", COUNT, limit=COUNT)
    return data, batch["inputs"]


@pytest.mark.parametrize("rho", [0.0, 0.9, -0.5])
def test_vectors_have_the_covariance_that_is_asked_for(rho):
    data, x = _held_out(f"vectors:{rho}")
    assert data.shape == (10, 1)
    assert (data.num_train, data.num_validation, data.num_test) == (1000, 10_000, 10_000)
    found = np.cov(x[..., 0].T)
    expected = [[rho ** abs(i - j) for j in range(10)] for i in range(10)]
    np.testing.assert_allclose(found, expected, atol=1.5 * ERROR)  # of variances: sqrt(2) times
    np.testing.assert_allclose(x.mean(0), 0, atol=ERROR)
    np.testing.assert_allclose(covariance(10, rho), expected)


def test_splits_and_correlations_differ_and_length_is_the_size():
    data, x = _held_out("vectors:0.9", size=(4,))
    assert data.shape == (4, 1)
    batch = next(data.train_batches())
    assert not np.isin(batch["inputs"][:, 0], x[:, 0]).any()
    (test,) = data.eval_batches("test", COUNT, limit=COUNT)
    assert not (test["inputs"] == x).all(axis=(1, 2)).any()
    other, _ = _held_out("vectors:0.8", size=(4,))
    assert data.describe()["fingerprints"] != other.describe()["fingerprints"]


@pytest.mark.parametrize("argument", ["1", "much", "-1.5", "nan"])
def test_what_is_no_correlation_is_refused(argument):
    with pytest.raises(ValueError, match=r"above -1 and below 1, such as 0\.9"):
        build({"source": f"vectors:{argument}"}, seed=0, batch_size=1)


def test_vectors_have_one_axis():
    with pytest.raises(ValueError, match="must have one length"):
        build({"source": "vectors", "size": (2, 5)}, seed=0, batch_size=1)
