"""The product on real libkrun, on a real /dev/kvm, in one outer guest: see outer.py, and scenarios.sh for what is tested.

One boot runs all scenarios and says a line for each; every scenario is a test here. Both libraries come from
tools/bootstrap and `make libkrun`; the programs from the build directory in KRUN_BUILD.
"""

import os
import re
import shutil
from pathlib import Path

import image
import pytest
from outer import REPOSITORY, Outer, OuterError, add_libkrun, add_product, find_library

HERE = Path(__file__).resolve().parent
NAMES = re.findall(r"^scenario_([a-z_]+)\(\)$", (HERE / "scenarios.sh").read_text(), re.M)
# What QEMU reads to boot the microvm machine.
QEMU_FILES = ("qboot.rom", "bios-microvm.bin", "pvh.bin", "linuxboot_dma.bin")
TIMEOUT_S = 460

SCRIPT = """
ip address add 10.1.2.3/32 dev lo
ip address add 10.1.2.4/32 dev lo
mkdir -p /home/user /run/krun /run/krun-qemu
chown -R 1000:1000 /home/user /run/krun /run/krun-qemu
echo 1 >/proc/sys/fs/protected_hardlinks
mkdir /run/clock
mkfifo -m 666 /run/clock/set
(while read -r now; do date -s "@$now" >/dev/null; echo "$now" >/run/clock/done; done) <>/run/clock/set &
su user -c "HOME=/home/user sh /scenarios.sh all %s"
"""


def build_directory():
    return Path(os.environ.get("KRUN_BUILD", REPOSITORY / "build/main")).resolve()


def add_qemu(outer):
    outer.add(shutil.which("qemu-system-x86_64"))
    for name in QEMU_FILES:
        for directory in ("/usr/share/qemu", "/usr/share/seabios"):
            if Path(directory, name).exists():
                outer.add(f"{directory}/{name}", f"/usr/share/qemu/{name}")
                break


def read_results(output):
    """Map each scenario to whether it passed and what it said."""
    results, said = {}, []
    for line in output.splitlines():
        word, _, name = line.partition(" ")
        if word == "RUN":
            said = []
        elif word in ("PASS", "FAIL"):
            results[name] = (word == "PASS", "\n".join(said))
        else:
            said.append(line)
    return results


@pytest.fixture(scope="session")
def results(request):
    for library in ("libkrun.so.1", "libkrunfw.so.5"):
        if not find_library(library):
            pytest.fail(f"no {library}: run tools/bootstrap and make libkrun")
    with Outer() as outer:
        add_libkrun(outer)
        add_product(outer, build_directory())
        outer.add(build_directory() / "bench/meter")
        add_qemu(outer)
        image.write_archive(outer.root / "image.tar", "test:latest", ["/bin/true"])
        for name in ("lib.sh", "scenarios.sh"):
            outer.add(HERE / name, f"/{name}")
        # Only those that pytest selected.
        wanted = [item.callspec.params["name"] for item in request.session.items if hasattr(item, "callspec")]
        try:
            output = outer.run(SCRIPT % " ".join(wanted), TIMEOUT_S).output
        except OuterError as error:
            output = f"{error.output}\n{error}"
    return read_results(output), output


@pytest.mark.parametrize("name", NAMES)
def test_scenario(results, name):
    by_name, output = results
    assert name in by_name, f"the outer guest ended before this scenario:\n{output[-4000:]}"
    passed, said = by_name[name]
    assert passed, said
