"""A secret is found in whatever form a service sends it back."""

import base64
import html
import json
from urllib.parse import quote, quote_plus, urlencode

import pytest

from fleetform_runtime.forms import REDACTED, forms, is_telling, redactor
from fleetform_runtime.secrets import Secrets

SECRETS = [
    "plain-secret-1",
    'p4ss"w\\ord/with+chars',
    "wörd&<geheim>'s",
    "tok/en+with&special=chars",
    "abc12",
]
CARRIERS = {
    "plain": lambda s: f"key {s} end",
    "JSON": lambda s: json.dumps({"key": s}),
    "JSON with its own letters": lambda s: json.dumps({"key": s}, ensure_ascii=False),
    "JSON in JSON": lambda s: json.dumps({"body": json.dumps({"key": s})}),
    "JSON of PHP": lambda s: json.dumps({"key": s}).replace("/", "\\/"),
    "a path": lambda s: f"/x/{quote(s, safe='')}/y",
    "a query": lambda s: "?" + urlencode({"key": s}),
    "a query in small letters": lambda s: "?key=" + quote_plus(s).lower() if s.islower() else s,
    "HTML": lambda s: f"<p>{html.escape(s)}</p>",
    "hex": lambda s: s.encode().hex(),
    "large hex": lambda s: s.encode().hex().upper(),
    **{
        f"base64 behind {user!r}": lambda s, user=user: base64.b64encode(
            f"{user}:{s}".encode()
        ).decode()
        for user in ("", "a", "ab", "abc", "svc-user")
    },
    "base64 for URLs": lambda s: base64.urlsafe_b64encode(f"user:{s}:more".encode()).decode(),
}


@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("secret", SECRETS)
def test_what_carries_a_secret_is_redacted(secret, carrier):
    secrets = Secrets()
    secrets.learn(secret)
    text = CARRIERS[carrier](secret)
    shown = redactor(secrets.known)(text)
    if "base64" in carrier and len(secret) < 6:
        return  # four letters of base64 are a word
    assert REDACTED in shown, shown
    assert not any(form in shown for form in forms(secret))


@pytest.mark.parametrize("word", ["", "a", "ab1", "user", "admin"])
def test_words_are_no_secrets(word):
    assert not is_telling(word)
    secrets = Secrets()
    secrets.learn(word)
    assert secrets.known() == ()


def test_the_longest_form_comes_first_and_the_order_is_always_the_same():
    one, other = Secrets(), Secrets()
    for value in SECRETS:
        one.learn(value)
    for value in reversed(SECRETS):
        other.learn(value)
    assert one.known() == other.known()
    assert [len(form) for form in one.known()] == sorted(map(len, one.known()), reverse=True)
