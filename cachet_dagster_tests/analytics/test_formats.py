"""Figures are written so that they never promise more than they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cachet_dagster.analytics import formats


@given(st.floats(0, 1, exclude_max=True))
def test_an_uptime_below_one_never_reads_as_a_hundred_percent_and_is_never_rounded_up(share):
    text = formats.percent(share)

    assert text.endswith(" %")
    assert float(text[:-2]) < 100
    assert float(text[:-2]) <= share * 100 + 1e-6
    assert float(text[:-2]) >= share * 100 - 0.0101


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (1, "100 %"),
        (0.990278, "99.02 %"),
        (0.9903, "99.03 %"),
        (0.99999999, "99.99 %"),
        (0, "0 %"),
        (None, "–"),
    ],
)
def test_percent(share, text):
    assert formats.percent(share) == text


@pytest.mark.parametrize(
    ("lower", "upper", "alone", "within_a_sentence"),
    [
        (0.9946, 1, "99.46–100 %", "between 99.46 and 100 %"),
        (0.99461, 0.99462, "99.46 %", "99.46 %"),
        (0, 1, "0–100 %", "between 0 and 100 %"),
    ],
)
def test_where_bounds_differ_the_range_is_the_figure(lower, upper, alone, within_a_sentence):
    assert formats.bounds(lower, upper) == alone
    assert formats.between(lower, upper) == within_a_sentence


@pytest.mark.parametrize(
    ("bounds", "kept"), [((0.999, 1), "kept"), ((0.99, 0.9989), "missed"), ((0.99, 0.9995), "not certain")]
)
def test_a_promise_is_kept_or_missed_only_where_both_bounds_agree(bounds, kept):
    assert formats.promise_kept(0.999, *bounds) == kept


@given(st.floats(0, 1))
def test_a_share_reads_as_none_or_all_only_where_it_is(share):
    text = formats.roughly(share)

    assert (text == "100 %") == (share == 1)
    assert (text == "0 %") == (share == 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.6, "1 min"),
        (5_400, "1 h 30 min"),
        (3_600, "1 h"),
        (86_400 + 59, "1 d"),
        (90_061, "1 d 1 h"),
        (-120, "−2 min"),
        (None, "–"),
    ],
)
def test_duration(seconds, text):
    assert formats.duration(seconds) == text


def test_a_text_of_a_page_becomes_one_line_that_cannot_turn_or_hide_its_surroundings():
    assert formats.plain("up\u202etxt\n down\x00 \u2066x\u2069") == "uptxt down x"


@pytest.mark.parametrize("address", ["ann@example.com", "ann.b+c@mail.example.co.uk", "Änn@exämple.de"])
def test_an_e_mail_address_in_a_text_is_replaced(address):
    assert formats.plain(f"ask {address}, please") == "ask (e-mail address), please"


@given(st.text(), st.floats(10, 400))
def test_a_shortened_text_fits(text, width):
    short = formats.shortened(text, width)

    assert short == text or short.endswith("…")
    assert formats.text_width(short) <= width + formats.text_width("寺")
