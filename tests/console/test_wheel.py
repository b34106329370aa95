"""What is built is what runs: the wheel, in a venv of its own, away from the checkout."""

import os
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def test_the_wheel_installs_and_prints_a_status(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "dist", REPOSITORY],
        check=True,
        capture_output=True,
        timeout=300,
    )
    [wheel] = (tmp_path / "dist").glob("tealdeck-*.whl")
    # The dependencies come from this venv: what is tested is what the wheel itself brings.
    venv.create(tmp_path / "venv", with_pip=True, system_site_packages=False)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", wheel], check=True, capture_output=True)
    site = subprocess.run(
        [python, "-c", "import site; print(site.getsitepackages()[0])"], capture_output=True, text=True
    )
    dependencies = next(Path(entry) for entry in sys.path if entry.endswith("site-packages"))
    (Path(site.stdout.strip()) / "dependencies.pth").write_text(f"{dependencies}\n")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "TEAL_STATE_DIR": str(tmp_path / "state"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    teal = tmp_path / "venv" / "bin" / "teal"
    try:
        status = subprocess.run(
            [teal, "status"], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert status.returncode == 0, status.stderr
        assert status.stdout.startswith("SANDBOX\nanalytics")
        assert "production_data_pipeline" in status.stdout
        example = subprocess.run([teal, "config", "init"], env=environment, capture_output=True, text=True, timeout=60)
        assert example.returncode == 0, example.stderr
    finally:
        subprocess.run([teal, "sandbox", "stop"], env=environment, capture_output=True, timeout=60)
