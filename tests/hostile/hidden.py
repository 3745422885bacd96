"""Characters that hide, or turn a line around: each class, and where joiners belong."""

HIDDEN = {
    "a turn of direction": "\u202e", "an embedding": "\u202a", "its end": "\u202c", "an isolate": "\u2066", "the end of an isolate": "\u2069",
    "a zero-width space": "\u200b", "a word joiner": "\u2060", "an invisible plus": "\u2064", "an old format character": "\u206a",
    "a byte order mark": "\ufeff", "a soft hyphen": "\u00ad", "a grapheme joiner": "\u034f", "a Hangul filler": "\u3164", "half a Hangul filler": "\uffa0",
    "a Hangul choseong filler": "\u115f", "a Khmer vowel": "\u17b4", "a Mongolian separator": "\u180e", "a Mongolian selector": "\u180b",
    "an annotation's anchor": "\ufff9", "a tag": "\U000e0041", "a language tag": "\U000e0001", "a rare selector": "\U000e0100",
    "a shorthand control": "\U0001bca0", "a musical control": "\U0001d173", "a line separator": "\u2028",
    "a paragraph separator": "\u2029",
}  # fmt: skip
"""Never raw, neither in a spec nor in what is rendered."""

MISPLACED = {
    "a joiner in a word": "pass\u200dword", "a non-joiner in a word": "pass\u200cword", "a joiner first": "\u200dx", "two joiners": "\u06cc\u200c\u200cx",
    "a selector behind a letter": "x\ufe0f", "a row of selectors": "\u2764\ufe00\ufe01\ufe02", "a joiner behind a blank": "\u06cc \u200cx",
}  # fmt: skip
"""What scripts and emoji use, where they do not: never raw either."""

DIRECTIONS = {
    "a left-to-right mark": "\u200e",
    "a right-to-left mark": "\u200f",
    "an Arabic letter mark": "\u061c",
}
"""Text from right to left has them: a spec may, what is rendered shows them as escapes."""

FINE = (
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0915\u094d\u200d\u0937", "\U0001f469\u200d\U0001f4bb", "\u2764\ufe0f\u200d\U0001f525",
    "1\ufe0f\u20e3", "\u00a9\ufe0e", "caf\u00e9", "\u65e5\u672c\u8a9e", "a\u00a0b", "\u05e9\u05dc\u05d5\u05dd",
)  # fmt: skip
"""Persian, Hindi, emoji of several parts, a keycap: raw, in specs and in what is rendered."""

ALL = {name: f"safe{each}txt" for name, each in {**HIDDEN, **DIRECTIONS}.items()} | MISPLACED
