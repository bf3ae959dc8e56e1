"""Element types are what NumPy and ml_dtypes know under the same names."""

import ml_dtypes
import numpy as np
import pytest

from railgauge.dtypes import DTYPES, dtype_named
from railgauge.errors import UsageError


@pytest.mark.parametrize("name", DTYPES)
def test_widths_and_signs_are_those_of_numpy(name):
    dtype = dtype_named(name)
    numpy = np.dtype(getattr(ml_dtypes, name, name))
    assert dtype.itemsize == numpy.itemsize
    assert dtype.signed == (numpy.kind != "u")
    assert dtype.is_float == ("float" in name)


@pytest.mark.parametrize("name", [name for name in DTYPES if "float" in name])
def test_float_fields_are_those_of_the_format(name):
    facts = ml_dtypes.finfo(getattr(ml_dtypes, name, name))
    dtype = DTYPES[name]
    assert (dtype.exponent_bits, dtype.mantissa_bits) == (facts.nexp, facts.nmant)
    assert 1 + dtype.exponent_bits + dtype.mantissa_bits == 8 * dtype.itemsize


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("int8", 127),
        ("uint8", 255),
        ("int16", 32767),
        ("uint16", 65535),
        ("int32", 2**30),
        ("uint64", 2**30),
        ("float8_e4m3fn", 2**4),
        ("float8_e5m2", 2**3),
        ("bfloat16", 2**8),
        ("float16", 2**11),
        ("float32", 2**24),
        ("float64", 2**30),
    ],
)
def test_integers_are_exact_up_to_the_stated_limit(name, limit):
    assert DTYPES[name].exact_limit == limit


def test_an_unknown_dtype_names_the_closest_and_all_that_are_allowed():
    with pytest.raises(UsageError) as raised:
        dtype_named("bfloat61")
    message = str(raised.value)
    assert message.startswith("unknown dtype 'bfloat61'. Did you mean 'bfloat16'?")
    assert all(name in message for name in DTYPES)
    assert "next: railgauge list" in message
