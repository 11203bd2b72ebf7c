import pytest

from hermes.config.lines import MAX_STATEMENT_LINES, Path, line_of

TEXT = '''\
# a comment with [limits] in it
[limits]  # another
cap = 1
"idle_ttl" = 2

[prompt]
system = """
[limits]
cap = 3
"""
context_files = [
  "a",
]
[[fallback]]
provider = "a"
[[fallback]]
name = "b"
model = {x = 1}
[prices."gpt-5-mini"]
input = 1
[platforms]
telegram.allow = ["1"]
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("limits",), 2),
        (("limits", "cap"), 3),
        (("limits", "idle_ttl"), 4),
        (("prompt", "system"), 7),
        (("prompt", "context_files"), 11),
        (("fallback", 0, "provider"), 15),
        (("fallback", 1, "name"), 17),
        (("fallback", 1, "model", "x"), 18),
        (("prices", "gpt-5-mini", "input"), 20),
        (("platforms", "telegram", "allow", 0), 22),
        (("limits", "missing"), 2),
        (("store", "keep_updates"), None),
    ],
)
def test_line_of(path: Path, line: int | None) -> None:
    """A key's line is found within its own table, and a text that looks like a key is not one."""
    assert line_of(TEXT, path) == line


def test_a_single_table_stands_for_a_list_of_one() -> None:
    """The path of a list's first table finds a table that is written as a single one."""
    assert line_of("[fallback]\nname = 1\n", ("fallback", 0, "name")) == 2


def test_tables_within_lists_of_tables() -> None:
    """A table under a list of tables belongs to the newest element."""
    text = "[[a]]\n[a.b]\nc = 1\n[[a]]\n[a.b]\nc = 2\n"
    assert line_of(text, ("a", 0, "b", "c")) == 3
    assert line_of(text, ("a", 1, "b", "c")) == 6


def test_a_huge_value_does_not_hide_what_is_before() -> None:
    """Lines before a value of very many lines are found, and its cost is bounded."""
    text = 'a = 1\nb = """\n' + "x\n" * (MAX_STATEMENT_LINES * 2) + '"""\nc = 1\n'
    assert line_of(text, ("a",)) == 1
    assert line_of(text, ("c",)) is None


def test_a_key_of_very_many_dots() -> None:
    """A key far deeper than any setting is found by its beginning, and at no great cost."""
    deep = ".".join("a" * 5000)
    assert line_of(f"x = 1\n{deep} = 1\n[b.{deep}]\n", ("a", "a")) == 2
