"""A password in a URL is never shown, and nothing else is hidden."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from maskrcnn_exp.record.secrets import mask_urls

SCHEMES = st.sampled_from(["postgresql", "postgresql+psycopg2", "MySQL", "redis", "https", "ssh", "git+https"])
STORAGES = st.sampled_from(["postgresql", "postgresql+psycopg", "mysql+pymysql", "redis", "rediss"])
USERS = st.sampled_from(["", "optuna", "me%40corp", "me@corp"])
AROUND = st.sampled_from(
    ["{}", "hydra.sweeper.storage='{}'", '{{"storage": "{}", "mail": "a@b"}}', "no {} at 10:30, <a@b>"]
)
VISIBLE = st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_categories=["Cc", "Cf", "Zs"])


def raw(without: str) -> st.SearchStrategy[str]:
    return st.text(VISIBLE.filter(lambda character: character not in f"\"'<>{without}"), min_size=1)


@given(scheme=SCHEMES, user=USERS, password=st.text(min_size=1), around=AROUND)
def test_an_encoded_password_becomes_stars(scheme: str, user: str, password: str, around: str) -> None:
    for encoded in {quote(password, safe=""), quote(password, safe="!$&()*+,;=:~")}:
        url = f"{scheme}://{user}:{encoded}@db.example:5432/study?sslmode=require"
        stars = f"{scheme}://{user}:***@db.example:5432/study?sslmode=require"
        assert mask_urls(around.format(url)) == around.format(stars)


@given(scheme=SCHEMES, user=USERS, password=raw(without="/?#"), around=AROUND)
def test_a_raw_password_as_urllib_reads_it_becomes_stars(scheme: str, user: str, password: str, around: str) -> None:
    """All before the last @ of what stands before the path."""
    url = f"{scheme}://{user}:{password}@db.example:5432/study"
    assert mask_urls(around.format(url)) == around.format(f"{scheme}://{user}:***@db.example:5432/study")


@given(scheme=STORAGES, user=USERS, password=raw(without="@"), around=AROUND)
def test_a_raw_password_as_sqlalchemy_reads_it_becomes_stars(
    scheme: str, user: str, password: str, around: str
) -> None:
    """All before the first @, with / and ? and #."""
    url = f"{scheme}://{user}:{password}@db.example:5432/study"
    assert mask_urls(around.format(url)) == around.format(f"{scheme}://{user}:***@db.example:5432/study")


@given(
    name=st.sampled_from(["password", "PASSWD", "sslpassword", "token", "access_token", "pass%77ord", "api_key"]),
    secret=raw(without="&"),
    around=AROUND,
)
def test_a_secret_parameter_becomes_stars(name: str, secret: str, around: str) -> None:
    for joint in ("?", "?application_name=x&"):
        url = f"postgresql://db.example/study{joint}{name}={{}}&sslmode=require"
        assert mask_urls(around.format(url.format(secret))) == around.format(url.format("***"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lr.mask_mult=10 run_dir=runs/a@b:c",
        "see https://github.com/@scope/x and https://host:8080/@scope?next=a@b",
        "postgresql://db.example:5432/study",
        "postgresql://optuna@db.example:5432/study?sslmode=require",
        '{"storage": "redis://host:6379", "mail": "a@b"}',
        "redis://host:6379 was told by a@b",
        "sqlite:////data/a:b@c.db",
        "file:///C:/pictures/a@b.png",
        "https://[::1]:8080/a@b",
        "https://example.org/?tokens=3&tokenizer=x&q=password=1",
        "do not write password=x; &token=y into a text",
    ],
)
def test_what_holds_no_password_stays(text: str) -> None:
    assert mask_urls(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("redis://:secret@host/0", "redis://:***@host/0"),
        ("postgresql://u:my secret@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:it's\"secret@h/d", "postgresql://u:***@h/d"),
        ("https://u:secret@h/@scope/x", "https://u:***@h/@scope/x"),
        ("https://h/x#access_token=secret", "https://h/x#access_token=***"),
        (
            "moved postgresql://u:secret@a/x to mysql://v:secret@b/y?password=secret",
            "moved postgresql://u:***@a/x to mysql://v:***@b/y?password=***",
        ),
        ("one\npostgresql://u:secret@h/d\nthree a@b", "one\npostgresql://u:***@h/d\nthree a@b"),
    ],
)
def test_shapes_of_urls(text: str, masked: str) -> None:
    assert mask_urls(text) == masked


@example(": @@", "postgresql")
@example(": @a@", "postgresql")
@given(st.text(st.sampled_from("ab:/@?#&= 'p"), max_size=60), STORAGES)
def test_masking_twice_is_masking_once(text: str, scheme: str) -> None:
    once = mask_urls(f"{scheme}://{text}")
    assert mask_urls(once) == once
