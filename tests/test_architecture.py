"""The house as it stands: which room may know which, what a room may touch, and how long a page may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SERVICE = ROOT / "service"
FILES = sorted(SERVICE.rglob("*.py"))
OWN = [path for path in FILES if "demo" not in path.relative_to(SERVICE).parts[:1]]

OUTSIDE = {
    "app",
    "site",
    "reports",
    "cli",
    "worker",
    "serve",
    "server",
    "settings",
    "environment",
    "openid_settings",
    "policy",
    "policy_file",
    "checkup",
    "upkeep",
}
"""What puts the service together, from settings to commands."""
LEAVES = {"paywall", "sealing", "observe"}
"""What knows nothing of the rest."""

LONGEST_FILE = 300
LONGEST_FUNCTION = 40
"""Lines, without those of the functions within it: of a blueprint's views each is its own."""
SILENT = 4
"""Statements up to which a function's name and types may say all that there is to say."""


# ---------------------------------------------------------------------------------------------- reading the house


def name_of(path: Path) -> str:
    """A file as Python imports it: `service.web.access`."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def imports(path: Path) -> Iterator[str]:
    """All that a file imports, anywhere in it, as full names."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            here = name_of(path).split(".") if path.name != "__init__.py" else [*name_of(path).split("."), ""]
            origin = ".".join([*here[: -node.level], *filter(None, [node.module])]) if node.level else node.module
            # `from service import serve` names a module as well as `from service.serve import run` does.
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def room_of(name: str) -> str:
    """`service.web.access.question_of` is in the room `web`; what is no part of the service in `""`."""
    parts = name.split(".")
    return parts[1] if parts[0] == "service" and len(parts) > 1 else ""


def floor_of(room: str) -> int:
    """Imports go to a higher number, or stay where they are. A file of its own that is not placed is in the middle."""
    if room in OUTSIDE:
        return 0
    if room in LEAVES:
        return 4
    return {"demo": -1, "web": 1, "store": 3, "billing": 3}.get(room, 2)


def importers_of(package: str) -> set[str]:
    """The files that import a package, as names."""
    return {name_of(path) for path in FILES if any(each.split(".")[0] == package for each in imports(path))}


def definitions(path: Path) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
    """Every function and class of a file with its qualified name, those within functions left out."""

    def within(
        body: list[ast.stmt], prefix: str
    ) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from within(node.body, f"{prefix}{node.name}.")

    yield from within(tree(path).body, f"{path.relative_to(ROOT)}: ")


def at_import(path: Path) -> Iterator[ast.AST]:
    """What runs when a file is imported: everything but the bodies of functions, and `if __name__ == "__main__"`."""
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


# ------------------------------------------------------------------------------------------- who may know whom


def test_imports_point_inward() -> None:
    outward = [
        f"{name_of(path)} imports {name}"
        for path in OWN
        for name in imports(path)
        if room_of(name) and floor_of(room_of(name)) < floor_of(room_of(name_of(path))) and room_of(name) != "demo"
    ]
    assert outward == []


def test_the_store_and_billing_know_neither_each_other_nor_the_web() -> None:
    for room, others in {"store": {"billing"}, "billing": {"store"}}.items():
        known = {
            room_of(name) or name.split(".")[0] for path in (SERVICE / room).rglob("*.py") for name in imports(path)
        }
        assert not known & {*others, "flask", "web", "werkzeug"}


def test_the_leaves_know_nothing_of_the_service() -> None:
    known = {
        f"{name_of(path)} imports {name}"
        for path in OWN
        for name in imports(path)
        if room_of(name_of(path)) in LEAVES and room_of(name) not in ("", room_of(name_of(path)))
    }
    assert known == set()


def test_only_the_store_imports_redis() -> None:
    assert {room_of(name) for name in importers_of("redis")} <= {"store"}


def test_only_billing_imports_stripe() -> None:
    assert {room_of(name) for name in importers_of("stripe")} <= {"billing"}


def test_only_the_room_of_openid_imports_what_speaks_it() -> None:
    assert {room_of(name) for package in ("authlib", "joserfc") for name in importers_of(package)} == {"openid"}


def test_only_the_web_what_puts_it_together_and_the_demo_import_flask() -> None:
    assert {room_of(name) for name in importers_of("flask")} <= {"web", "site", "demo"}


def test_only_the_demo_command_imports_the_demo() -> None:
    users = {name_of(path) for path in OWN if any(room_of(name) == "demo" for name in imports(path))}
    assert len(users) <= 1
    assert {room_of(name) for name in users} <= {"cli"}


@pytest.mark.parametrize("guest", ["newspaper", "stripe"])
def test_the_newspaper_and_the_look_alike_know_the_service_by_http_alone(guest: str) -> None:
    own = f"service.demo.{guest}"
    for path in (SERVICE / "demo" / guest).rglob("*.py"):
        for name in imports(path):
            assert not name.startswith("service.") or f"{name}.".startswith(f"{own}."), f"{path} imports {name}"


# ------------------------------------------------------------------------------------------------- pure rules

PURE = {
    "__future__", "bisect", "collections", "dataclasses", "datetime", "enum", "functools", "itertools", "json", "math",
    "operator", "re", "typing", "unicodedata",
}  # fmt: skip
"""The part of the standard library that has no clock, no environment and no input or output of its own."""

IMPURE = {"now", "utcnow", "today", "open", "print", "input", "exec", "eval", "compile", "__import__", "breakpoint"}


def test_the_rules_import_the_standard_library_alone_and_of_it_what_has_no_clock_and_no_input() -> None:
    for path in (SERVICE / "paywall").rglob("*.py"):
        for name in imports(path):
            allowed = name.startswith("service.paywall.") or name.split(".")[0] in PURE
            assert allowed, f"{path} imports {name}"
    assert set(sys.stdlib_module_names) >= PURE


def test_the_rules_ask_no_clock_and_read_and_write_nothing() -> None:
    for path in (SERVICE / "paywall").rglob("*.py"):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func).split(".")[-1]
                assert called not in IMPURE, f"{path}:{node.lineno} calls {called}"


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
    if threading.active_count() > 1:  # Python 3.11 does not yet tell the hook of threads.
        raise SystemExit(f"a thread runs since {current} was imported")
print(len(sys.argv) - 1)
"""


def test_nothing_connects_and_no_thread_or_process_starts_at_import() -> None:
    names = [name_of(path) for path in FILES if path.name != "__main__.py"]
    command = [sys.executable, "-c", WATCH, *names]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, str(len(names))), done.stderr


def test_the_environment_is_not_read_at_import() -> None:
    reading = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in FILES
        for node in at_import(path)
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node).split(".")[-1] in ("environ", "getenv")
    ]
    assert reading == []


# ---------------------------------------------------------------------------------------------------- the pages


def test_every_file_is_named_by_a_word_of_the_field() -> None:
    shelves = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}
    assert not {path.stem for path in FILES} & shelves
    assert not {part for path in FILES for part in path.parent.relative_to(SERVICE).parts} & shelves


def test_no_file_is_longer_than_a_few_screens() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}: {node.name}": own_lines(node)
        for path in FILES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def own_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function, without those of the functions that stand directly in it."""
    within = [each for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)]
    return lines(node) - sum(map(lines, within))


def lines(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_every_public_module_class_and_function_says_what_it_is() -> None:
    silent = [str(path.relative_to(ROOT)) for path in OWN if not ast.get_docstring(tree(path))]
    for path in OWN:
        for name, node in definitions(path):
            public = not any(part.startswith("_") for part in name.split(": ")[1].split("."))
            if public and not says_all(node) and not ast.get_docstring(node):
                silent.append(name)
    assert silent == []


def says_all(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """A few statements under a good name, or a class that is a list of fields (`name = …`: a schema)."""
    return isinstance(node.body[0], ast.Assign) if isinstance(node, ast.ClassDef) else len(node.body) <= SILENT


def test_nothing_is_left_for_later_and_nothing_is_printed() -> None:
    marks = ("TODO", "FIXME", "XXX", "NotImplemented")
    found = [f"{path.relative_to(ROOT)}: {mark}" for path in FILES for mark in marks if mark in path.read_text("utf-8")]
    for path in OWN:
        calls = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
        printed = [node for node in calls if ast.unparse(node.func) in ("print", "breakpoint")]
        found += [f"{path.relative_to(ROOT)}:{node.lineno}: print" for node in printed]
    assert found == []
