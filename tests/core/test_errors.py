from core.errors import UnknownLayer, first_line, shown, summary


def test_a_value_is_shown_escaped_and_cut() -> None:
    assert shown("a\nb") == "'a\\nb'"
    assert len(shown("x" * 1000)) == 80
    assert shown(16**5000) == "int"  # Python writes no number of so many digits


def test_what_another_library_says_is_one_printable_line_of_a_bounded_length() -> None:
    assert first_line(ValueError("\n one\ntwo")) == "one"
    assert first_line(ValueError("a\x1b[0m\ud800")) == "a\ufffd[0m\ufffd"
    assert first_line(ValueError()) == "ValueError"
    assert len(first_line(ValueError("x" * 1000))) == 300
    assert summary(KeyError("a")) == "KeyError: 'a'"
    assert summary(SystemExit("no")) == "it ends the program by exit('no'), as only a script may"


def test_known_names_are_listed_as_far_as_a_sentence_goes() -> None:
    assert str(UnknownLayer("x", ["a", "b"])) == "no layer named 'x'; known: a, b"
    assert str(UnknownLayer("x", ["a"] * 30)).endswith("a, a and 10 more")
    long = str(UnknownLayer("x", ["long" * 30] * 15))
    assert long.endswith(" and 12 more")
    assert len(long) < 500
    assert str(UnknownLayer("x", [])).endswith("known: none")
