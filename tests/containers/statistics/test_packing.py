"""Figures in two bytes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from containers.rules.packing import (
    LARGEST_ERROR,
    LARGEST_ERROR_OF_COLUMNS,
    PackingError,
    code_of,
    figure_of,
    pack_columns,
    pack_row,
    unpack_columns,
    unpack_row,
)

figures = st.none() | st.just(0.0) | st.floats(1e-3, 1e18)


@given(st.floats(1e-3, 1e18))
def test_packed_figure_is_right_to_the_stated_error(figure):
    kept = figure_of(code_of(figure))

    assert kept == pytest.approx(figure, rel=2 * LARGEST_ERROR)


@pytest.mark.parametrize("figure", [None, 0, 1, 2, 3, 4, 17, 100, 999])
def test_packed_figure_that_is_small_and_whole_stays_as_it_is(figure):
    assert figure_of(code_of(figure)) == figure


@pytest.mark.parametrize(
    ("figure", "kept"), [(-1.0, None), (math.nan, None), (math.inf, None), (1e-9, 0.0), (0.0, 0.0)]
)
def test_packed_figure_at_the_edge_is_zero_or_not_available(figure, kept):
    assert figure_of(code_of(figure)) == kept


@given(st.lists(figures, max_size=20))
def test_packed_row_comes_back_in_its_order_with_its_gaps(row):
    back = unpack_row(pack_row(row))

    assert [value is None for value in back] == [value is None for value in row]
    assert len(pack_row(row)) == 2 * len(row)


@given(st.integers(1, 12), st.integers(0, 100), st.data())
def test_packed_columns_come_back(count, length, data):
    columns = [data.draw(st.lists(figures, min_size=length, max_size=length)) for _ in range(count)]

    back = unpack_columns(pack_columns(columns), count)

    assert len(back) == count
    for column, kept in zip(columns, back, strict=True):
        for figure, value in zip(column, kept, strict=True):
            assert value == (None if figure is None else pytest.approx(figure, rel=2 * LARGEST_ERROR_OF_COLUMNS))


@pytest.mark.parametrize("figure", [None, 0.0, 1.0, 2.0, 3.0, 4.0, 17.0, 100.0, 250.0])
def test_packed_columns_keep_small_whole_figures_as_they_are(figure):
    assert unpack_columns(pack_columns([[figure]]), 1) == [[figure]]


@given(st.binary(max_size=200), st.integers(-1, 12))
def test_unpack_columns_of_damaged_bytes_is_an_error_or_empty(block, count):
    try:
        unpack_columns(block, count)
    except PackingError:
        pass
    else:
        assert not block


def test_unpack_columns_of_another_shape_is_an_error():
    with pytest.raises(PackingError):
        unpack_columns(pack_columns([[1.0, 2.0, 3.0]]), 2)


def test_unpack_columns_of_a_bomb_is_an_error():
    import zlib

    with pytest.raises(PackingError):
        unpack_columns(zlib.compress(bytes(50_000_000)), 10)


def test_unpack_row_of_half_a_figure_is_an_error():
    with pytest.raises(PackingError):
        unpack_row(b"abc")
