"""Taking secrets out of text that is to be shown: by rule, before it is cut."""

from __future__ import annotations

import re
from collections.abc import Sequence

#: What stands where a secret stood.
TAKEN_OUT = "[redacted]"

_NAMES = (
    r"pass(?:word|wd|phrase)?|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|"
    r"client[_-]?secret|authorization|credential[s]?|cookie|session[_-]?id|seed"
)
#: What is known to be secret wherever it stands. Each takes time in proportion to the text.
_KNOWN = (
    # A name that ends in one of those, and its value: JSON (in JSON), YAML, environment, URL.
    rf"(?i)(?P<keep>[\w-]{{0,40}}(?:{_NAMES})[\\\"']{{0,4}}\s{{0,4}}[:=]\s{{0,4}})"
    r"(?:(?:bearer|basic)\s+)?(?:\\?\"(?:[^\"\\]|\\.)*\\?\"?|'[^']*'?|[^\s,;&}\])\"']+)",
    r"(?i)(?P<keep>\b(?:bearer|basic)\s+)[a-z0-9._~+/=-]{8,}",
    r"(?P<keep>://[^\s:/@]{0,100}:)[^\s/@]+(?=@)",
    # PEM: to its end, or to where the text was cut.
    r"-----BEGIN [A-Z0-9 ]{0,40}(?:PRIVATE KEY|SEED)[A-Z ]{0,10}-----[^-]*(?:-----END[^-]*-----)?",
    r"\bS[UAONCX][A-Z2-7]{54,56}\b",  # seeds of NATS nkeys
    r"\beyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}",  # JSON web tokens
    r"\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}",
    r"\b(?:ghp|gho|ghs|ghu|github_pat|glpat|xox[abprs]|hf)[-_][A-Za-z0-9_-]{10,}",
    r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b",
)
#: Looked at beyond what is shown, so that a secret at the cut is seen whole.
_MARGIN_BYTES = 1024


class Redaction:
    """The rules: those that are known, and more of the settings (regular expressions).

    What is in a group called `keep` stays. Raises re.error for a rule that is none.
    """

    def __init__(self, rules: Sequence[str] = ()) -> None:
        self._rules = [re.compile(rule) for rule in (*_KNOWN, *rules)]

    def redact(self, text: str) -> tuple[str, int]:
        """The text without its secrets, and how many were taken out."""
        taken = 0
        for rule in self._rules:
            text, count = rule.subn(_stand_in, text)
            taken += count
        return text, taken

    def shown(self, data: bytes | str, most: int) -> tuple[str, bool, int]:
        """What may be shown of a text, no more than `most` bytes of it: the text, whether it was
        cut, and how many secrets were taken out."""
        whole = data.encode(errors="replace") if isinstance(data, str) else data
        near = whole[: most + _MARGIN_BYTES].decode(errors="replace")
        text, taken = self.redact(near)
        coded = text.encode(errors="replace")
        cut = len(whole) > most + _MARGIN_BYTES or len(coded) > most
        return coded[:most].decode(errors="ignore") if cut else text, cut, taken


def _stand_in(match: re.Match[str]) -> str:
    kept = match.groupdict().get("keep") or ""
    return kept + TAKEN_OUT
