"""Quantities as Go's resource.ParseQuantity takes them: what is accepted, and which number it is."""

import json
import random
import re
from fractions import Fraction

import pytest

from fleetform import quantity
from fleetform.patterns import QUANTITY
from tests.fleet import AGENT, GOOD, write
from tests.tools import run

ACCEPTED = {
    "0": "0", "1": "1", "100m": "1/10", "0.1": "1/10", ".5": "1/2", "5.": "5", "+1": "1", "1.5Gi": "1610612736",
    "1k": "1000", "1M": "1000000", "1G": "1000000000", "1T": "10e11", "1P": "10e14", "1E": "10e17", "1Ki": "1024",
    "1Mi": "1048576", "1Gi": "1073741824", "1Ti": "1099511627776", "1Pi": "1125899906842624", "7Ei": "8070450532247928832",
    "1e3": "1000", "1E3": "1000", "1e+3": "1000", "1e-3": "1/1000", "12e6": "12000000", "0.001": "1/1000", "1u": "1/1000000",
    "1n": "1/1000000000", "007": "7", "9223372036854775807": "9223372036854775807",
}  # fmt: skip
REFUSED = (
    "", " ", "1 Gi", " 1", "1\t", "1K", "1g", "1ki", "1KI", "1kB", "1MB", "1_000", "1,5", "NaN", "inf", "0x10", "１", "1e",
    "1ee3", "1i", "--1", "1..5", "1e1.5", "²", "1 ", "e3x", "1mi",
)  # fmt: skip
INEXACT = ("8Ei", "16Ei", "9223372036854775808", "0.1n", "1e-10", "1e19", "0.0000000001", "99E")
"""What Go accepts, and changes on the way: we refuse it."""


def go(words: list[str]) -> dict[str, str | None]:
    """Return Go's canonical form of each string, None for what is no quantity."""
    done = run("yaml2json", "-quantity", text="".join(json.dumps(word) + "\n" for word in words))
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(words, found, strict=True))


def has_form(word: str) -> bool:
    return re.fullmatch(QUANTITY, word) is not None  # a `$` of Python's would take a line break


def is_ours(word: str) -> bool:
    return has_form(word) and quantity.is_exact(word)


def is_left_out(word: str) -> bool:
    """What we refuse and Go does not: signs, no digit at all, exponents that no resource has."""
    return (
        word.startswith("-")
        or not re.match(r"\+?\.?[0-9]", word)
        or bool(re.search(r"[eE][-+]?[0-9]{3,}\Z", word))
    )


def test_the_table_is_large_enough():
    assert len(ACCEPTED) + len(REFUSED) + len(INEXACT) >= 47


def test_what_is_accepted_is_the_number_that_go_reads():
    canonical = go([*ACCEPTED])
    for word, value in ACCEPTED.items():
        assert is_ours(word), word
        found = canonical[word]
        assert found is not None
        assert quantity.parse(word) == quantity.parse(found) == Fraction(value), word


def test_what_is_refused_is_refused_by_go_too_or_changed_by_it():
    assert set(go(list(REFUSED)).values()) <= {None, "0"}
    for word in (*REFUSED, *INEXACT):
        assert not is_ours(word), word
    for word, found in go(list(INEXACT)).items():
        assert found is not None
        assert is_changed(word, found), word


SUFFIXES = (
    *("", *"numkMGTPEKgB", *(f"{letter}i" for letter in "KMGTPEmk")),
    *(
        "e3",
        "E3",
        "e+5",
        "e-5",
        "e18",
        "e-12",
        "e03",
        "e1.5",
        "E",
        "e",
        "kk",
        "Mi ",
        "\n",
        "\u0661",
        "_",
    ),
)
LETTERS = "0123456789.+-_eE kmKMGTPiunx"
MANY = 6_000


def words() -> list[str]:
    """Return that many strings, each another: half of them numbers with a suffix, half of any letters."""
    chance = random.Random(20261121)
    found: dict[str, None] = {}
    while len(found) < MANY:
        if chance.random() < 0.5:
            digits = "".join(
                chance.choices("0123456789", k=chance.choice((0, 1, 2, 3, 5, 12, 18, 19, 20)))
            )
            part = chance.choice(
                ("", ".", f".{chance.randrange(10**4)}", f".{chance.randrange(10**12):012}")
            )
            word = (
                f"{chance.choice(('', '', '+', '-', '0'))}{digits}{part}{chance.choice(SUFFIXES)}"
            )
        else:
            word = "".join(chance.choices(LETTERS, k=chance.randint(1, 7)))
        found[word] = None
    return [*found]


def test_six_thousand_strings_are_taken_as_go_takes_them():
    accepted = 0
    for word, canonical in go(words()).items():
        if is_ours(word):
            accepted += 1
            assert canonical is not None, word
            assert quantity.parse(word) == quantity.parse(canonical), word
        else:
            assert canonical is None or is_left_out(word) or has_form(word), word
            # What has the form is left out because Go would change it.
            assert not has_form(word) or canonical is None or is_changed(word, canonical), word
    assert accepted > 900


def is_changed(word: str, canonical: str) -> bool:
    return quantity.parse(word) >= 1 << 63 or quantity.parse(word) != quantity.parse(canonical)


@pytest.mark.parametrize("word", [*REFUSED, *INEXACT])
def test_a_wrong_quantity_is_refused_where_it_stands(word, command, tmp_path):
    limits = f"  resources: {{limits: {{memory: {json.dumps(word)}}}}}\n"
    write(tmp_path, {**GOOD, "agents/a.yaml": AGENT + limits})
    done = command.run("render", cwd=tmp_path)
    done.within_bounds()
    assert done.code == 1
    assert "agents/a.yaml:8:32: error: spec.resources.limits.memory: " in done.err
    assert not (tmp_path / "rendered").exists()
