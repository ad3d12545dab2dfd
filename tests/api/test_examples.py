"""What examples/ shows must at least be taken by those it is for."""

import shlex
import shutil
import subprocess

import hcl2
import pytest
from conftest import BUILD, ROOT

PROGRAMS = BUILD / "src/cli"


def test_systemd_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (ROOT / "examples/systemd/hello.service").read_text()
    # It is looked for where packages install it.
    for program in ("krun-run", "krunctl"):
        text = text.replace(f"={program} ", f"={PROGRAMS / program} ").replace(f"=-{program} ", f"=-{PROGRAMS / program} ")
    unit = tmp_path / "hello.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--user", unit],
        capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert_options_exist(next(line for line in text.splitlines() if line.startswith("ExecStart=")).partition("=")[2])


def assert_options_exist(command):
    """Every option of a krun-run command line is one."""
    helped = subprocess.run([PROGRAMS / "krun-run", "--help"], capture_output=True, text=True, timeout=20).stdout
    for word in shlex.split(command)[1:]:
        if word.startswith("-"):
            assert f"{word}, " in helped or f"{word} " in helped, word


def test_nomad_job():
    with (ROOT / "examples/nomad/hello.nomad.hcl").open() as file:
        job = hcl2.load(file)["job"][0]

    def plain(value):
        """Parsers differ in whether they keep the quotes."""
        if isinstance(value, dict):
            return {name.strip('"'): plain(item) for name, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value.strip('"') if isinstance(value, str) else value

    group = plain(job)["hello"]["group"][0]["hello"]
    tasks = {name: task for entry in group["task"] for name, task in entry.items()}
    config = tasks["machine"]["config"][0]
    assert tasks["machine"]["driver"] == "raw_exec"
    assert_options_exist(shlex.join([config["command"], *config["args"]]))
