"""The architecture of docs/ARCHITECTURE.md: imports between packages and rooms, and sizes of files."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("retrieval", "database", "indexer", "evaluation", "training", "web", "cluster", "fungarium")

MAY_IMPORT = {
    "retrieval": {"retrieval"},
    "database": {"database", "retrieval"},
    "indexer": {"indexer", "database", "retrieval"},
    "evaluation": {"evaluation", "retrieval"},
    "training": {"training", "evaluation", "retrieval"},
    "web": {"web", "database", "retrieval"},
    "cluster": {"cluster", "indexer", "database", "retrieval"},
    "fungarium": set(PACKAGES),  # the command
    "app.py": {"fungarium"},
    "settings.py": {"retrieval"},  # its errors
}
REACHES_CLUSTER = ("web/inference/cluster.py",)
"""Entry points that go over to the cluster where one is set: the only ones that may import it, inside a function."""

CORE = ("domain", "errors", "models/embedder", "search/index", "ranking/votes", "ranking/fusion", "ranking/priors")
"""Modules of retrieval that are pure rules and values."""

ROOMS = {
    "retrieval/models": (),
    "retrieval/ranking": (),
    "retrieval/photos": ("models",),
    "retrieval/search": ("models",),
    "retrieval/segments": ("models", "search"),
    "retrieval/devices": ("models", "search", "segments"),
    "retrieval/snapshots": ("devices", "models", "ranking", "search", "segments"),
    "retrieval/answers": ("models", "photos", "ranking", "search", "segments", "snapshots"),
    "indexer/archives": (),
    "indexer/photos": ("archives",),
    "indexer/curation": ("archives", "photos"),
    "indexer/embedding": (),
    "indexer/building": ("curation", "embedding", "photos"),
    "database/migrations": (),
    "database/accounts": (),
    "database/collection": ("accounts",),
    "database/taxonomy": ("collection",),
    "database/field": ("accounts", "collection", "taxonomy"),
    "database/backups": ("collection", "field"),
    "database/exporting": ("field",),
    "web/http": (),
    "web/photos": ("http",),
    "web/schemas": ("http", "photos"),
    "web/inference": ("http", "photos", "schemas"),
    "web/api": ("http", "inference", "photos", "schemas"),
    "web/contracts": ("http", "inference", "photos", "schemas"),
    "web/pages/wording": ("http", "schemas"),
    "web/pages": ("api", "http", "inference", "pages/wording", "photos", "schemas"),
    "web/pages/administration": ("api", "http", "inference", "pages", "pages/wording"),
    "evaluation/specimens": (),
    "evaluation/galleries": (),
    "evaluation/learning": ("galleries",),
    "evaluation/measuring": ("galleries", "learning"),
    "evaluation/reports": ("galleries", "learning", "measuring"),
    "fungarium/jobs": (),
}
"""Which rooms of its package a room may import, from the ground up. Modules at the top of a package are open to all."""

MOST_MODULES = 22  # of a folder

HOMES = {
    "click": ("fungarium/*",),
    "flask": ("web/*", "fungarium/serve.py"),
    "flask_smorest": ("web/*",),
    "marshmallow": ("web/*",),
    "werkzeug": ("web/*",),
    "prometheus_client": ("web/http/metrics.py", "web/gunicorn.py"),
    "sqlalchemy": ("database/*",),
    "alembic": ("database/*",),
    "argon2": ("database/accounts/people.py", "database/accounts/passwords.py"),
    "limits": ("web/http/quotas.py",),
    "flask_wtf": ("web/*",),
    "faiss": ("retrieval/search/faiss_*.py", "retrieval/devices/faiss_gpu.py"),
    "urllib3": ("retrieval/photos/fetching.py", "retrieval/models/serving.py"),
    "requests": ("retrieval/photos/fetching.py", "retrieval/models/serving.py", "indexer/photos/fetching.py"),
    "nameparser": ("indexer/curation/names.py",),
    "h3": ("retrieval/snapshots/cells.py",),
    "openTSNE": ("indexer/building/atlas.py",),
    "sklearn": ("evaluation/learning/estimators.py",),
    "openvino": (
        "retrieval/models/openvino.py",
        "retrieval/models/openvino_graph.py",
        "indexer/embedding/quantise.py",
    ),
    "onnxruntime": ("retrieval/models/onnxruntime.py",),
    "tensorflow": ("retrieval/models/tfhub_child.py",),
    "tensorflow_hub": ("retrieval/models/tfhub_child.py",),
    "timm": ("retrieval/models/timm_child.py", "training/network.py"),
    "torch": ("retrieval/models/timm_child.py", "training/*", "fungarium/training.py"),
    "nncf": ("indexer/embedding/quantise.py",),
    "ray": ("cluster/*",),
    "pillow_heif": ("retrieval/photos/heif.py",),
    "python_calamine": ("indexer/archives/workbook.py",),
    "PIL": (
        "retrieval/photos/views.py",
        "retrieval/photos/colour.py",
        "retrieval/photos/crops.py",
        "retrieval/photos/heif.py",
        "retrieval/models/*",
        "evaluation/specimens/*",
        "training/augment.py",
        "training/gather.py",
        "indexer/photos/finding.py",
    ),
}
READS_SETTINGS = ("fungarium/*", "web/services.py")
LAZY = (
    "openTSNE",
    "openvino",
    "onnxruntime",
    "pillow_heif",
    "python_calamine",
    "ray",
    "sklearn",
    "tensorflow",
    "tensorflow_hub",
    "timm",
    "torch",
    "nncf",
)
"""Loaded by the function that needs them, never by an import."""

LONGEST = 400  # lines

MOST_PARAMETERS = 9


def source_files() -> list[Path]:
    found = [ROOT / name for name in ("app.py", "settings.py") if (ROOT / name).exists()]
    return found + sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def place(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    """The full names of everything a file imports, wherever in the file it does so."""
    return import_names(path, ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def import_names(path: Path, nodes: Iterable[ast.AST]) -> tuple[str, ...]:
    """The full names that the import statements among some nodes of a file import."""
    package = module_name(path).split(".") if path.name == "__init__.py" else module_name(path).split(".")[:-1]
    names: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names += [f"{base}.{alias.name}" for alias in node.names]
    return tuple(names)


def imported_tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports_of(path)}


def owner(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


@pytest.mark.parametrize("path", source_files(), ids=place)
def test_a_package_imports_only_what_lies_below_it(path: Path) -> None:
    ours = {*PACKAGES, "app"}

    reached = {"cluster"} if any(fnmatch(place(path), entry) for entry in REACHES_CLUSTER) else set()
    strangers = (imported_tops(path) & ours) - MAY_IMPORT[owner(path)] - reached

    assert not strangers, f"{place(path)} imports {sorted(strangers)}"


def room_of(path: Path) -> str:
    """The folder of a module, from the package on; a package's own for modules at its top."""
    return path.parent.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", [path for path in source_files() if room_of(path) in ROOMS], ids=place)
def test_a_room_imports_only_the_rooms_below_it(path: Path) -> None:
    package, room = owner(path), room_of(path)
    files = {module_name(file): file for file in source_files()}
    named = {name if name in files else name.rpartition(".")[0] for name in imports_of(path)}

    reached = {room_of(files[name]) for name in named if name in files} - {package, room}

    allowed = {f"{package}/{other}" for other in ROOMS[room]}
    above = sorted(other for other in reached if other.startswith(f"{package}/") and other not in allowed)
    assert not above, f"{place(path)} imports from {above}"


def test_the_rooms_of_a_package_form_no_circle() -> None:
    graph = {room: {f"{room.split('/')[0]}/{other}" for other in others} for room, others in ROOMS.items()}

    assert not find_cycle(graph)


def test_every_room_is_in_the_plan() -> None:
    rooms = {room_of(path) for path in source_files()} - {*PACKAGES, ".", "database/migrations/versions"}

    assert rooms == set(ROOMS)


def test_a_folder_of_code_holds_what_a_reader_can_survey() -> None:
    folders = [path.parent for path in ROOT.rglob("*.py") if is_ours(path) and "tests" not in path.parts]

    crowded = {place(folder): folders.count(folder) for folder in folders if folders.count(folder) > MOST_MODULES}

    assert not crowded


def is_ours(path: Path) -> bool:
    """Whether a file belongs to the project and not to an environment or to what a command made."""
    return path.relative_to(ROOT).parts[0] in {*PACKAGES, "benchmarks", "tests"} and "node_modules" not in path.parts


@pytest.mark.parametrize("path", source_files(), ids=place)
def test_nothing_imports_the_tests(path: Path) -> None:
    assert "tests" not in imported_tops(path)


@pytest.mark.parametrize("library", HOMES)
def test_a_big_library_has_one_home(library: str) -> None:
    users = [place(path) for path in source_files() if library in imported_tops(path)]

    lodgers = [user for user in users if not any(fnmatch(user, home) for home in HOMES[library])]

    assert not lodgers, f"{library} is imported outside its home, by {lodgers}"


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_numpy_at_most(module: str) -> None:
    path = ROOT / "retrieval" / f"{module}.py"
    core = {f"retrieval.{name.replace('/', '.')}" for name in CORE}

    outside = {top for top in imported_tops(path) if top not in {*sys.stdlib_module_names, "numpy", "retrieval"}}
    outward = {
        name for name in imports_of(path) if name.startswith("retrieval.") and name.rpartition(".")[0] not in core
    }

    assert not outside, f"retrieval/{module}.py imports {sorted(outside)}"
    assert not outward, f"retrieval/{module}.py looks outwards, at {sorted(outward)}"


@pytest.mark.parametrize("path", source_files(), ids=place)
def test_only_entry_points_read_the_settings(path: Path) -> None:
    if "settings" in imported_tops(path):
        assert any(fnmatch(place(path), entry) for entry in READS_SETTINGS), f"{place(path)} imports settings"


@cache
def import_graph() -> dict[str, set[str]]:
    """Which module of ours imports which, an import of a name from a module counting as one of the module."""
    modules = {module_name(path): path for path in source_files()}
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        named = {name if name in modules else name.rpartition(".")[0] for name in imports_of(path)}
        graph[module] = {name for name in named if name in modules and name != module}
    return graph


def find_cycle(graph: dict[str, set[str]]) -> list[str]:
    """The modules of an import cycle in order, or nothing."""
    done: set[str] = set()

    def walk(module: str, above: list[str]) -> Iterator[list[str]]:
        if module in above:
            yield [*above[above.index(module) :], module]
        elif module not in done:
            for imported in sorted(graph[module]):
                yield from walk(imported, [*above, module])
            done.add(module)

    return next((cycle for module in sorted(graph) for cycle in walk(module, [])), [])


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    cycle = find_cycle(import_graph())

    assert not cycle, " -> ".join(cycle)


SCRIPT_IMPORT = re.compile(r"""(?:\bfrom|\bimport)\s*\(?\s*["'](\.{1,2}/[^"']+)["']""")


def script_graph(folder: Path) -> dict[str, set[str]]:
    """Which of the pages' scripts imports which: at its top, later, or for a type alone."""
    scripts = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*.ts")}
    graph: dict[str, set[str]] = {}
    for name, path in scripts.items():
        named = SCRIPT_IMPORT.findall(path.read_text(encoding="utf-8"))
        graph[name] = {(path.parent / other).resolve().relative_to(folder.resolve()).as_posix() for other in named}
    return graph


def test_scripts_do_not_import_each_other_in_a_circle() -> None:
    graph = script_graph(ROOT / "web" / "frontend" / "src")

    cycle = find_cycle(graph)

    assert not cycle, " -> ".join(cycle)
    assert graph["observation_map.ts"] == {"map.ts", "point.ts"}


def test_every_way_of_importing_a_script_is_seen(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.ts").write_text('import type { B } from "../b.ts";\n')
    (tmp_path / "b.ts").write_text('const c = await import("./c.ts");\nexport { d } from "./d.ts";\n')
    (tmp_path / "c.ts").write_text('import "./pages/a.ts";\nimport L from "leaflet";\n')
    (tmp_path / "d.ts").write_text('import {\n  one,\n  other,\n} from "./c.ts";\n')

    graph = script_graph(tmp_path)

    assert graph == {"pages/a.ts": {"b.ts"}, "b.ts": {"c.ts", "d.ts"}, "c.ts": {"pages/a.ts"}, "d.ts": {"c.ts"}}
    assert find_cycle(graph) == ["b.ts", "c.ts", "pages/a.ts", "b.ts"]


def test_a_circle_would_be_seen() -> None:
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": set()}) == ["b", "c", "b"]
    assert find_cycle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


@pytest.mark.parametrize("path", source_files(), ids=place)
def test_no_file_is_longer_than_a_reader_can_hold(path: Path) -> None:
    lines = len(path.read_text(encoding="utf-8").splitlines())

    assert lines <= LONGEST, f"{place(path)} has {lines} lines"


def parameters_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """How many parameters a caller may give, `self` and `cls` not counted."""
    named = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len([parameter for parameter in named if parameter.arg not in {"self", "cls"}])


@pytest.mark.parametrize("path", source_files(), ids=place)
def test_no_function_takes_more_than_a_caller_can_keep_in_mind(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))

    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    greedy = [function.name for function in functions if parameters_of(function) > MOST_PARAMETERS]
    assert not greedy, f"{place(path)}: {greedy}"


IMPORT_ALONE = """
import importlib, json, os, sys
others, modules = json.loads(sys.argv[1])
for other in others:
    importlib.import_module(other)
for module in modules:
    os.mkdir(module)
    if os.fork() == 0:
        os.chdir(module)
        importlib.import_module(module)
        tops = sorted({name.split(".")[0] for name in sys.modules})
        print(json.dumps([tops, os.listdir(".")]), flush=True)
        os._exit(0)
    if os.wait()[1]:
        sys.exit(f"importing {module} failed")
"""


def import_alone(
    modules: Sequence[str], folder: Path, *, others: Iterable[str] = ()
) -> Iterator[tuple[str, set[str], list[str]]]:
    """Import each module in a process of its own, in an empty folder; gives what is loaded then and what was written.

    The processes part from one that has imported `others`, so that this is not done for each anew.
    """
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_ALONE, json.dumps([sorted(others), modules])],
        cwd=folder,
        env={
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "FUNGARIUM_MISSPELT": "would be refused if read",
            "OPENBLAS_NUM_THREADS": "1",  # a process with threads must not part
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-1000:]
    assert sorted(path.name for path in folder.iterdir()) == sorted(modules), "an import of others writes"
    for module, line in zip(modules, ran.stdout.splitlines(), strict=True):
        tops, written = json.loads(line)
        yield module, set(tops), written


def packages_of_others() -> set[str]:
    """What our modules import of other people's when they are imported themselves, but for what they must not."""
    ours = {*PACKAGES, "app", "settings", "tests"}
    named: set[str] = set()
    for path in source_files():
        body = ast.parse(path.read_text(encoding="utf-8")).body
        named |= {node.module for node in body if isinstance(node, ast.ImportFrom) and node.module and not node.level}
        named |= {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
    return {name for name in named if name.split(".")[0] not in {*ours, *LAZY, "faiss", "__future__"}}


def entry_modules() -> list[str]:
    """Modules that no other imports when it is imported itself: importing these imports every other.

    Those of training, which need PyTorch, are left out, and migrations, which Alembic alone can import.
    """
    modules = {module_name(path): path for path in source_files()}
    imported: set[str] = set()
    for path in modules.values():
        names = import_names(path, ast.parse(path.read_text(encoding="utf-8")).body)
        imported |= {name if name in modules else name.rpartition(".")[0] for name in names}
    left_out = ("database.migrations", "training.", "fungarium.jobs.training")
    return sorted(module for module in modules if module not in imported and not module.startswith(left_out))


def reaches(module: str, goal: str) -> bool:
    """Whether importing `module` imports `goal`, directly or through others."""
    graph, seen, ahead = import_graph(), set[str](), [module]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            ahead += graph[name]
    return goal in seen


def reaches_faiss(module: str) -> bool:
    homes = ("search.faiss_index", "search.faiss_codes", "devices.faiss_gpu")
    return any(reaches(module, f"retrieval.{home}") for home in homes)


OUTSIDE_CLUSTER = [
    path for path in source_files() if owner(path) != "cluster" and place(path) != "fungarium/jobs/shards.py"
]


@pytest.mark.parametrize("path", OUTSIDE_CLUSTER, ids=place)
def test_the_cluster_is_imported_only_when_a_function_asks_for_it(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))

    modules = [getattr(node, "module", None) or "" for node in tree.body if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names]

    assert not [module for module in modules if module.split(".")[0] == "cluster"]


@pytest.mark.slow
@pytest.mark.parametrize("searches", [False, True], ids=["what-searches-nothing", "what-searches"])
def test_nothing_happens_on_import(tmp_path: Path, searches: bool) -> None:
    modules = sorted({*entry_modules(), *(module for module in import_graph() if module.startswith("cluster."))})
    modules = [module for module in modules if reaches_faiss(module) == searches]
    others = packages_of_others() | ({"faiss"} if searches else set())

    for module, loaded, written in import_alone(modules, tmp_path, others=others):
        assert not loaded & set(LAZY), f"importing {module} loads {sorted(loaded & set(LAZY))}"
        assert not written, f"importing {module} writes {written}"
        assert searches or "faiss" not in loaded, f"importing {module} loads faiss"


def test_help_and_completion_load_click_and_no_other_library(tmp_path: Path) -> None:
    ((_, loaded, _),) = import_alone(("fungarium.cli",), tmp_path)

    assert not loaded & (set(HOMES) - {"click"} | {"numpy", "tqdm"})


def test_the_core_loads_nothing_but_numpy(tmp_path: Path) -> None:
    for module, loaded, _ in import_alone(
        ("retrieval.domain", "retrieval.ranking.votes", "retrieval.search.index"), tmp_path
    ):
        assert not loaded & set(HOMES), f"importing {module} loads {sorted(loaded & set(HOMES))}"
