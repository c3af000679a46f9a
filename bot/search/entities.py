"""The things two faults can have in common by name: hosts, addresses, error codes, versions."""

import re
from errno import errorcode

_ENTITY = re.compile(
    r"""
    (?<![\w.-])(?:
      \d{1,3}(?:\.\d{1,3}){3}                                  # an IPv4 address
    | v?\d+\.\d+(?:\.\d+)+                                     # a version of three parts
    | (?:[a-z][a-z0-9]*-)+\d{1,4}(?:\.[a-z0-9-]+)*             # a numbered host: web-eu-12.local
    | [a-z0-9-]+(?:\.[a-z0-9-]+)+\.[a-z]{2,}                   # a full domain name
    | [A-Z]{1,6}-?\d{3,6}                                      # a code: ORA-00600, E11000
    | E(?:[A-Z]{2,14}|2BIG)                                    # an errno: ECONNREFUSED
    | (?i:http|status|code|error)[ ]?[:=]?[ ]?[1-5]\d\d        # a status: HTTP 503
    )(?![\w-])
    """,
    re.VERBOSE,
)
_STATUS = re.compile(r"(?:http|status|code|error) ?[:=]? ?([1-5]\d\d)", re.IGNORECASE)
_ERRNO = re.compile(r"E[A-Z]+")
_ERRNOS = frozenset(errorcode.values())
_LONGEST_TEXT = 20_000
_MOST = 64


def entities(text: str) -> frozenset[str]:
    """Return the hosts, addresses, error codes and versions of a text, in lower case.

    A status reads `http 503` however it was written. At most 64 are kept.
    """
    found: dict[str, None] = {}
    for match in _ENTITY.findall(text[:_LONGEST_TEXT]):
        if _ERRNO.fullmatch(match) and match not in _ERRNOS:
            continue  # ERROR, EVENT and the like are only loud
        status = _STATUS.fullmatch(match)
        found[f"http {status.group(1)}" if status else match.lower()] = None
        if len(found) == _MOST:
            break
    return frozenset(found)
