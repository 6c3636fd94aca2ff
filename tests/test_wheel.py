"""What is installed from a wheel, in an empty folder, with nothing of the repository at hand."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import lightning_posenc
from lightning_posenc import shipped

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist."""
    out = tmp_path_factory.mktemp("built")
    program = (
        "from hatchling.build import build_sdist, build_wheel\n"
        f"build_wheel({str(out)!r}); build_sdist({str(out)!r})"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def site(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel is installed, alone."""
    place = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        wheel.extractall(place)
    return place


def called(site: Path, cwd: Path, *args: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-P", "-m", "lightning_posenc", *args],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_the_wheel_has_all_that_is_needed_and_no_more(built: Path) -> None:
    wheel = next(built.glob("*.whl"))
    assert lightning_posenc.__version__ in wheel.name
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        metadata = opened.read(next(n for n in names if n.endswith("/METADATA"))).decode()
    assert "lightning_posenc/py.typed" in names
    for kind in shipped.KINDS:
        for file in (ROOT / kind).glob("*.yaml"):
            assert f"lightning_posenc/shipped/{kind}/{file.name}" in names
    of_package = {str(p.relative_to(ROOT)) for p in ROOT.glob("lightning_posenc/**/*.py")}
    assert of_package <= set(names)
    assert {name.split("/")[0] for name in names} == {
        "lightning_posenc", f"lightning_posenc-{lightning_posenc.__version__}.dist-info"
    }  # fmt: skip
    assert "Requires-Python: >=3.11" in metadata
    assert "Classifier: Typing :: Typed" in metadata


def test_the_sdist_has_the_tests(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert {"tests/test_wheel.py", "configs/quickstart.yaml", "constraints.txt", "LICENSE"} <= names


def test_it_runs_in_an_empty_folder(site: Path, tmp_path: Path) -> None:
    listed = called(site, tmp_path, "configs")
    assert listed.returncode == 0, listed.stderr
    assert "quickstart" in listed.stdout
    assert called(site, tmp_path, "configs", "quickstart", "--save", ".").returncode == 0
    assert (tmp_path / "quickstart.yaml").is_file()
    few = ["--trainer.max_epochs=1", "--data.steps_per_epoch=2", "--data.eval_samples=64"]
    trained = called(site, tmp_path, "fit", "--config", "quickstart", *few, "--run_dir", "r")
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "r" / "summary.json").is_file()
    swept = called(site, tmp_path, "sweep", "quick", "--run_cap", "1")
    assert swept.returncode == 0, swept.stderr
    where = subprocess.run(
        [sys.executable, "-P", "-c", "import lightning_posenc; print(lightning_posenc.__file__)"],
        env={**os.environ, "PYTHONPATH": str(site)}, cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(site))
