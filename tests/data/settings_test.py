"""Settings read a ConfigDict and refuse what cannot work."""

import math

import ml_collections
import pytest

import maskjax.config
from maskjax.data.history.settings import HistorySettings
from maskjax.data.image.settings import ImageSettings


@pytest.mark.parametrize("settings", [ImageSettings, HistorySettings])
def test_scripts_and_configs_begin_with_the_same_values(settings):
    config = maskjax.config.base().data
    assert (config.validation_fraction, config.test_fraction) == (0.1, 0.1)
    here = settings()
    shared = [name for name in config if hasattr(here, name)]
    assert {name: getattr(here, name) for name in shared} == {name: config[name] for name in shared}


def test_a_config_dict_is_read_and_lists_become_tuples():
    config = ml_collections.ConfigDict({"source": "photos", "size": [32, 16], "flip": True})
    settings = ImageSettings.from_config(config)
    assert settings.size == (32, 16)
    assert settings.flip
    assert settings.bad_files == "error"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"sise": (8, 8)}, "'sise' .did you mean 'size'"),
        ({"size": (0, 8)}, r"data.size=\(0, 8\)"),
        ({"size": 8}, "data.size=8 must be a tuple"),
        ({"size": (16.7, 16)}, r"data.size=\(16.7, 16\) must hold whole numbers"),
        ({"size": ("a,b",)}, r"data.size=\('a,b',\) must hold whole numbers"),
        ({"mean": ("x",)}, r"data.mean=\('x',\) must hold finite numbers"),
        ({"std": (float("nan"),)}, r"data.std=\(nan,\) must hold finite numbers"),
        (
            {"mean": (123.675, 116.28, 103.53)},
            r"data.mean=.* in \[0, 1\]: .*divide .* by 255",
        ),
        ({"std": (58.4, 57.1, 57.4)}, r"data.std=.* at most 1: .*divide .* by 255"),
        ({"crop_scale": (0.0, 1.0)}, "data.crop_scale"),
        ({"crop_scale": (0.8, 0.2)}, "data.crop_scale"),
        ({"std": (0.0,)}, "data.std"),
        ({"channels": 2}, "data.channels=2"),
        ({"validation_fraction": 1.0}, "data.validation_fraction=1.0"),
        ({"bad_files": "ignore"}, "data.bad_files='ignore'"),
        ({"num_workers": -1}, "data.num_workers=-1"),
        ({"num_workers": 100_000}, "data.num_workers=100000 must be at most 512"),
        ({"size": (10**6, 10**6)}, "makes 1000000000000 positions; it must make fewer than"),
        ({"limit": -5}, "data.limit=-5"),
        ({"missing": "none"}, "data.missing='none' must be a number"),
        ({"missing": "hidden"}, "data.missing='hidden' must be a number"),
        ({"missing": "hide:x"}, "data.missing='hide:x' must be a number"),
    ],
)
def test_a_wrong_value_is_named_in_one_line(config, message):
    with pytest.raises(ValueError, match=message) as caught:
        ImageSettings.from_config(config)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("missing", "number"),
    [
        ("", None),
        ("-9999", -9999),
        (-9999.0, -9999),
        (2**62 + 1, 2**62 + 1),
        ("1e20", 1e20),
        ("hide:-9999", -9999),
    ],
)
def test_what_stands_for_no_data_is_a_number_or_its_name(missing, number):
    assert ImageSettings.from_config({"missing": missing}).missing_number == number
    for missing in ("nan", "hide", "hide:nan"):
        assert math.isnan(ImageSettings.from_config({"missing": missing}).missing_number)
