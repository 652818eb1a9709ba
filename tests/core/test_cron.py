"""Which instants an expression means, above all where the clocks change (C34, C35)."""

from datetime import UTC, datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.core import cron
from headrace.errors import InvalidInput

BERLIN = "Europe/Berlin"  # 2027: 28 March 02:00 to 03:00, 31 October 03:00 back to 02:00
NEW_YORK = "America/New_York"  # 2027: 14 March 02:00 to 03:00, 7 November 02:00 back to 01:00
LORD_HOWE = "Australia/Lord_Howe"  # 2027: 4 April 02:00 back to 01:30, 3 October 02:00 to 02:30
HAVANA = "America/Havana"  # 2027: 14 March 00:00 to 01:00, 7 November 01:00 back to 00:00


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def shown(expression: str, zone: str, after: str, count: int) -> list[str]:
    """The next fires as the clock in the zone shows them, with its offset from UTC in hours."""
    at, found = ms(after), []
    for _ in range(count):
        at = cron.following(expression, zone, at)
        local = datetime.fromtimestamp(at / 1000, ZoneInfo(zone))
        found.append(f"{local:%d %H:%M:%S} {local.utcoffset().total_seconds() / 3600:+g}")
    return found


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("30 2 * * *", BERLIN, "2027-03-26T12:00", ["27 02:30:00 +1", "28 03:00:00 +2", "29 02:30:00 +2"]),
        ("0 2 * * *", BERLIN, "2027-03-27T12:00", ["28 03:00:00 +2", "29 02:00:00 +2"]),
        ("0 2,3 * * *", BERLIN, "2027-03-27T12:00", ["28 03:00:00 +2", "29 02:00:00 +2", "29 03:00:00 +2"]),
        ("0,30 2 * * *", BERLIN, "2027-03-27T12:00", ["28 03:00:00 +2", "29 02:00:00 +2"]),
        ("*/15 2 * * *", BERLIN, "2027-03-27T12:00", ["28 03:00:00 +2", "29 02:00:00 +2"]),
        ("15 30 2 * * *", BERLIN, "2027-03-27T12:00", ["28 03:00:00 +2", "29 02:30:15 +2"]),
        ("30 2 * * *", NEW_YORK, "2027-03-13T12:00", ["14 03:00:00 -4", "15 02:30:00 -4"]),
        ("15 2 * * *", LORD_HOWE, "2027-10-02T03:00", ["03 02:30:00 +11", "04 02:15:00 +11"]),
        ("45 2 * * *", LORD_HOWE, "2027-10-02T03:00", ["03 02:45:00 +11", "04 02:45:00 +11"]),
        ("30 0 * * *", HAVANA, "2027-03-13T12:00", ["14 01:00:00 -4", "15 00:30:00 -4"]),
    ],
)
def test_c34_local_time_in_a_gap_fires_once_after_it(expression, zone, after, expected):
    assert shown(expression, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("30 2 * * *", BERLIN, "2027-10-29T12:00", ["30 02:30:00 +2", "31 02:30:00 +2", "01 02:30:00 +1"]),
        ("0 2,3 * * *", BERLIN, "2027-10-30T12:00", ["31 02:00:00 +2", "31 03:00:00 +1", "01 02:00:00 +1"]),
        ("*/30 2 * * *", BERLIN, "2027-10-30T12:00", ["31 02:00:00 +2", "31 02:30:00 +2", "01 02:00:00 +1"]),
        ("0 30 2 * * *", BERLIN, "2027-10-30T12:00", ["31 02:30:00 +2", "01 02:30:00 +1"]),
        ("30 1 * * *", NEW_YORK, "2027-11-06T12:00", ["07 01:30:00 -4", "08 01:30:00 -5"]),
        ("45 1 * * *", LORD_HOWE, "2027-04-03T12:00", ["04 01:45:00 +11", "05 01:45:00 +10.5"]),
        ("30 0 * * *", HAVANA, "2027-11-06T12:00", ["07 00:30:00 -4", "08 00:30:00 -5"]),
    ],
)
def test_c34_local_time_that_occurs_twice_fires_the_first_time_only(expression, zone, after, expected):
    assert shown(expression, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "zone", "after", "expected"),
    [
        ("0 * * * *", BERLIN, "2027-03-27T23:30", ["28 01:00:00 +1", "28 03:00:00 +2", "28 04:00:00 +2"]),
        ("0 * * * *", BERLIN, "2027-10-30T23:30", ["31 02:00:00 +2", "31 02:00:00 +1", "31 03:00:00 +1"]),
        ("*/30 * * * *", BERLIN, "2027-10-31T00:10", ["31 02:30:00 +2", "31 02:00:00 +1", "31 02:30:00 +1"]),
        ("0 */2 * * *", BERLIN, "2027-10-30T23:30", ["31 02:00:00 +2", "31 02:00:00 +1", "31 04:00:00 +1"]),
        ("0 */2 * * *", LORD_HOWE, "2027-04-03T13:30", ["04 02:00:00 +10.5", "04 04:00:00 +10.5"]),
        (
            "45 * * * *",
            LORD_HOWE,
            "2027-04-03T14:40",
            ["04 01:45:00 +11", "04 01:45:00 +10.5", "04 02:45:00 +10.5"],
        ),
        ("15 * * * *", LORD_HOWE, "2027-10-02T14:00", ["03 01:15:00 +10.5", "03 03:15:00 +11"]),
        ("30 * 7 11 *", HAVANA, "2027-11-06T12:00", ["07 00:30:00 -4", "07 00:30:00 -5", "07 01:30:00 -5"]),
        (
            "59 59 * * * *",
            NEW_YORK,
            "2027-11-07T05:30",
            ["07 01:59:59 -4", "07 01:59:59 -5", "07 02:59:59 -5"],
        ),
    ],
)
def test_c34_hour_wildcards_follow_elapsed_time(expression, zone, after, expected):
    assert shown(expression, zone, after, len(expected)) == expected


def test_c34_search_that_begins_in_a_repeated_hour_knows_which_of_the_two_it_is():
    first, second = "2027-10-31T00:40", "2027-10-31T01:40"  # 02:40 in Berlin, twice

    assert shown("50 2 * * *", BERLIN, first, 1) == ["31 02:50:00 +2"]
    assert shown("50 2 * * *", BERLIN, second, 1) == ["01 02:50:00 +1"]
    assert shown("10 3 * * *", BERLIN, second, 1) == ["31 03:10:00 +1"]
    assert shown("50 * * * *", BERLIN, second, 1) == ["31 02:50:00 +1"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("5/15 10 * * *", ["15 10:05:00 +0", "15 10:20:00 +0", "15 10:35:00 +0"]),
        ("0 0 13 * FRI", ["16 00:00:00 +0", "23 00:00:00 +0"]),  # both restricted: either matches
        ("0 0 * * 7", ["18 00:00:00 +0", "25 00:00:00 +0"]),
        ("0 0 * * */2", ["15 00:00:00 +0", "17 00:00:00 +0", "18 00:00:00 +0"]),
        ("0 0 L * *", ["31 00:00:00 +0", "28 00:00:00 +0"]),
        ("0 0 LW * *", ["30 00:00:00 +0", "27 00:00:00 +0"]),
        ("0 0 * * 5L", ["30 00:00:00 +0", "27 00:00:00 +0"]),
        ("0 0 * * mon#1", ["02 00:00:00 +0", "02 00:00:00 +0"]),
        ("0 0 1 jan,feb *", ["01 00:00:00 +0", "01 00:00:00 +0"]),
        ("10 0 0 * * *", ["15 00:00:10 +0"]),
        ("@hourly", ["14 13:00:00 +0"]),
        ("@daily", ["15 00:00:00 +0"]),
        ("@Midnight", ["15 00:00:00 +0"]),
        ("@weekly", ["18 00:00:00 +0"]),
        ("@monthly", ["01 00:00:00 +0"]),
        ("@yearly", ["01 00:00:00 +0"]),
        ("@annually", ["01 00:00:00 +0"]),
    ],
)
def test_expression_is_read_as_cron_reads_it(expression, expected):
    wednesday = "2026-01-14T12:00"

    assert shown(cron.checked_expression(expression), "UTC", wednesday, len(expected)) == expected


def test_c35_leap_day_is_found_eight_years_ahead():
    at = cron.following(cron.checked_expression("0 0 29 2 *"), "UTC", ms("2096-03-01T00:00"))

    assert at == ms("2104-02-29T00:00")


@pytest.mark.parametrize(
    "expression",
    [
        "", "*", "* * * *", "* * * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *",
        "* * * 13 *", "* * * * 8", "a * * * *",
        "-1 * * * *", "5-1 * * * *", "*/0 * * * *", "*/-2 * * * *",
        "1,,2 * * * *", "* * * * MON#6", "* * W * *", "@every", "@reboot", "² * * * *", "* * * * ²L",
        "1" * 300, "9" * 200 + " * * * *",
    ],
)  # fmt: skip
def test_c35_invalid_expression_is_refused(expression):
    with pytest.raises(InvalidInput) as refusal:
        cron.checked_expression(expression)

    assert refusal.value.field == "cron"


@pytest.mark.parametrize(
    "expression", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "* * */20 * 1L", "0 0 0 31 4 */9"]
)
def test_c35_expression_that_never_fires_is_refused(expression):
    with pytest.raises(InvalidInput):
        cron.checked_expression(expression)


def test_c35_search_beyond_the_last_year_ends():
    assert cron.following("0 0 1 1 *", "UTC", ms("9999-06-01T00:00")) is None
    assert cron.following("0 0 1 1 *", BERLIN, ms("9999-06-01T00:00")) is None


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "America/Argentina/Ushuaia"])
def test_zone_is_known_by_its_name(name):
    assert cron.checked_zone(name) == name


@pytest.mark.parametrize(
    "name", ["", "Europe", "Europe/Nowhere", "../etc/passwd", "/etc/localtime", "a\0b", "CET+1"]
)
def test_zone_that_is_not_known_is_refused(name):
    with pytest.raises(InvalidInput) as refusal:
        cron.checked_zone(name)

    assert refusal.value.field == "zone"


FIELD = st.sampled_from(["*", "*/7", "0", "2", "1,2,3", "0-3"])
EXPRESSIONS = st.builds(
    lambda seconds, minute, hour, day: f"{seconds}{minute} {hour} {day} * *",
    st.sampled_from(["", "0 ", "*/20 "]),
    st.sampled_from(["*", "*/7", "0", "30", "15,45"]),
    FIELD,
    st.sampled_from(["*", "*/2", "1-7"]),
)
CHANGES = st.sampled_from(
    [
        (zone, ms(f"2027-{day}T00:00"))
        for zone, days in (
            (BERLIN, ("03-28", "10-31")),
            (NEW_YORK, ("03-14", "11-07")),
            (LORD_HOWE, ("04-03", "10-02")),
            (HAVANA, ("03-14", "11-07")),
            ("UTC", ("06-01",)),
        )
        for day in days
    ]
)


@given(expression=EXPRESSIONS, change=CHANGES, offset=st.integers(-6 * 3600, 30 * 3600))
def test_c32_instants_strictly_grow_and_none_is_passed_over(expression, change, offset):
    zone, day = change
    start = day + offset * 1000
    found = [start]
    for _ in range(6):
        found.append(cron.following(expression, zone, found[-1]))

    assert all(before < after for before, after in pairwise(found))
    for before, after in pairwise(found):
        # from anywhere before an instant, and not before the one in front of it, that instant is found
        assert cron.following(expression, zone, (before + after) // 2) == after
        assert cron.following(expression, zone, after - 1) == after


@given(expression=EXPRESSIONS, change=CHANGES, offset=st.integers(-6 * 3600, 30 * 3600))
def test_c34_every_fire_is_what_the_clock_shows_or_the_end_of_a_gap(expression, change, offset):
    zone, day = change
    at = cron.following(expression, zone, day + offset * 1000)
    place, seconds = ZoneInfo(zone), at // 1000
    local = datetime.fromtimestamp(seconds, place)

    as_if_utc = round(local.replace(tzinfo=UTC).timestamp()) * 1000
    matches = cron.following(expression, "UTC", as_if_utc - 1) == as_if_utc
    before = datetime.fromtimestamp(seconds - 1, place).utcoffset()
    after_gap = local.utcoffset() > before
    hour = expression.split()[-4]
    assert matches or (after_gap and not hour.startswith("*"))
