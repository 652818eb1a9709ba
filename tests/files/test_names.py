import pytest

from headrace.errors import InvalidInput
from headrace.files.names import checked_content_type, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("orders.csv", "orders.csv"),
        ("Grüße 2026.pdf", "Grüße 2026.pdf"),
        ("/etc/passwd", "passwd"),
        ("../../x.png", "x.png"),
        ("C:\\Users\\me\\x.doc", "x.doc"),
        ("folder/", "folder"),
        ("a\r\nb\x00c", "abc"),
        ("\u202egnp.exe", "gnp.exe"),
        ("..", "file"),
        ("", "file"),
        ("///", "file"),
        ("   ", "file"),
        (".hidden", "hidden"),
        ("x" * 300 + ".csv", "x" * 196 + ".csv"),
        ("x" * 300, "x" * 200),
    ],
)
def test_name_is_made_safe_to_show(name, safe):
    assert safe_name(name) == safe


@pytest.mark.parametrize(
    "text", ["text/csv", "image/png", "application/vnd.ms-excel", "text/html; charset=utf-8", 'a/b;c="d e"']
)
def test_media_type_is_accepted(text):
    assert checked_content_type(text) == text


@pytest.mark.parametrize(
    "text", ["", "text", "text/", "/csv", "text/csv\r\nX: y", "text/c sv", "text/csv; x", "ü/x"]
)
def test_what_is_no_media_type_is_refused(text):
    with pytest.raises(InvalidInput):
        checked_content_type(text)
