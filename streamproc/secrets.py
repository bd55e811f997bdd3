"""Masking of secrets in everything that leaves the program: logs, errors, reports, metrics, events, bundles.

Two methods work together. Patterns find secrets in any text by their form: the user-info of an address, a query key
such as `token`. A list holds the values that are known to be secret: values under a secret key, passwords in
addresses, and values from the environment through `${NAME}`. Reading a configuration fills the list; its values are
masked everywhere.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

MASK = "***"

_SHORTEST = 4
"""characters: a shorter value stands in too many texts by chance"""

_LONG = 8
"""characters: a value of so many is found within other words too"""

_WORD = (
    r"passwords?|passwd|passphrase|passcode|pass|pas|pwd|pw|secrets?|tokens?|jwt|bearer|credentials?|cookie|"
    r"auth|authorization|sig|signature|api_?keys?|access_?keys?|secret_?keys?|private_?keys?|account_?keys?|psk"
)
_KEY = re.compile(rf"(?:^|[_\W])(?:login|user|admin|my|auth|access|refresh|session|client|id)?(?:{_WORD})$")
_COUNT = re.compile(r"^(?:max|min|most|least|num|n|count|number|total)_")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_REFERENCE = re.compile(r"\$\{[^}]*\}")

# every repetition that could start anywhere is bounded: these run over whatever a plugin says
_SCHEME = r"\b[a-zA-Z][a-zA-Z0-9+.-]{0,20}://"
_USERINFO = re.compile(rf"(?P<scheme>{_SCHEME})(?:(?!://)[^\s'\"<>]){{0,500}}@")
# a password with a blank or a quote in it ends the address for most readers: look on up to the @ of the host
_ODD_USERINFO = re.compile(rf"(?P<scheme>{_SCHEME})(?:(?!://)[^\n/@:]){{1,80}}:(?:(?!://)[^\n/]){{1,200}}@(?=[\w.\[])")
_BARE_LOGIN = re.compile(r"(?<![\w/.+-])(?P<user>[\w.+-]{1,64}):(?P<password>[^\s@'\"<>/,]{3,200})@(?=[\w\[])")
_QUERY_KEY = re.compile(r"[\w.-]{1,60}$")
_QUERY_VALUE = re.compile(r"['\"]?(?P<value>[^&;\s'\"<>=][^&;\s'\"<>]*)")
_BEARER = re.compile(r"\b(?P<scheme>[Bb]earer)\s+[A-Za-z0-9._~+/=-]{8,}")


def redact(text: str) -> str:
    """`text` with known secrets, and the user names, passwords and tokens of addresses, replaced by `***`.

    >>> redact("rtsp://user:p@ss@cam/live?token=abc")
    'rtsp://***@cam/live?token=***'
    """
    text = _known.mask(text)
    if "://" in text:
        text = _ODD_USERINFO.sub(rf"\g<scheme>{MASK}@", _USERINFO.sub(rf"\g<scheme>{MASK}@", text))
    if "@" in text:  # an address without its scheme
        text = _BARE_LOGIN.sub(f"{MASK}@", text)
    for start, end in reversed(list(_query_values(text))):
        text = f"{text[:start]}{MASK}{text[end:]}"
    return _BEARER.sub(rf"\g<scheme> {MASK}", text)


def redact_values(node: Any) -> Any:
    """Return JSON-like values with secrets masked: in texts, and all values under keys such as `password`.

    A reference to the environment (`${NAME}`) stays: it is no secret.

    >>> redact_values({"user": "me", "password": 12345, "url": "mqtt://me:abc@host"})
    {'user': 'me', 'password': '***', 'url': 'mqtt://***@host'}
    """
    if isinstance(node, Mapping):
        return {key: _redact_value(str(key), value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [redact_values(value) for value in node]
    return redact(node) if isinstance(node, str) else node


def redact_known(text: str) -> str:
    """Return `text` with the known secrets masked, except plain ones: for data, which guesses must not destroy."""
    return _known.mask(text, data=True)


def is_secret_key(key: str) -> bool:
    """Return whether a key's name marks its value as a secret.

    >>> is_secret_key("api_key"), is_secret_key("loginPassword"), is_secret_key("max_tokens"), is_secret_key("topic")
    (True, True, False, False)
    """
    plain = _CAMEL.sub("_", key).lower().replace("-", "_")
    return _KEY.search(plain) is not None and _COUNT.match(plain) is None


def remember(node: Any) -> None:
    """Put the secrets in these JSON-like values on the list: values of secret keys, and passwords in addresses."""
    _known.add(_texts_with_secrets(node))


def remember_environment(value: str, *, before: str = "", after: str = "") -> None:
    """Put a value from the environment on the list, unless it is plain (see `is_plain`).

    before, after: the text around the reference, which distinguishes a path or host from a password.
    """
    if "://" in value:
        _known.add([*_of_address(value), *_behind_host(value)])
    elif _inside_login(before, after) or not is_plain(value):
        _known.add([value])


def forget() -> None:
    """Empty the list, as between two tests."""
    _known.clear()


_PLAIN = re.compile(
    r"[+-]?\d[\d_]{0,5}(?:\.\d+)?\s*(?:[num]?s|min|h|d|B|[kKMG]i?B|%|px|fps)?"  # numbers, durations, sizes
    r"|[+-]?\d+\.\d+"
    r"|[A-Za-z]?[a-z]{0,11}"  # one word
    r"|[A-Za-z][a-z]{1,11}(?:[ _-](?:[A-Za-z]?[a-z]{1,11}|[A-Z]|\d{1,2})){1,2}"  # yolox-nano, Zone 1
    r"|[\w .,()+&/\\:~-]{1,200}\."
    r"(?i:mp4|m4v|mov|mkv|avi|webm|flv|ts|mpe?g|gif|jpe?g|png|onnx|tflite|jsonl?|csv|db)"  # files
    r"|(?:~|\.{1,2})?/[\w .{}/-]*"  # paths
    r"|(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?"  # IPv4 addresses
    r"|[a-z0-9.-]{1,60}:\d{1,5}(?:,[a-z0-9.-]{1,60}:\d{1,5})*"  # host:port lists
)


def is_plain(value: str) -> bool:
    """Return whether masking this value everywhere would damage texts rather than protect a secret.

    Plain are: fewer than four characters, numbers of up to six digits, durations and sizes, one word of letters
    (true, warehouse), two or three (yolox-nano, Zone 1), paths, names of videos, pictures and other files, IPv4
    addresses and host:port. Under a secret key, or as a password in an address, they are still masked at that place.

    >>> [is_plain(text) for text in ("25", "10s", "true", "warehouse", "/var/out", "10.0.0.7:554", "broker:9092")]
    [True, True, True, True, True, True, True]
    >>> [is_plain(text) for text in ("hall (2).mp4", "videos/Hall-2.MP4", "night-shift", "Zone 1")]
    [True, True, True, True]
    >>> [is_plain(text) for text in ("hunter2", "S3CR3T", "12345ab", "TOPSECRET")]
    [False, False, False, False]
    """
    return len(value.strip()) < _SHORTEST or _PLAIN.fullmatch(value.strip()) is not None


_HOST = re.compile(r"(?P<host>\[[^\]]+\]|[^:\[\]]+)(:(?P<port>[^:]*))?")


def address_mistake(address: str) -> str:
    """Return what is wrong with the login, host or port of an address, and what to write; empty if nothing is."""
    scheme, mark, rest = address.partition("://")
    if not mark:
        return ""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    return _login_mistake(scheme, authority, rest) or _host_mistake(scheme, authority)


def _host_mistake(scheme: str, authority: str) -> str:
    found = _HOST.fullmatch(authority.rpartition("@")[2])
    if found is None:
        return f"this {scheme} address names no host, or none that can be read; expected {scheme}://host:port/path"
    port = found["port"]
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        # not shown: it may be a piece of a password
        return f"the port in this {scheme} address is not valid; expected a number from 1 to 65535"
    return ""


def _login_mistake(scheme: str, authority: str, rest: str) -> str:
    if "@" not in rest:
        return ""
    login = (authority if "@" in authority else rest).rpartition("@")[0]
    if "@" not in authority and not _ends_early(authority):
        return ""
    odd = [*dict.fromkeys(re.findall(r"[^A-Za-z0-9\-._~!$&'()*+,;=:%]|%(?![0-9A-Fa-f]{2})", login))]
    if not odd:
        return ""
    codes = ", ".join(f"{'a blank' if c == ' ' else c} as {quote(c, safe='')}" for c in odd[:6])
    return (
        f"the user name or password in this {scheme} address holds characters that an address can't carry as they are; "
        f"write {codes}, or use the options user and password if the source has them"
    )


def with_login(address: str, user: str, password: str) -> str:
    """`address` with user name and password filled in, percent-encoded.

    >>> with_login("rtsp://cam/live", "viewer", "p@ss/1")
    'rtsp://viewer:p%40ss%2F1@cam/live'
    """
    if not user and not password:
        return address
    scheme, mark, rest = address.partition("://")
    secret = f":{quote(password, safe='')}" if password else ""
    return f"{scheme}{mark}{quote(user, safe='')}{secret}@{rest}"


def _ends_early(authority: str) -> bool:
    """Return whether this is the beginning of a login, ended by a character that should have been encoded.

    Otherwise it is a host, or host:port, and an @ behind it belongs to the path.
    """
    return re.search(r":(?!\d*$)", re.sub(r"^\[[^]]*\]", "", authority)) is not None


def _query_values(text: str) -> Iterator[tuple[int, int]]:
    """Yield the places of secret keys' values in texts such as `?user=me&token=abc`."""
    at = text.find("=")
    while at >= 0:
        # the key first: a value may be as long as the text, and is looked for once only
        value = _QUERY_VALUE.match(text, at + 1) if _secret_key_before(text, at) else None
        if value:
            yield value.span("value")
            at = value.end()
        at = text.find("=", at + 1 if at < len(text) and text[at] == "=" else at)


def _secret_key_before(text: str, at: int) -> bool:
    key = _QUERY_KEY.search(text, max(0, at - 60), at)
    if key is None:
        return False
    return is_secret_key(key[0]) or (key[0] == "key" and text[key.start() - 1 : key.start()] in "?&;")


class _Known:
    """Values known to be secret; one expression finds them all, another those that aren't plain."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: set[str] = set()
        self._search: tuple[re.Pattern[str] | None, re.Pattern[str] | None] = (None, None)

    def add(self, values: Iterable[str]) -> None:
        forms = {form for value in values for form in _forms(value)}
        with self._lock:
            if forms <= self._values:
                return
            self._values |= forms
            odd = {form for form in self._values if not is_plain(form)}
            self._search = (_any_of(self._values), _any_of(odd))

    def clear(self) -> None:
        with self._lock:
            self._values, self._search = set(), (None, None)

    def mask(self, text: str, *, data: bool = False) -> str:
        search = self._search[data]
        return text if search is None else search.sub(_masked, text)


_known = _Known()


def _forms(value: str) -> Iterator[str]:
    """Yield the forms of a value in texts: as it is, percent-encoded, decoded, and escaped as in JSON and Python."""
    value = value.strip()
    if len(value) < _SHORTEST or _REFERENCE.search(value) or value == MASK:
        return
    for form in (value, unquote(value), quote(value), quote(value, safe=""), quote_plus(value)):
        if len(form) >= _SHORTEST:
            yield form
            yield json.dumps(form)[1:-1]
            yield json.dumps(form, ensure_ascii=False)[1:-1]
            yield repr(form)[1:-1]


def _any_of(forms: set[str]) -> re.Pattern[str] | None:
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return re.compile("|".join(map(re.escape, longest_first))) if longest_first else None


def _masked(found: re.Match[str]) -> str:
    """Return the mask; short values and numbers are masked only as whole words: 12345 isn't part of 1234567."""
    form, text = found[0], found.string
    beside = f"{text[max(0, found.start() - 1) : found.start()]} {text[found.end() : found.end() + 1]}"
    whole = len(form) >= _LONG and not form.isdigit()
    return MASK if whole or not any(c.isalnum() for c in beside) else form


def _texts_with_secrets(node: Any, *, secret: bool = False) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _texts_with_secrets(value, secret=secret or is_secret_key(str(key)))
    elif isinstance(node, list | tuple | set | frozenset):
        for value in node:
            yield from _texts_with_secrets(value, secret=secret)
    elif isinstance(node, str):
        if secret:
            yield node
        if "://" in node:
            yield from _of_address(node)
        elif login := _BARE_LOGIN.match(node):
            yield login["password"]
    elif secret and isinstance(node, int | float) and not isinstance(node, bool) and abs(node) >= 1000:
        yield str(node)


def _of_address(address: str) -> Iterator[str]:
    """The passwords and tokens of an address."""
    rest = address.partition("://")[2]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    logins = [authority.rpartition("@")[0]]
    if _ends_early(logins[0] and authority) or _ends_early(authority.rpartition("@")[2]):
        logins.append(rest.rpartition("@")[0])
    for login in filter(None, logins):
        user, colon, password = login.partition(":")
        if colon:
            yield password
        elif not is_plain(user):
            yield user
    for start, end in _query_values(rest):
        value = rest[start:end]
        yield value
        yield re.split(r"_[a-z]+=", value)[0]  # cameras that write user=A_password=B_channel=1


def _behind_host(address: str) -> Iterator[str]:
    """Yield the parts of path and query that may be secret, of an address that is one value of the environment."""
    rest = address.partition("://")[2].rpartition("@")[2]
    path = re.search(r"[/?#].*", rest)
    if path is None:
        return
    for part in re.split(r"[/?#&=;]", path[0]):
        if len(part) >= 8 and not is_plain(part):
            yield part


def _inside_login(before: str, after: str) -> bool:
    """Return whether a place in a text is the password of an address, or the value of a secret query key."""
    in_login = "://" in before and "@" not in before.rpartition("://")[2] and "@" in after
    key = re.search(r"([\w.-]+)=$", before)
    return in_login or (key is not None and is_secret_key(key[1]))


def without_reference(value: Any) -> bool:
    """Return whether this is anything but a single reference to the environment."""
    return not (isinstance(value, str) and _REFERENCE.fullmatch(value))


def _redact_value(key: str, value: Any) -> Any:
    empty = value is None or isinstance(value, bool) or value in ("", [], {}, ())
    if is_secret_key(key) and not empty and without_reference(value):
        if isinstance(value, list | tuple) and not any(map(without_reference, value)):
            return list(value)
        return MASK
    return redact_values(value)


__all__ = [
    "address_mistake",
    "forget",
    "is_plain",
    "is_secret_key",
    "redact",
    "redact_known",
    "redact_values",
    "remember",
    "remember_environment",
    "with_login",
]
