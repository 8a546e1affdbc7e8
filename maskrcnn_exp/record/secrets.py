"""What must not be shown: the passwords in a text's URLs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote

from maskrcnn_exp.errors import ConfigError

__all__ = ["mask_urls", "refuse_typed_secrets"]

_MASK: Final = "***"

_WEB: Final = r"(?:git\+)?(?:https?|wss?|s?ftp|ssh|git)"
_PORT: Final = r"""\d{1,5}(?:[/?\#\s"'<>,;)\]}]|$)"""

_WEB_PASSWORD: Final = re.compile(
    rf"""(?P<before>\b{_WEB}://[^\s:/?#"'<>]*:)[^\s/?#"'<>]*(?=@)""",
    re.IGNORECASE | re.VERBOSE,
)
"""In the part before the path only: what follows may hold an @ of its own, such as github.com/@scope."""

_OTHER_PASSWORD: Final = re.compile(
    rf"""
    (?P<before> \b(?!{_WEB}://)[a-z][a-z0-9+.-]*:// [^\s:/?\#"'<>]*: )
    (?:
        [^\s?"'<>]* (?=@)                      # as far as it reaches: a raw @ or / may be a part of it
      | [^\s"'<>]* (?=@)                       # with a raw ?
      | (?!{_PORT}) (?: \S* | .*? (?: @ [^\s"'<>]* )? ) (?=@)  # with raw quotes, with raw spaces
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
"""A storage's URL, read as generously as SQLAlchemy and libpq together: they take a raw / or ? in a password."""

_PARAMETER: Final = re.compile(r"""(?P<before>[?&;#](?P<name>[\w.%+-]+)=)[^\s&"'<>]+""")
_SECRET_NAME: Final = re.compile(r"password$|passwd$|pwd$|token$|secret$|api_?key$", re.IGNORECASE)
_URL: Final = re.compile(r"\b[a-z][a-z0-9+.-]*://\S*", re.IGNORECASE)


def mask_urls(text: str) -> str:
    """Return `text` with the password of every URL in it as ***, everything else as it is.

    A password is what stands between scheme://user: and the host's @ — also percent-encoded, without a user, or with
    characters that should have been encoded — and the value of a query parameter whose name ends in password, passwd,
    pwd, token, secret or api_key. In doubt more is masked: a database's URL with an @ in its query loses its host,
    since SQLAlchemy takes all before that @ for a password as well.
    """
    for pattern in (_WEB_PASSWORD, _OTHER_PASSWORD):
        text = pattern.sub(lambda match: match["before"] + _MASK, text)
    return _URL.sub(lambda url: _PARAMETER.sub(_mask_parameter, url[0]), text)


def refuse_typed_secrets(words: Sequence[str]) -> None:
    """Refuse a password in a logger's address before Hydra writes the words into the run's folder.

    Raises:
        ConfigError: a word of the group `logger` holds one.
    """
    for word in words:
        if word.lstrip("+").startswith("logger.") and mask_urls(word) != word:
            raise ConfigError(
                f"{mask_urls(word)}: what is typed is written into the run's folder, so it may hold no password. "
                "Leave it out and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD."
            )


def _mask_parameter(match: re.Match[str]) -> str:
    return match["before"] + _MASK if _SECRET_NAME.search(unquote(match["name"])) else match[0]
