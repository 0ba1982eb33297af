"""The layout of the house: who may import whom, what lies where, what must never be committed."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("flows", "tasks", "models", "ssc", "config")
TOP_LEVEL = {
    *PACKAGES,
    *("tests", "docker", "docs", ".ci"),
    *("pyproject.toml", "README.md", "Makefile", "requirements.lock", "LICENSE"),
    *(".gitignore", ".dockerignore", ".pre-commit-config.yaml"),
}
ENVIRONMENT_READERS = {"config/settings.py", "config/environment.py", "ssc/earthdata.py", "ssc/gdal.py"}


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listing.returncode:
        pytest.skip("not a git checkout, so nothing tells which files are ours")
    return [Path(name) for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_import_contracts_hold():
    lint = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert lint.returncode == 0, lint.stdout


def test_top_level_is_the_agreed_one(tracked):
    assert {path.parts[0] for path in tracked} <= TOP_LEVEL


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_come_from_this_checkout(package):
    module = importlib.import_module(package)
    assert Path(module.__file__).resolve() == ROOT / package / "__init__.py"


def test_no_other_distribution_claims_our_names():
    owners = packages_distributions()
    foreign = {name: set(owners.get(name, [])) - {"river-ssc"} for name in PACKAGES}
    assert not any(foreign.values()), foreign


def test_flow_files_shadow_no_module(tracked):
    flow_files = {path.stem for path in tracked if path.parts[0] == "flows" and path.suffix == ".py"} - {"__init__"}
    first_level = {dependency for dependency in packages_distributions() if not dependency.startswith("_")}
    assert not flow_files & (set(PACKAGES) | set(sys.stdlib_module_names) | first_level)


def test_lock_has_hashes_and_no_locations():
    lock = (ROOT / "requirements.lock").read_text()
    pins = re.findall(r"^[a-z0-9][\w.-]*==\S+", lock, flags=re.MULTILINE)
    hashed = re.findall(r"^[a-z0-9][\w.-]*==\S+(?: ; [^\\\n]*)? \\\n    --hash=sha256:", lock, flags=re.MULTILINE)
    assert len(pins) > 100
    assert len(hashed) == len(pins)
    assert "://" not in lock


def test_lock_meets_what_pyproject_asks_for():
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = dict(re.findall(r"^([a-z0-9][\w.-]*)==([^\s;]+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for text in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)]), text


def test_torch_and_torchvision_are_one_release_pair():
    lock = (ROOT / "requirements.lock").read_text()
    assert "\ntorch==2.13.0 " in lock
    assert "\ntorchvision==0.28.0 " in lock


def test_no_large_files_and_no_data(tracked):
    large = {str(path): (ROOT / path).stat().st_size for path in tracked if path.name != "requirements.lock"}
    weights = {name for name in large if name.startswith("models/weights/") and name.endswith(".safetensors")}
    assert {name: size for name, size in large.items() if size > 400_000 and name not in weights} == {}
    assert sum(large[name] for name in weights) < 20e6
    assert not [path for path in tracked if path.suffix in {".tif", ".nc", ".parquet", ".pkl", ".npy", ".pth"}]


def test_only_the_policy_catches_everything(tracked):
    broad = re.compile(r"except\s*(Exception|BaseException)?\s*(as \w+)?:")
    caught = [
        str(path)
        for path in tracked
        if path.suffix == ".py" and path.parts[0] in PACKAGES and broad.search((ROOT / path).read_text())
    ]
    assert [name for name in caught if name != "tasks/policy.py"] == []


def test_environment_is_read_where_settings_and_logins_are(tracked):
    readers = [
        path
        for path in tracked
        if path.suffix == ".py" and path.parts[0] in PACKAGES and "os.environ" in (ROOT / path).read_text()
    ]
    assert [str(path) for path in readers if str(path) not in ENVIRONMENT_READERS] == []


def test_help_starts_without_heavy_libraries():
    code = "import sys, flows.cli; print([m for m in ('torch', 'prefect', 'rasterio', 'pandas') if m in sys.modules])"
    seen = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert seen.stdout.strip() == "[]"
