"""What is odd about a text: instructions to a reader, what hides from the eye, what is too long.

A memory is data. One that speaks to the model that will read it ("ignore all previous
instructions") is the way memories are poisoned, so it is marked, and by settings kept back. These
are patterns and nothing more: they miss what is put in new words, so what came from outside is
marked as such whatever it says.
"""

from __future__ import annotations

import re
import unicodedata

from sparkplug.schema.text import strip_controls

INSTRUCTIONS = "instructions"
CONTROLS = "controls"
REORDERING = "reordering"
HIDDEN = "hidden"
LONG_LINE = "long-line"
SECRET = "secret"  # noqa: S105  the name of a flag

#: A line of more characters than that is no sentence.
_LONG_LINE = 20_000
#: Characters that are looked at: the beginning and the end of what is longer.
_LOOKED_AT = 100_000

_TOLD = re.compile(
    r"""(?ix)
    \b(?:ignore|disregard|forget|override|bypass)\b[^.\n]{0,40}
        \b(?:previous|prior|above|earlier|all|any|your|the|system)\b[^.\n]{0,30}
        \b(?:instructions?|prompts?|rules?|messages?|directions?|guidelines?|context
            |polic(?:y|ies))\b
    | \byou\s+(?:are|act)\s+(?:now|as)\b[^.\n]{0,60}
        \b(?:assistant|ai|model|admin|root|dan|agent|mode)\b
    | \b(?:new|updated|real|actual)\s+(?:system\s+)?instructions?\s*[:=]
    | (?:^|\n)\s*(?:\#+\s*)?(?:system|assistant|developer)\s*(?:prompt|message)?\s*:\s
    | <\s*/?\s*(?:system|instructions?|im_start|im_end|tool_call)\b[^>]*>
    | \[/?(?:INST|SYS(?:TEM)?)\] | <\|[a-z_]{2,24}\|>
    | \b(?:do\s+not|don't|never)\s+(?:tell|inform|mention|reveal|show)\b[^.\n]{0,30}
        \b(?:the\s+)?(?:user|human|operator|anyone)\b
    | \b(?:reveal|leak|exfiltrate)\b[^.\n]{0,40}
        \b(?:system\s+prompt|instructions|prompt|api[\s_-]?keys?|passwords?|credentials
            |secrets?|tokens?)\b
    | \b(?:print|output|repeat|send|show)\b[^.\n]{0,30}
        \b(?:system\s+prompt|your\s+(?:\w+\s+)?(?:instructions|prompt|keys?|passwords?
            |credentials|secrets?|tokens?))\b
    | \bfrom\s+now\s+on\b[^.\n]{0,40}\b(?:you|always|never|respond|answer|act)\b
    | \b(?:whenever|every\s+time|always|when)\s+(?:you|the\s+(?:user|agent|assistant))\b
        [^.\n]{0,80}\b(?:run|execute|call|send|post|transfer|download|delete
            |reply\s+with|respond\s+with)\b
    """
)
_SECRET_TEXT = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bsk-[A-Za-z0-9_-]{20,}|\bAKIA[0-9A-Z]{16}\b"
    r"|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bS[UAO][A-Z2-7]{56}\b"
)
_REORDERS = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_ZERO_WIDTH = re.compile("[\u200b-\u200d\u2060-\u2064\ufeff\u00ad\U000e0000-\U000e007f]")


def flags_of(text: str) -> list[str]:
    """What is odd about a text, in a fixed order; nothing for most."""
    looked = text if len(text) <= _LOOKED_AT else text[: _LOOKED_AT // 2] + text[-_LOOKED_AT // 2 :]
    plain = unicodedata.normalize("NFKC", _ZERO_WIDTH.sub("", strip_controls(looked)))
    found = []
    if _TOLD.search(plain):
        found.append(INSTRUCTIONS)
    if _REORDERS.search(looked):
        found.append(REORDERING)
    if len(_REORDERS.sub("", looked).replace("\r\n", "\n")) != len(
        strip_controls(_REORDERS.sub("", looked))
    ):
        found.append(CONTROLS)
    if len(_ZERO_WIDTH.findall(looked)) > 2:
        found.append(HIDDEN)
    if len(text) > _LONG_LINE and max(map(len, text.split("\n"))) > _LONG_LINE:
        found.append(LONG_LINE)
    if _SECRET_TEXT.search(plain):
        found.append(SECRET)
    return found
