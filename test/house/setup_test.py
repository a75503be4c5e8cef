# SPDX-License-Identifier: ISC
"""dev/setup sees what is installed, by whatever name: else each `make test` would want the network and root."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).parents[2]
PACKAGES = "# a page\nbuild one  the first\ntest libtwo  the second\nother libthree  of another stage\n"


def run(folder, *installed):
    """As somebody who may install nothing, where these packages are there: (status, what was said)."""
    programs = folder / "programs"
    shutil.rmtree(programs, ignore_errors=True)
    programs.mkdir()
    for tool in ("sh", "awk", "dirname", "mkdir"):
        (programs / tool).symlink_to(shutil.which(tool))
    for name, text in (("id", "echo 1000"), ("dpkg-query", f"""case " {' '.join(installed)} " in
*" $4 "*) echo install ok installed ;;
*) exit 1 ;;
esac""")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)
    done = subprocess.run([folder / "dev/setup", "build", "test"], env={"PATH": str(programs)}, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def troubles(folder):
    (folder / "dev").mkdir()
    shutil.copy(TOP / "dev/setup", folder / "dev")
    (folder / "dev/packages").write_text(PACKAGES)
    for installed in (("one", "libtwo"), ("one", "libtwot64")):
        if run(folder, *installed) != (0, ""):
            yield f"with {installed}: {run(folder, *installed)}"
    for installed, missing in ((("one",), " libtwo\n"), (("libtwot64",), " one\n"), (("one", "libthree"), " libtwo\n")):
        status, said = run(folder, *installed)
        if status != 1 or f"are missing:{missing}" not in said:
            yield f"with {installed}: {status}, {said}"


with tempfile.TemporaryDirectory() as made:
    found = list(troubles(pathlib.Path(made)))
print("\n".join(found))
sys.exit(bool(found))
