"""What holds for the project as a whole: layers, documents, and the licence of what is shipped."""

import ast
import re
import sys
from pathlib import Path

from vsanimesr import options
from vsanimesr.training import cli

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "vsanimesr"

# Each may import from those above it only.
LAYERS = [
    {
        "errors",
        "interrupts",
        "standard",
        "models",
        "lru",
        "pth",
        "pickled",
        "wheel",
        "scratch",
        "recurrence",
        "colour",
    }
    | {"resample", "strips", "still", "bench_choices"},
    {"options", "network", "weights"},
    {"engines"},
    {"vs"},
    {"encode", "training"},
    {"compare"},
    {"doctor", "bench"},
    {"cli"},
    {"__main__"},
]
# Within a layer, these may import the others of it.
WITHIN = {
    "weights": {"pth", "wheel"},
    "pth": {"errors", "models", "pickled"},
    "pickled": {"errors"},
    "wheel": {"errors"},
    "colour": {"errors"},
    "resample": {"colour", "models"},
    "strips": {"errors", "models"},
}


# The same within the trainer: what its commands share, then a wing for each command.
TRAINING = [
    {"explain", "leaving", "squares", "sdist", "foreign"},
    {"config", "clips", "checkpoint", "pictures", "places", "draws"},
    {"networks", "degradation"},
    {"measures"},
    {"dataset", "rescale", "train", "evaluate", "export"},
    {"cli"},
    {"__main__"},
]

# And within the encode, whose steps are folders and files.
ENCODE = [
    {"common", "chunks", "result"},
    {"given"},
    {"source"},
    {"scenes", "verify", "join"},
    {"render", "journal"},
    {"workers"},
    {"steps"},
    {"job"},
    {"arguments", "inputs", "display", "events"},
    {"cli"},
]


def layer(name, layers=LAYERS):
    return next(i for i, names in enumerate(layers) if name in names)


def imports(path, package="vsanimesr"):
    """Parts of a package that a module imports, anywhere in it."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith(f"{package}."):
                yield name.removeprefix(f"{package}.").split(".")[0]


def test_imports_go_downward_only():
    modules = sorted(PACKAGE.rglob("*.py"))
    assert len(modules) > 25
    for path in modules:
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for name in imports(path):
            if name in ("__version__", own):
                continue
            below = layer(name) < layer(own) or name in WITHIN.get(own, set())
            assert below, f"{path.relative_to(ROOT)} imports {name}"


def test_wings_of_the_trainer_know_what_is_below_them_only():
    package = PACKAGE / "training"
    modules = sorted(package.rglob("*.py"))
    assert len(modules) > 40
    for path in modules:
        own = path.relative_to(package).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for name in imports(path, "vsanimesr.training"):
            below = name == own or layer(name, TRAINING) < layer(own, TRAINING)
            assert below, f"{path.relative_to(ROOT)} imports {name}"


def test_steps_of_an_encode_know_those_before_them_only():
    package = PACKAGE / "encode"
    modules = sorted(package.rglob("*.py"))
    assert len(modules) > 50
    known = set.union(*ENCODE)
    for path in modules:
        own = path.relative_to(package).parts[0].removesuffix(".py")
        if own == "__init__":
            continue
        for name in set(imports(path, "vsanimesr.encode")) & known - {own}:
            below = layer(name, ENCODE) < layer(own, ENCODE)
            assert below, f"{path.relative_to(ROOT)} imports {name}"


def test_every_command_of_the_trainer_is_a_wing():
    wings = {path.parent.name for path in PACKAGE.glob("training/*/command.py")}
    assert wings == set(cli.COMMANDS) == TRAINING[-3]


def test_only_two_folders_know_vapoursynth():
    for path in sorted(PACKAGE.rglob("*.py")):
        part = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if part not in ("vs", "encode", "compare", "doctor", "cli"):
            assert "vapoursynth" not in sys.stdlib_module_names
            assert not re.search(r"^\s*(import|from) vapoursynth", path.read_text(), re.M), path


def test_only_the_command_prints():
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name != "cli.py":
            calls = (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call))
            names = {ast.unparse(call.func) for call in calls}
            assert not names & {"print", "sys.stdout.write"}, path


def test_the_readme_has_two_commands():
    text = (ROOT / "README.md").read_text()
    part = text.split("\n## Quick start\n")[1].split("\n## ")[0]
    assert len(re.findall(r"^```sh$", part, re.M)) == 2


def test_the_readme_has_the_table_of_arguments():
    assert options.table() in (ROOT / "README.md").read_text()


def test_the_slow_tests_are_named():
    part = (ROOT / "CONTRIBUTING.md").read_text().split("\n## Tests\n")[1].split("\n## ")[0]
    tests = ROOT / "tests"
    slow = [path for path in tests.rglob("*.py") if "mark." + "slow" in path.read_text("utf-8")]
    assert len(slow) > 10
    for path in slow:
        assert f"`{path.relative_to(tests).as_posix()}`" in part, path


def test_the_sample_comes_with_its_licences():
    assert (ROOT / "examples/sample.mkv").stat().st_size < 1_000_000
    texts = list((ROOT / "examples/LICENSES").iterdir())
    assert len(texts) >= 2
