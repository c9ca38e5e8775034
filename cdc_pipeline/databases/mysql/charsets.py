"""Where Debezium reads MySQL's character sets otherwise than the server does.

Measured with 3.6.1 and MySQL 8.0.15: every character of every character set, sent and compared. A character that
Debezium cannot read at all arrives as U+FFFD, which no character set but Unicode's own has.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# Many characters become others, and nothing tells: such a column is refused in step 1.
GARBLED = ("armscii8", "big5", "dec8", "eucjpms", "geostd8", "hp8", "keybcs2", "koi8u", "swe7")
UNICODE = ("utf8", "utf8mb3", "utf8mb4", "utf16", "utf16le", "utf32", "ucs2", "gb18030")
_BRACKETS = "\ufe10\ufe12\ufe11\ufe13\ufe14\ufe15\ufe16\ufe17\ufe18\ufe19"
_STROKES = "\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864"
# A few become characters that the set does not have, or change places: these are put back.
_SWAPPED = dict(
    zip(_BRACKETS + _STROKES, [*map(chr, range(0xE78D, 0xE797)), *map(chr, range(0x9FB4, 0x9FBC))], strict=True)
)
_MISREAD: dict[str, dict[str, str]] = {
    "cp866": {"\xa4": "\xb2", "\u2116": "\u207f"},
    "gb18030": {**_SWAPPED, **{right: wrong for wrong, right in _SWAPPED.items()}},
    "gbk": {"\u2641": "\u2295"},
    "greek": {"\u2019": "\u02bc", "\u2018": "\u02bd"},
    "hebrew": {"\xaf": "\u203e"},
    "sjis": {"\uff3c": "\\", "\u2014": "\u2015"},
    "ujis": {"\u2014": "\u2015"},
}
_CHARSET = re.compile(r" CHARACTER SET (\w+)")


def charset_of(declared: str) -> str:
    """The character set that MySqlDatabase writes behind a column's type; empty for another type."""
    match = _CHARSET.search(declared)
    return match[1] if match else ""


def reader(charset: str) -> Callable[[str], str] | None:
    """What makes the server's text of Debezium's; None where they are the same. It raises ValueError."""
    if charset in UNICODE and charset not in _MISREAD:
        return None
    table = str.maketrans(_MISREAD.get(charset, {}))

    def read(text: str) -> str:
        if charset not in UNICODE and "\ufffd" in text:
            raise ValueError(f"Debezium cannot read a character of the character set {charset}")
        return text.translate(table) if table else text

    return read
