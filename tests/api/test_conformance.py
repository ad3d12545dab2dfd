"""schemathesis against the document: no 5xx, no answer that is not described."""

import subprocess
import sys

import pytest
from conftest import ROOT, make_image

# That a well-formed request is possible cannot be said in a schema: whether a path exists, how much memory there is.
EXCLUDED = "positive_data_acceptance"

# It does not end unless it is asked with follow=false, which a schema cannot ask for; test_events.py does.
ENDLESS = "--exclude-operation-id=followEvents"


def conform(api, *arguments):
    pytest.importorskip("schemathesis")
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"]
    command += [str(ROOT / "docs" / "openapi.yaml"), f"--url=http://127.0.0.1:{api.ports[0]}"]
    command += ["-H", f"Authorization: Bearer {api.token}", "--checks=all", f"--exclude-checks={EXCLUDED}", ENDLESS]
    command += ["--request-timeout=15", "--seed=1", "--no-color", "--warnings=off", *arguments]
    result = subprocess.run(
        command, cwd=api.directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        timeout=200, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stdout[-6000:]
    assert api.get("/healthz").status == 200


def test_nothing_is_there(tcp):
    conform(tcp, "--phases=examples,coverage", "--max-examples=5")


def test_with_a_machine_and_an_image(tcp):
    """Named as in the document's examples, so that its calls find them."""
    tcp.post("/v1/images", make_image({"Cmd": ["/bin/true"]})[0], headers={"Content-Type": "application/x-tar"})
    tcp.wait(tcp.run("echo x", name="web"))
    conform(tcp, "--phases=examples,fuzzing", "--max-examples=8", "--exclude-operation-id=waitForMachine")
