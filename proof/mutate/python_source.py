"""All mutations of a Python file, each a piece of text in the place of another."""

import ast
from typing import NamedTuple


class Mutation(NamedTuple):
    """`old`, which begins at this line and column, becomes `new`."""

    path: str
    line: int
    column: int
    old: str
    new: str
    text: str  # the lines that have it

    @property
    def change(self):
        """These lines before and after."""
        behind = self.text[self.column + len(self.old) :]
        return self.text, self.text[: self.column] + self.new + behind

    def apply(self, source):
        """The source with the mutation."""
        lines = source.split("\n")
        start = sum(len(line) + 1 for line in lines[: self.line - 1]) + self.column
        assert source[start : start + len(self.old)] == self.old, self
        return source[:start] + self.new + source[start + len(self.old) :]


_OPERATORS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "+"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}


class _Finder(ast.NodeVisitor):
    def __init__(self, path, source):
        self.path, self.source = path, source
        self.lines = source.split("\n")
        self.found = []
        self.visit(ast.parse(source))

    def _offset(self, line, column):
        # ast counts bytes; the sources are ASCII.
        return sum(len(text) + 1 for text in self.lines[: line - 1]) + column

    def _add(self, line, column, old, new):
        text = "\n".join(self.lines[line - 1 : line + old.count("\n")])
        self.found.append(Mutation(self.path, line, column, old, new, text))

    def _replace(self, node, new):
        self._add(node.lineno, node.col_offset, ast.get_source_segment(self.source, node), new)

    def _between(self, left, right, operator):
        """The operator that stands between two expressions."""
        old, new = _OPERATORS.get(type(operator), (None, None))
        if old is None:
            return
        start = self._offset(left.end_lineno, left.end_col_offset)
        stop = self._offset(right.lineno, right.col_offset)
        place = self.source.find(old, start, stop)
        if place >= 0:
            line = self.source.count("\n", 0, place) + 1
            self._add(line, place - self._offset(line, 0), old, new)

    def visit_Compare(self, node):
        for left, operator, right in zip(
            [node.left, *node.comparators], node.ops, node.comparators, strict=False
        ):
            self._between(left, right, operator)
        self.generic_visit(node)

    def visit_BinOp(self, node):
        self._between(node.left, node.right, node.op)
        self.generic_visit(node)

    def visit_BoolOp(self, node):
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, node.op)
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if isinstance(node.op, ast.Not | ast.USub | ast.Invert):
            self._replace(node, f"({ast.unparse(node.operand)})")
        self.generic_visit(node)

    def visit_Constant(self, node):
        value = node.value
        if isinstance(value, bool):
            self._replace(node, repr(not value))
        elif isinstance(value, int):
            self._replace(node, repr(value + 1))
            if value:
                self._replace(node, repr(value - 1))
        elif isinstance(value, float):
            self._replace(node, repr(value + 1))

    def visit_Call(self, node):
        if len(node.args) > 1 and not any(isinstance(a, ast.Starred) for a in node.args[:2]):
            first, second = (ast.get_source_segment(self.source, a) for a in node.args[:2])
            start = self._offset(node.args[0].lineno, node.args[0].col_offset)
            stop = self._offset(node.args[1].end_lineno, node.args[1].end_col_offset)
            old = self.source[start:stop]
            if first != second:
                arg = node.args[0]
                self._add(arg.lineno, arg.col_offset, old, f"{second}, {first}")
        for keyword in node.keywords:
            if isinstance(keyword.value, ast.Name):
                self._replace(keyword.value, "None")
        self.generic_visit(node)

    def _drop(self, node):
        self._replace(node, "pass")

    def visit_Expr(self, node):
        if not isinstance(node.value, ast.Constant):  # a docstring
            self._drop(node)
            self.generic_visit(node)

    def visit_AugAssign(self, node):
        self._drop(node)
        self._between(node.target, node.value, node.op)
        self.generic_visit(node)

    def visit_Assign(self, node):
        if isinstance(node.targets[0], ast.Subscript | ast.Attribute):
            self._drop(node)
        self.generic_visit(node)

    def visit_Raise(self, node):
        self._drop(node)

    def visit_If(self, node):
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return
        if not isinstance(node.test, ast.UnaryOp):
            self._replace(node.test, f"not ({ast.get_source_segment(self.source, node.test)})")
        self.generic_visit(node)

    def visit_IfExp(self, node):
        self._replace(node.test, f"not ({ast.get_source_segment(self.source, node.test)})")
        self.generic_visit(node)

    def visit_FunctionDef(self, node):
        if any(isinstance(d, ast.Name) and d.id == "overload" for d in node.decorator_list):
            return
        for statement in node.body:
            self.visit(statement)
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)

    def visit_AnnAssign(self, node):
        if node.value is not None:
            self.visit(node.value)


def mutations(path, source):
    """All mutations of the source of this path that are still Python."""
    found = []
    for mutation in _Finder(path, source).found:
        try:
            compile(mutation.apply(source), path, "exec")
        except (SyntaxError, ValueError):
            continue
        found.append(mutation)
    return found
