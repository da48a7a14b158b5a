"""All mutations of a line of a kernel, and the line that can be either by the number in force.

(a) Only lines that are a statement by themselves: assignments, calls, returns, conditions, loops.
(b) NUMBER is a constant of the process, from the environment. A line becomes a choice between
    itself and its mutation; a declaration is divided into one and an assignment.
"""

import re
from typing import NamedTuple

TOKEN = re.compile(
    r"<=|>=|==|!=|<<|>>|\+=|-=|\*=|//|->|0x[0-9a-fA-F.]+(?:p[+-]?\d+)?f?|\d+\.?\d*(?:[eE][+-]?\d+)?f?"
    r"|[A-Za-z_]\w*|\S"
)
OTHER = {
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "+": "-",
    "-": "+",
    "*": "+",
    "//": "*",
    "+=": "-=",
    "-=": "+=",
    "&": "|",
    "|": "&",
    "<<": ">>",
    ">>": "<<",
    "and": "or",
    "or": "and",
    "not": "",
    "low": "high",
    "high": "low",
    "maximum": "minimum",
    "minimum": "maximum",
    "widen_low": "widen_high",
    "widen_high": "widen_low",
    "first": "second",
    "second": "first",
    "True": "False",
    "False": "True",
}
# Operators, unlike casts, templates, pointers and signs, have space around them.
SPACED = {"<", "<=", ">", ">=", "==", "!=", "+", "-", "*", "//", "&", "|", "<<", ">>"}
# The number only says which precision is meant.
HINT = re.compile(r"(?!broadcast|maximum|minimum)\w+\($")


class LineMutation(NamedTuple):
    """Line `line` of a file becomes `new`."""

    path: str
    line: int
    old: str
    new: str

    @property
    def change(self):
        """The line before and after."""
        return self.old, self.new


def _token_mutations(code):
    for match in TOKEN.finditer(code):
        token, start, stop = match.group(), match.start(), match.end()
        before, after = code[:start], code[stop:]
        if token in OTHER:
            is_spaced = before.endswith(" ") and after.startswith(" ")
            if token in SPACED and not is_spaced:
                continue
            yield before + OTHER[token] + after
        elif re.fullmatch(r"\d+", token):
            call = re.fullmatch(r"(.*)<\w+>", before)
            if call and after.startswith(")") and HINT.search(call[1]):
                continue
            yield before + str(int(token) + 1) + after
            if int(token) > 1:
                yield before + str(int(token) - 1) + after
        elif re.fullmatch(r"\d+\.\d*", token):
            yield before + str(float(token) + 1) + after


def _swapped(code):
    """Two neighbouring names in a call, each in the other's place."""
    for match in re.finditer(r"(?<=[(,] )(\w+), (\w+)(?=[,)])|(?<=\()(\w+), (\w+)(?=[,)])", code):
        first, second = (name for name in match.groups() if name)
        if not first[0].isdigit() and not second[0].isdigit():
            yield code[: match.start()] + f"{second}, {first}" + code[match.end() :]


SIMPLE = re.compile(r"\s+(?:[\w.\[\] +*-]+ (?:[-+*/&|]|//|>>|<<)?= .+|\w[\w.]*\(.*\)|return .+)$")
DECLARED = re.compile(r"(\s+)cdef ([\w\[\], ]+?[\w\]]\*?) (\w+) = (.+)$")
CONDITION = re.compile(r"(\s+)(if|elif|while) (.+):$")
LOOP = re.compile(r"(\s+)for (\w+) in range\((.+)\):$")


def _is_whole(lines, place):
    """Whether the statement begins and ends on this line."""
    line, before = lines[place], lines[place - 1].split("#")[0].rstrip()
    return line.count("(") == line.count(")") and not before.endswith(("(", ",", "\\", "["))


def cython_mutations(path, source):
    """All mutations of the functions of a Cython file."""
    lines, found, quoted = source.split("\n"), [], False
    inside = False
    depth = 0
    for place, text in enumerate(lines):
        marks = text.count('"""')
        was_quoted, quoted = quoted, quoted ^ (marks % 2 == 1)
        if re.match(r"\S", text):
            inside = bool(re.match(r"(cdef|def|cpdef)\b.*\(", text)) and "extern" not in text
            inside = inside or text.startswith(") ")
        outer = depth
        depth += text.count("(") + text.count("[") - text.count(")") - text.count("]")
        if was_quoted or marks or not inside or outer > 0 or not text.startswith("    "):
            continue
        code = text.split("  #")[0].rstrip()
        if not code.strip() or code.strip().startswith("#") or not _is_whole(lines, place):
            continue
        if CONDITION.match(code) or LOOP.match(code) or SIMPLE.match(code) or DECLARED.match(code):
            if re.search(r"\bmagic\b.*=.*\bmagic\b", code) and "cdef" in code:
                continue
            for new in sorted({*_token_mutations(code), *_swapped(code)} - {code}):
                found.append(LineMutation(path, place + 1, code, new))
            if SIMPLE.match(code) and not code.strip().startswith(("return", "cdef")):
                found.append(LineMutation(path, place + 1, code, ""))
    return found


def choose_cython(mutation, number):
    """The line that is itself, or its mutation if NUMBER is in force."""
    old, new = mutation.old, mutation.new
    chosen = f"NUMBER == {number}"
    if match := CONDITION.match(old):
        other = CONDITION.match(new)
        return f"{match[1]}{match[2]} (({other[3]}) if {chosen} else ({match[3]})):"
    if match := LOOP.match(old):
        other = LOOP.match(new)
        return (
            f"{match[1]}for {match[2]} in range({match[3]} + ({chosen})):"
            if other is None or "," in match[3]
            else f"{match[1]}for {match[2]} in range(({other[3]}) if {chosen} else ({match[3]})):"
        )
    if match := DECLARED.match(old):
        other = DECLARED.match(new)
        indent, kind, name = match[1], match[2], match[3]
        return (
            f"{indent}cdef {kind} {name}\n{indent}if {chosen}:\n{indent}    {name} = {other[4]}\n"
            f"{indent}else:\n{indent}    {name} = {match[4]}"
        )
    indent = old[: len(old) - len(old.lstrip())]
    if not new:
        return f"{indent}if NUMBER != {number}:\n    {old}"
    return f"{indent}if {chosen}:\n    {new}\n{indent}else:\n    {old}"


RETURN = re.compile(r"(.*?)\breturn ([^;]+);(.*)$")
CONSTANT = re.compile(r"(\s*static )constexpr (\w+ \w+\(\) \{ return )([^;]+)(; \}.*)$")


def header_mutations(path, source):
    """All mutations of results of a C++ header that stand on one line."""
    found = []
    for place, text in enumerate(source.split("\n")):
        if text.strip().startswith(("//", "#")):
            continue
        if match := CONSTANT.match(text):
            value = match[3]
            digit = re.search(r"\.[0-9a-f]+", value)
            if digit and "magic" not in text:
                last = "1" if value[digit.end() - 1] != "1" else "3"
                new = value[: digit.end() - 1] + last + value[digit.end() :]
                found.append(LineMutation(path, place + 1, text, f"{match[1]}{match[2]}{new};"))
        elif (match := RETURN.match(text)) and "constexpr" not in text:
            for new in sorted({*_token_mutations(match[2]), *_swapped(match[2])} - {match[2]}):
                found.append(
                    LineMutation(path, place + 1, text, f"{match[1]}return {new};{match[3]}")
                )
    return found


def choose_header(mutation, number):
    """The line of a header that returns one value or the other."""
    if match := CONSTANT.match(mutation.old):
        new = mutation.new[len(match[1] + match[2]) : -1]
        return f"{match[1]}{match[2]}number_in_force == {number} ? {new} : {match[3]}{match[4]}"
    match, other = RETURN.match(mutation.old), RETURN.match(mutation.new)
    return (
        f"{match[1]}{{ if (number_in_force == {number}) return {other[2]}; return {match[2]}; }}"
        f"{match[3]}"
    )
