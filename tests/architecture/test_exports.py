"""`headrace/__init__.py` is a sorted list of public names and nothing else."""

import ast

import headrace
from tests.architecture import sources

INIT = sources.PACKAGE / "__init__.py"


def bound_names() -> set[str]:
    names: set[str] = set()
    for node in sources.tree(INIT).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
    return {name for name in names if not name.startswith("_")}


def test_exports_are_sorted_and_listed_once():
    assert list(headrace.__all__) == sorted(set(headrace.__all__))


def test_exports_name_every_public_name():
    assert {name for name in headrace.__all__ if not name.startswith("_")} == bound_names()


def test_exports_exist():
    assert [name for name in headrace.__all__ if not hasattr(headrace, name)] == []


def test_package_defines_nothing_itself():
    defined = [node for node in sources.tree(INIT).body if isinstance(node, ast.ClassDef | ast.FunctionDef)]

    assert defined == []
