"""Regular-expression subscriptions: RE2 syntax over topic names, matched in linear time.

In: a pattern as the RE2/J library of Kafka 4.3.0 accepts it (Perl flavour), and topic names. Out: a `Regex`,
or `RegexError` with the words that library uses. What must hold: a match costs at most (length of the name) x
(size of the program) steps, whatever the pattern; a program is bounded by `MAX_PROGRAM`; the answers are
those of RE2/J for every legal topic name.

Legal topic names are ASCII, so a set of characters is an int with one bit per ASCII character. Two more bits
stand for the only other characters that case folding ties to ASCII letters, and one for all the rest, which
transactional ids may have: `.` and negated classes match it, while what a pattern names of it (Greek letters,
say) is checked and then matches nothing.

A pattern becomes a program of a nondeterministic machine. Matching builds the states of the deterministic one
as it meets them and remembers them, as RE2 does: after a few names a step is one dict lookup.
"""

from __future__ import annotations

import unicodedata
from typing import Any, Final

MAX_PROGRAM: Final = 10_000
"""Instructions of one program; RE2/J has no bound of its own."""
MAX_NESTING: Final = 200
"""Groups within groups; RE2/J ends with a stack overflow somewhere above."""
_MAX_REPEAT: Final = 1000
_MAX_REMEMBERED: Final = 100_000
"""Instructions in all remembered states of a deterministic machine; with more it starts afresh."""


class RegexError(ValueError):
    """The pattern is not valid; the message is RE2/J's description."""


# --- characters ---

_ASCII: Final = 128
_LONG_S, _KELVIN = 0x17F, 0x212A
# No code point: any character that is not listed before it.
_OTHER: Final = 0x110000
_ALPHABET: Final = (*range(_ASCII), _LONG_S, _KELVIN, _OTHER)
_ALL: Final = (1 << len(_ALPHABET)) - 1
_BIT: Final = {code: 1 << index for index, code in enumerate(_ALPHABET)}


def _mask(first: int, last: int) -> int:
    """The characters of an inclusive range of code points."""
    mask = 0
    if first < _ASCII:
        mask = (1 << (min(last, _ASCII - 1) + 1)) - (1 << first)
    for code in (_LONG_S, _KELVIN):
        if first <= code <= last:
            mask |= _BIT[code]
    return mask


def _chars(text: str) -> int:
    mask = 0
    for char in text:
        mask |= _BIT[ord(char)]
    return mask


_FOLDS: Final = (
    *(_chars(chr(code) + chr(code + 32)) for code in range(ord("A"), ord("Z") + 1)),
    _chars("sS") | _BIT[_LONG_S],
    _chars("kK") | _BIT[_KELVIN],
)


def _folded(mask: int) -> int:
    """A set of characters with all their other cases."""
    for fold in _FOLDS:
        if mask & fold:
            mask |= fold
    return mask


_DIGIT, _UPPER, _LOWER = _mask(48, 57), _mask(65, 90), _mask(97, 122)
_ALPHA = _UPPER | _LOWER
_WORD = _ALPHA | _DIGIT | _chars("_")
_PUNCT = _mask(33, 47) | _mask(58, 64) | _mask(91, 96) | _mask(123, 126)
_PERL: Final = {"d": _DIGIT, "s": _chars("\t\n\f\r "), "w": _WORD}
_POSIX: Final = {
    "alnum": _ALPHA | _DIGIT,
    "alpha": _ALPHA,
    "ascii": _mask(0, 127),
    "blank": _chars("\t "),
    "cntrl": _mask(0, 31) | _mask(127, 127),
    "digit": _DIGIT,
    "graph": _mask(33, 126),
    "lower": _LOWER,
    "print": _mask(32, 126),
    "punct": _PUNCT,
    "space": _chars("\t\n\v\f\r "),
    "upper": _UPPER,
    "word": _WORD,
    "xdigit": _DIGIT | _mask(65, 70) | _mask(97, 102),
}
_CATEGORIES: Final = (
    "C Cc Cf Co Cs L Ll Lm Lo Lt Lu M Mc Me Mn N Nd Nl No P Pc Pd Pe Pf Pi Po Ps S Sc Sk Sm So Z Zl Zp Zs"
)
# The scripts of RE2/J 1.8. Only Latin and Common have characters that matter here.
_SCRIPTS: Final = """
    Arabic Armenian Avestan Balinese Bamum Batak Bengali Bopomofo Brahmi Braille Buginese Buhid
    Canadian_Aboriginal Carian Cham Cherokee Coptic Cuneiform Cypriot Cyrillic Deseret Devanagari
    Egyptian_Hieroglyphs Ethiopic Georgian Glagolitic Gothic Greek Gujarati Gurmukhi Han Hangul Hanunoo Hebrew
    Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi Inscriptional_Parthian Javanese Kaithi Kannada
    Katakana Kayah_Li Kharoshthi Khmer Lao Lepcha Limbu Linear_B Lisu Lycian Lydian Malayalam Mandaic
    Meetei_Mayek Mongolian Myanmar New_Tai_Lue Nko Ogham Ol_Chiki Old_Italic Old_Persian Old_South_Arabian
    Old_Turkic Oriya Osmanya Phags_Pa Phoenician Rejang Runic Samaritan Saurashtra Shavian Sinhala Sundanese
    Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Tamil Telugu Thaana Thai Tibetan Tifinagh
    Ugaritic Unknown Vai Yi"""


def _unicode_classes() -> dict[str, int]:
    classes = dict.fromkeys(_CATEGORIES.split() + _SCRIPTS.split(), 0)
    for code in _ALPHABET[:-1]:
        category = unicodedata.category(chr(code))
        classes[category] |= _BIT[code]
        classes[category[0]] |= _BIT[code]
    classes["Any"] = _ALL
    classes["Latin"] = classes["L"]
    classes["Common"] = _ALL & ~classes["L"]
    return classes


_UNICODE: Final = _unicode_classes()

# --- syntax ---

# A node is (kind, ...): CHARS mask | CAT nodes | ALT nodes | REPEAT node minimum maximum | ASSERT what.
_CHARS, _CAT, _ALT, _REPEAT, _ASSERT = range(5)
_BEGIN, _END, _BOUNDARY, _NO_BOUNDARY = range(4)
_Node = tuple[Any, ...]

_BAD_RANGE: Final = "invalid character class range"
_BAD_ESCAPE: Final = "invalid escape sequence"
_BAD_CAPTURE: Final = "invalid named capture"
_NO_BRACKET: Final = "missing closing ]"
_NO_PAREN: Final = "missing closing )"
_ESCAPES: Final = {"a": 7, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}
_OCTAL: Final = "01234567"
_HEX: Final = "0123456789abcdefABCDEF"


class _Group:
    """An open parenthesis, or the whole pattern."""

    __slots__ = ("alternatives", "fold", "newline", "sequence")

    def __init__(self, fold: bool, newline: bool) -> None:
        self.alternatives: list[_Node] = []
        self.sequence: list[_Node] = []
        # What holds again after it.
        self.fold = fold
        self.newline = newline

    def close(self) -> _Node:
        if not self.alternatives:
            return (_CAT, self.sequence)
        return (_ALT, [*self.alternatives, (_CAT, self.sequence)])


class _Parser:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self._position = 0
        self._fold = False
        self._newline = False
        self._groups = [_Group(False, False)]
        self._names: set[str] = set()

    def parse(self) -> _Node:
        pattern, end = self._pattern, len(self._pattern)
        repeated = False
        while self._position < end:
            char = pattern[self._position]
            if char in "*+?":
                self._position += 1
                self._repeat(repeated, *{"*": (0, None), "+": (1, None), "?": (0, 1)}[char])
                repeated = True
                continue
            if char == "{" and (bounds := self._bounds()) is not None:
                self._repeat(repeated, *bounds)
                repeated = True
                continue
            repeated = False
            self._item(char)
        if len(self._groups) != 1:
            raise RegexError(_NO_PAREN)
        return self._groups[0].close()

    def _push(self, node: _Node) -> None:
        self._groups[-1].sequence.append(node)

    def _push_chars(self, mask: int) -> None:
        self._push((_CHARS, mask))

    def _literal(self, code: int) -> None:
        mask = _BIT.get(code, 0)
        self._push_chars(_folded(mask) if self._fold else mask)

    def _item(self, char: str) -> None:
        """Everything but repetitions."""
        pattern = self._pattern
        if char == "(":
            if pattern.startswith("(?", self._position):
                self._flags()
            else:
                self._position += 1
                self._open()
        elif char == "\\":
            self._backslash()
        elif char == "[":
            self._push_chars(self._class())
        else:
            self._position += 1
            if char == "|":
                group = self._groups[-1]
                group.alternatives.append((_CAT, group.sequence))
                group.sequence = []
            elif char == ")":
                if len(self._groups) == 1:
                    # RE2/J's own words for a parenthesis too many.
                    raise RegexError("regexp/syntax: internal error")
                group = self._groups.pop()
                self._fold, self._newline = group.fold, group.newline
                self._push(group.close())
            elif char == "^":
                self._push((_ASSERT, _BEGIN))
            elif char == "$":
                self._push((_ASSERT, _END))
            elif char == ".":
                self._push_chars(_ALL if self._newline else _ALL & ~_BIT[10])
            else:
                self._literal(ord(char))

    def _open(self) -> None:
        if len(self._groups) > MAX_NESTING:
            raise RegexError("expression nests too deeply")
        self._groups.append(_Group(self._fold, self._newline))

    def _repeat(self, repeated: bool, minimum: int, maximum: int | None) -> None:
        if self._pattern.startswith("?", self._position):
            # Lazy or greedy makes no difference to whether a whole name matches.
            self._position += 1
        if repeated:
            raise RegexError("invalid nested repetition operator")
        sequence = self._groups[-1].sequence
        if not sequence:
            raise RegexError("missing argument to repetition operator")
        sequence[-1] = (_REPEAT, sequence[-1], minimum, maximum)

    def _bounds(self) -> tuple[int, int | None] | None:
        """`{n}`, `{n,}`, `{n,m}`; None, with nothing read, when the brace is a literal."""
        pattern = self._pattern
        close = pattern.find("}", self._position)
        if close < 0:
            return None
        first, comma, last = pattern[self._position + 1 : close].partition(",")
        if not _is_count(first) or (last and not _is_count(last)):
            return None
        minimum = int(first) if len(first) <= 8 else -1
        maximum = minimum
        if comma:
            maximum = (int(last) if len(last) <= 8 else _MAX_REPEAT + 1) if last else -1
        unbounded = bool(comma) and not last
        if not 0 <= minimum <= _MAX_REPEAT or (not unbounded and not minimum <= maximum <= _MAX_REPEAT):
            raise RegexError("invalid repeat count")
        self._position = close + 1
        return minimum, None if unbounded else maximum

    def _flags(self) -> None:
        """`(?flags)`, `(?flags:`, `(?P<name>`, `(?<name>`."""
        pattern, start = self._pattern, self._position
        for opening in ("(?P<", "(?<"):
            if pattern.startswith(opening, start):
                close = pattern.find(">", start)
                name = pattern[start + len(opening) : max(close, 0)]
                if not all(char == "_" or (char.isascii() and char.isalnum()) for char in name) or not name:
                    raise RegexError(_BAD_CAPTURE)
                if name in self._names:
                    raise RegexError("duplicate capture group name")
                self._names.add(name)
                self._position = close + 1
                self._open()
                return
        fold, newline = self._fold, self._newline
        value, saw_flag = True, False
        for position in range(start + 2, len(pattern)):
            char = pattern[position]
            if char == "-" and value:
                value, saw_flag = False, False
            elif char in "imsU":
                saw_flag = True
                if char == "i":
                    fold = value
                elif char == "s":
                    newline = value
            elif char in ":)" and (value or saw_flag):
                if char == ":":
                    self._open()
                self._fold, self._newline = fold, newline
                self._position = position + 1
                return
            else:
                break
        raise RegexError("invalid or unsupported Perl syntax")

    def _backslash(self) -> None:
        pattern, position = self._pattern, self._position
        after = pattern[position + 1 : position + 2]
        if after in ("A", "z", "b", "B"):
            what = {"A": _BEGIN, "z": _END, "b": _BOUNDARY, "B": _NO_BOUNDARY}[after]
            self._push((_ASSERT, what))
            self._position += 2
        elif after == "Q":
            close = pattern.find("\\E", position + 2)
            quoted = pattern[position + 2 : close if close >= 0 else len(pattern)]
            self._position = position + 2 + len(quoted) + 2
            for char in quoted:
                self._literal(ord(char))
        elif (mask := self._class_escape()) is not None:
            self._push_chars(mask)
        else:
            self._literal(self._escape())

    def _class_escape(self) -> int | None:
        r"""`\d`, `\pN`, `\p{Greek}` and their opposites; None, with nothing read, when there is none."""
        pattern, position = self._pattern, self._position
        if not pattern.startswith("\\", position):
            return None
        kind = pattern[position + 1 : position + 2]
        if kind in ("p", "P"):
            name = pattern[position + 2 : position + 3]
            end = position + 3
            if name == "{":
                close = pattern.find("}", position)
                name = pattern[position + 3 : close] if close >= 0 else ""
                end = close + 1
            negated = kind == "P"
            if name.startswith("^"):
                negated, name = not negated, name[1:]
            mask = _UNICODE.get(name)
            if mask is None:
                raise RegexError(_BAD_RANGE)
        elif kind.lower() in _PERL:
            mask, negated, end = _PERL[kind.lower()], kind.isupper(), position + 2
        else:
            return None
        self._position = end
        if self._fold:
            mask = _folded(mask)
        return _ALL & ~mask if negated else mask

    def _escape(self) -> int:
        """The code point of an escaped character."""
        pattern, position = self._pattern, self._position + 1
        if position >= len(pattern):
            raise RegexError("trailing backslash at end of expression")
        char = pattern[position]
        self._position = position + 1
        if char in _ESCAPES:
            return _ESCAPES[char]
        if char in _OCTAL and (char == "0" or pattern[position + 1 : position + 2] in tuple(_OCTAL)):
            end = position + 1
            while end < position + 3 and end < len(pattern) and pattern[end] in _OCTAL:
                end += 1
            self._position = end
            return int(pattern[position:end], 8)
        if char == "x":
            if pattern.startswith("{", position + 1):
                close = pattern.find("}", position)
                digits = pattern[position + 2 : max(close, 0)]
                end = close + 1
            else:
                digits = pattern[position + 1 : position + 3]
                end = position + 3 if len(digits) == 2 else 0
            if digits and end > 0 and all(digit in _HEX for digit in digits):
                code = int(digits.lstrip("0")[:7] or "0", 16)
                if code <= 0x10FFFF:
                    self._position = end
                    return code
        elif not (char.isascii() and char.isalnum()):
            return ord(char)
        raise RegexError(_BAD_ESCAPE)

    def _class(self) -> int:
        """`[...]`."""
        pattern = self._pattern
        self._position += 1
        negated = pattern.startswith("^", self._position)
        self._position += negated
        mask, first = 0, True
        while first or not pattern.startswith("]", self._position):
            first = False
            if (
                pattern.startswith("[:", self._position)
                and (close := pattern.find(":]", self._position)) >= 0
            ):
                # The end may overlap the start, as in "[:]": then there is no such class.
                name = pattern[self._position + 2 : close]
                known = _POSIX.get(name.removeprefix("^")) if close >= self._position + 2 else None
                if known is None:
                    raise RegexError(_BAD_RANGE)
                item = _folded(known) if self._fold else known
                mask |= _ALL & ~item if name.startswith("^") else item
                self._position = close + 2
                continue
            if (escaped := self._class_escape()) is not None:
                mask |= escaped
                continue
            low = high = self._class_char()
            if pattern.startswith("-", self._position) and not pattern.startswith("-]", self._position):
                self._position += 1
                high = self._class_char()
                if high < low:
                    raise RegexError(_BAD_RANGE)
            item = _mask(low, high)
            mask |= _folded(item) if self._fold else item
        self._position += 1
        return _ALL & ~mask if negated else mask

    def _class_char(self) -> int:
        if self._position >= len(self._pattern):
            raise RegexError(_NO_BRACKET)
        char = self._pattern[self._position]
        if char == "\\":
            return self._escape()
        self._position += 1
        return ord(char)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")


# --- program ---

# An instruction is a mask and the next instruction, or one of these below 0 with what it needs.
_SPLIT, _CHECK, _MATCH = -1, -2, -3


class _Compiler:
    """From the tree to a program, back to front: every node knows what follows it."""

    def __init__(self) -> None:
        self.program: list[tuple[int, Any, Any]] = [(_MATCH, 0, 0)]
        self._visits = 0

    def _emit(self, operation: int, first: Any, second: Any) -> int:
        if len(self.program) >= MAX_PROGRAM:
            raise RegexError("expression too large")
        self.program.append((operation, first, second))
        return len(self.program) - 1

    def add(self, node: _Node, after: int) -> int:
        """The entry of a node whose successor is the instruction `after`."""
        # Nodes that emit nothing are counted too: "((){1000}){1000}" has a million of them.
        self._visits += 1
        if self._visits > 10 * MAX_PROGRAM:
            raise RegexError("expression too large")
        kind = node[0]
        if kind == _CHARS:
            return self._emit(node[1], after, 0)
        if kind == _CAT:
            for child in reversed(node[1]):
                after = self.add(child, after)
            return after
        if kind == _ALT:
            entry = -1
            for child in reversed(node[1]):
                start = self.add(child, after)
                entry = start if entry < 0 else self._emit(_SPLIT, start, entry)
            return entry
        if kind == _ASSERT:
            return self._emit(_CHECK, node[1], after)
        _, child, minimum, maximum = node
        if maximum is None:
            # The split is made first, because the body leads back to it.
            loop = self._emit(_SPLIT, 0, after)
            body = self.add(child, loop)
            self.program[loop] = (_SPLIT, body, after)
            after = loop
        else:
            last = after
            for _ in range(maximum - minimum):
                after = self._emit(_SPLIT, self.add(child, after), last)
        for _ in range(minimum):
            after = self.add(child, after)
        return after


_AT_BEGIN, _AFTER_WORD, _AFTER_OTHER = range(3)


class _State:
    """A state of the deterministic machine: what may come next after some beginning of a name."""

    __slots__ = ("accepts", "before", "pending", "steps")

    def __init__(self, pending: tuple[int, ...], before: int) -> None:
        self.pending = pending
        # What the last character was, for the assertions.
        self.before = before
        self.steps: dict[str, _State] = {}
        self.accepts: bool | None = None


class Regex:
    """A compiled pattern. `work` counts the instructions that matching had to look at."""

    __slots__ = ("_program", "_remembered", "_start", "_states", "pattern", "work")

    def __init__(self, pattern: str) -> None:
        """RegexError when the pattern is not valid."""
        self.pattern = pattern
        compiler = _Compiler()
        entry = compiler.add(_Parser(pattern).parse(), 0)
        self._program = compiler.program
        self._start = (entry,)
        self._states: dict[tuple[tuple[int, ...], int], _State] = {}
        self._remembered = 0
        self.work = 0

    def matches(self, name: str) -> bool:
        """Whether the whole of a name matches."""
        state = self._state(self._start, _AT_BEGIN)
        self.work += len(name) + 1
        for char in name:
            following = state.steps.get(char)
            if following is None:
                following = self._step(state, char)
            state = following
            if not state.pending:
                return False
        if state.accepts is None:
            state.accepts = self._accepts(state)
        return state.accepts

    def _state(self, pending: tuple[int, ...], before: int) -> _State:
        key = (pending, before)
        state = self._states.get(key)
        if state is None:
            self._remembered += len(pending) + 1
            if self._remembered > _MAX_REMEMBERED:
                self._states.clear()
                self._remembered = 0
            state = self._states[key] = _State(pending, before)
        return state

    def _step(self, state: _State, char: str) -> _State:
        bit = _BIT.get(ord(char), _BIT[_OTHER])
        word = bool(bit & _WORD)
        program = self._program
        # A dict, for a set with an order.
        pending: dict[int, None] = {}
        for pc in self._reachable(state, word, at_end=False):
            operation, after, _ = program[pc]
            if operation >= 0 and operation & bit:
                pending[after] = None
        following = self._state(tuple(sorted(pending)), _AFTER_WORD if word else _AFTER_OTHER)
        if len(state.steps) < len(_ALPHABET):
            state.steps[char] = following
        return following

    def _accepts(self, state: _State) -> bool:
        program = self._program
        return any(program[pc][0] == _MATCH for pc in self._reachable(state, word=False, at_end=True))

    def _reachable(self, state: _State, word: bool, at_end: bool) -> list[int]:
        """Instructions that are not followed blindly, reached from a state when this comes next."""
        program = self._program
        boundary = (state.before == _AFTER_WORD) != word
        stack, seen = list(state.pending), set(state.pending)
        found: list[int] = []
        while stack:
            pc = stack.pop()
            operation, first, second = program[pc]
            targets: tuple[int, ...]
            if operation == _SPLIT:
                targets = (first, second)
            elif operation == _CHECK:
                if first == _BEGIN:
                    holds = state.before == _AT_BEGIN
                elif first == _END:
                    holds = at_end
                else:
                    holds = boundary == (first == _BOUNDARY)
                targets = (second,) if holds else ()
            else:
                found.append(pc)
                continue
            for target in targets:
                if target not in seen:
                    seen.add(target)
                    stack.append(target)
        self.work += len(seen)
        return found
