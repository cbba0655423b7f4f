"""The layout of the source: which package may import which, where each library stays, and what every file must have.

`PACKAGES` declares each package with its layer. A file in a package that is not declared fails: there is no default.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from service.domain import errors
from service.entrypoints.responses.errors import ERRORS

ROOT = Path(__file__).resolve().parents[1]
TREES = ("service", "demo", "stripe_lookalike")
FILES = sorted(path for tree in TREES for path in (ROOT / tree).rglob("*.py"))
OWN = [path for path in FILES if path.is_relative_to(ROOT / "service")]

LAYERS = ("demo", "entrypoints", "composition", "use cases", "settings", "adapters", "domain")
"""From the outside in. A file imports from its own layer and from those further in."""

PACKAGES = {
    "demo": "demo",
    "demo.newspaper": "demo",
    "stripe_lookalike": "demo",
    "stripe_lookalike.api": "demo",
    "stripe_lookalike.domain": "demo",
    "stripe_lookalike.pages": "demo",
    "stripe_lookalike.shapes": "demo",
    "service": "composition",
    "service.entrypoints": "entrypoints",
    "service.entrypoints.cli": "entrypoints",
    "service.entrypoints.http": "entrypoints",
    "service.entrypoints.http.admin": "entrypoints",
    "service.entrypoints.http.api": "entrypoints",
    "service.entrypoints.http.openapi": "entrypoints",
    "service.entrypoints.processes": "entrypoints",
    "service.entrypoints.responses": "entrypoints",
    "service.use_cases": "use cases",
    "service.use_cases.access": "use cases",
    "service.use_cases.approvals": "use cases",
    "service.use_cases.checkout": "use cases",
    "service.use_cases.grants": "use cases",
    "service.use_cases.grants.imports": "use cases",
    "service.use_cases.imports": "use cases",
    "service.use_cases.lists": "use cases",
    "service.use_cases.operations": "use cases",
    "service.use_cases.privacy": "use cases",
    "service.use_cases.providers": "use cases",
    "service.use_cases.reporting": "use cases",
    "service.use_cases.story_passes": "use cases",
    "service.use_cases.subscriptions": "use cases",
    "service.use_cases.takeover": "use cases",
    "service.use_cases.takeover.formats": "use cases",
    "service.settings": "settings",
    "service.adapters": "adapters",
    "service.adapters.observability": "adapters",
    "service.adapters.openid": "adapters",
    "service.adapters.redis": "adapters",
    "service.adapters.redis.audit": "adapters",
    "service.adapters.redis.client": "adapters",
    "service.adapters.redis.embedded": "adapters",
    "service.adapters.redis.grants": "adapters",
    "service.adapters.redis.providers": "adapters",
    "service.adapters.redis.imports": "adapters",
    "service.adapters.redis.reader_lifecycle": "adapters",
    "service.adapters.redis.reader_index": "adapters",
    "service.adapters.redis.readers": "adapters",
    "service.adapters.redis.reporting": "adapters",
    "service.adapters.redis.service_state": "adapters",
    "service.adapters.redis.staff": "adapters",
    "service.adapters.redis.story_passes": "adapters",
    "service.adapters.redis.stripe_objects": "adapters",
    "service.adapters.stripe": "adapters",
    "service.domain": "domain",
}

ENTRYPOINT_IMPORTS = {
    ("service.entrypoints.cli", "service.entrypoints.processes"),  # `paywall serve` and `paywall worker` start them
    ("service.entrypoints.processes", "service.entrypoints.http"),  # the web server serves it
}
"""Of entrypoints, who imports whom. All may import `responses`, and `http` is one entrypoint with its subpackages."""

LIBRARIES = {
    "redis": "service.adapters.redis",
    "stripe": "service.adapters.stripe",
    "flask": "service.entrypoints.http",
    "werkzeug": "service.entrypoints.http",
    "joserfc": "service.adapters",
    "click": "service.entrypoints.cli",
}
"""Each library of the outside stays in one package of the service. The demo has a Flask of its own."""

LONGEST_FILE = 400
LONGEST_ROOT = 550
"""The composition root has a line for each component, and grows with the service."""
LONGEST_FUNCTION = 45
"""Lines, without those of the functions within it: of a blueprint's views each counts on its own."""
POSITIONAL = 6
SILENT = 4
"""Statements up to which a function's name and types may document it."""


# ------------------------------------------------------------------------------------------ reading the source


def name_of(path: Path) -> str:
    """Return a file's module name: `service.domain.decision`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


MODULES = {name_of(path): path for path in FILES}


def package_of(module: str) -> str:
    """Return the package that a module is in; a package is in itself."""
    is_package = module in MODULES and MODULES[module].name == "__init__.py"
    return module if is_package else module.rpartition(".")[0]


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, anywhere in it."""
    here = name_of(path).split(".") if path.name != "__init__.py" else [*name_of(path).split("."), ""]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = ".".join([*here[: -node.level], *filter(None, [node.module])]) if node.level else node.module or ""
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                yield inner if inner in MODULES else origin


def own_imports(path: Path) -> Iterator[str]:
    """Yield the modules of this project that a file imports."""
    yield from (module for module in imports(path) if module in MODULES)


def definitions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Yield every function and class of a file with its qualified name, those within functions left out."""

    def within(
        body: list[ast.stmt], prefix: str
    ) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from within(node.body, f"{prefix}{node.name}.")

    yield from within(tree(path).body, f"{path.relative_to(ROOT)}: ")


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


# -------------------------------------------------------------------------------------------- layers and packages


def test_every_file_is_in_a_declared_package() -> None:
    assert {package_of(name_of(path)) for path in FILES} == set(PACKAGES)
    assert set(PACKAGES.values()) <= set(LAYERS)


def test_imports_point_inward() -> None:
    def depth(module: str) -> int:
        return LAYERS.index(PACKAGES[package_of(module)])

    outward = {
        f"{name_of(path)} imports {module}"
        for path in FILES
        for module in own_imports(path)
        if depth(module) < depth(name_of(path))
    }
    assert outward == set()


def test_package_imports_have_no_cycle() -> None:
    edges: dict[str, set[str]] = defaultdict(set)
    for path in FILES:
        here = package_of(name_of(path))
        for module in own_imports(path):
            edges[here].add(package_of(module))
        edges[here] = {there for there in edges[here] if not nested(here, there)}
    assert circle_in(edges) is None
    areas: dict[str, set[str]] = defaultdict(set)
    for here, others in edges.items():
        areas[area(here)] |= {area(there) for there in others} - {area(here)}
    assert circle_in(areas) is None


def area(package: str) -> str:
    """Return the package at the third level: `service.use_cases.grants` for each of its subpackages."""
    return ".".join(package.split(".")[:3])


def nested(one: str, other: str) -> bool:
    """Return whether one package is the other, or lies within it: a package and its subpackages are one thing."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def circle_in(edges: dict[str, set[str]]) -> list[str] | None:
    """Return the packages of a circle, or `None`."""
    done: set[str] = set()

    def visit(package: str, above: list[str]) -> list[str] | None:
        if package in above:
            return [*above[above.index(package) :], package]
        if package in done:
            return None
        for other in sorted(edges.get(package, ())):
            if found := visit(other, [*above, package]):
                return found
        done.add(package)
        return None

    return next((found for package in sorted(edges) if (found := visit(package, []))), None)


def test_entrypoints_do_not_import_each_other() -> None:
    def entrypoint(module: str) -> str:
        return ".".join(module.split(".")[:3])

    crossings = set()
    for path in (ROOT / "service" / "entrypoints").rglob("*.py"):
        here = entrypoint(name_of(path))
        for module in own_imports(path):
            there = entrypoint(module)
            if module.startswith("service.entrypoints.") and there not in (here, "service.entrypoints.responses"):
                crossings.add((here, there))
    assert crossings - ENTRYPOINT_IMPORTS == set()


def test_each_library_stays_in_its_package() -> None:
    strangers = {
        f"{name_of(path)} imports {module}"
        for path in OWN
        for module in imports(path)
        if (home := LIBRARIES.get(module.split(".")[0])) and not f"{name_of(path)}.".startswith(f"{home}.")
    }
    assert strangers == set()


def test_newspaper_and_lookalike_import_only_themselves() -> None:
    for own in ("demo.newspaper", "stripe_lookalike"):
        for path in (ROOT / own.replace(".", "/")).rglob("*.py"):
            for module in own_imports(path):
                assert module.startswith(own), f"{path} imports {module}"


def test_service_does_not_import_demo() -> None:
    assert [
        name_of(path)
        for path in OWN
        if any(module.split(".")[0] in ("demo", "stripe_lookalike") for module in imports(path))
    ] == []


# ------------------------------------------------------------------------------------------------- pure rules

PURE = {
    "__future__", "bisect", "collections", "dataclasses", "datetime", "enum", "functools", "itertools", "json", "math",
    "operator", "re", "typing", "unicodedata",
}  # fmt: skip
"""The part of the standard library that has no clock, no environment and no input or output of its own."""

IMPURE = {"now", "utcnow", "today", "open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}


def test_domain_imports_only_the_pure_standard_library() -> None:
    for path in (ROOT / "service" / "domain").rglob("*.py"):
        for module in imports(path):
            assert module.startswith("service.domain") or module.split(".")[0] in PURE, f"{path} imports {module}"
    assert set(sys.stdlib_module_names) >= PURE


def test_domain_reads_no_clock_and_does_no_io() -> None:
    for path in (ROOT / "service" / "domain").rglob("*.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                pure = called == "re.compile" or called.split(".")[-1] not in IMPURE
                assert pure, f"{path}:{node.lineno} calls {called}"


# ------------------------------------------------------------------------------------- nothing happens at import

WATCH = """
import importlib, sys, threading

FORBIDDEN = {"socket.connect", "socket.getaddrinfo", "socket.sendto", "_thread.start_new_thread",
             "_thread.start_joinable_thread", "subprocess.Popen", "os.fork", "os.posix_spawn", "os.system"}

def watch(event, args):
    if event in FORBIDDEN:
        raise SystemExit(f"{event} while {current} was imported")

current = ""
sys.addaudithook(watch)
for current in sys.argv[1:]:
    importlib.import_module(current)
    if threading.active_count() > 1:  # Python 3.11 does not yet report threads to the hook.
        raise SystemExit(f"a thread runs since {current} was imported")
print(len(sys.argv) - 1)
"""


def test_import_opens_no_connection_and_starts_no_thread_or_process() -> None:
    names = [name_of(path) for path in FILES if path.name != "__main__.py"]
    command = [sys.executable, "-c", WATCH, *names]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, str(len(names))), done.stderr


def at_import(path: Path) -> Iterator[ast.AST]:
    """Yield what runs when a file is imported: all but the bodies of functions, and `if __name__ == "__main__"`."""
    waiting: list[ast.AST] = list(tree(path).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and "__name__" in ast.unparse(node.test):
            continue
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif not isinstance(node, ast.Lambda):
            waiting += ast.iter_child_nodes(node)


def test_environment_is_not_read_at_import() -> None:
    reading = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        for node in at_import(path)
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node).split(".")[-1] in ("environ", "getenv")
    ]
    assert reading == []


# --------------------------------------------------------------------------------------------- the error table


def test_each_domain_exception_has_exactly_one_row_in_the_error_table() -> None:
    raised = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    leaves = [kind for kind in raised if not any(other is not kind and issubclass(other, kind) for other in raised)]
    assert sorted(row.error.__name__ for row in ERRORS) == sorted(kind.__name__ for kind in leaves)


# ----------------------------------------------------------------------------------------------- names and sizes


def test_file_names_are_not_generic() -> None:
    shelves = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
    assert not {part for path in FILES for part in path.relative_to(ROOT).with_suffix("").parts} & shelves


def test_tests_are_in_the_folders_of_what_they_test() -> None:
    """Besides, whole parts are tested in folders of their own, such as `e2e`."""
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    layers = {path.name for path in (ROOT / "service").iterdir() if path.is_dir()}
    mirrored = {folder for folder in folders if folder.parts and folder.parts[0] in layers}
    assert mirrored
    assert [str(folder) for folder in mirrored if not (ROOT / "service" / folder).is_dir()] == []


def test_no_file_is_longer_than_the_limit() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert lengths.pop("service/bootstrap.py") <= LONGEST_ROOT
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_longer_than_the_limit() -> None:
    lengths = {f"{path.relative_to(ROOT)}: {node.name}": own_lines(node) for path in FILES for node in functions(path)}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def own_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function without those of the functions that are directly in it."""
    within = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return lines(node) - sum(map(lines, within))


def lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_function_takes_more_than_six_positional_parameters() -> None:
    assert [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in FILES
        for node in functions(path)
        if positional(node) > POSITIONAL and not node.decorator_list
    ] == []


def positional(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the positional parameters of a function, `self` and `cls` left out."""
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def test_every_public_module_class_and_function_has_a_docstring() -> None:
    silent = [str(path.relative_to(ROOT)) for path in OWN if not ast.get_docstring(tree(path))]
    for path in OWN:
        for name, node in definitions(path):
            public = not any(part.startswith("_") for part in name.split(": ")[1].split("."))
            if public and not is_plain(node) and not ast.get_docstring(node):
                silent.append(name)
    assert silent == []


def is_plain(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Return whether a node is a few statements under a good name, or a class that is a list of fields (a schema)."""
    return isinstance(node.body[0], ast.Assign) if isinstance(node, ast.ClassDef) else len(node.body) <= SILENT


def test_no_todo_marks_and_no_print_calls() -> None:
    marks = ("TODO", "FIXME", "XXX", "NotImplemented")
    found = [f"{path.relative_to(ROOT)}: {mark}" for path in FILES for mark in marks if mark in path.read_text("utf-8")]
    for path in OWN:
        calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
        printed = [node for node in calls if ast.unparse(node.func) in ("print", "breakpoint")]
        found += [f"{path.relative_to(ROOT)}:{node.lineno}: print" for node in printed]
    assert found == []


def test_paths_in_contributing_exist() -> None:
    named = re.findall(
        r"`((?:service|tests|docs|config|demo|stripe_lookalike|bench)/[\w./-]*)`",
        (ROOT / "CONTRIBUTING.md").read_text(),
    )
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_class_names_are_unique() -> None:
    names = Counter(
        node.name
        for path in FILES
        for node in tree(path).body
        if isinstance(node, ast.ClassDef) and name_of(path).startswith("service.") and not node.name.startswith("_")
    )
    assert {name for name, count in names.items() if count > 1} == set()
