#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""dev/floors must find a violation that is planted into a copy of the tree, and nothing before."""
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PLANTED = [
    ("base/str.c", '#include "sys/loop.h"\n', "may not know sys"),
    ("mail/address.h", '#include "conf/conf.h"\n', "may not know conf"),
    ("sys/loop.h", '#include "store/store.h"\n', "may not know store"),
    ("role/front/planted.c", '#include "role/spool/planted.h"\n', None),
    ("cmd/probe/probe.c", '#include "cmd/sink/sink.h"\n', "no other command"),
    ("base/buf.c", '#include "str.h"\n', "names the floor"),
]


def floors(src):
    done = subprocess.run([sys.executable, ROOT / "dev/floors", src], capture_output=True, text=True)
    return done.returncode, done.stdout


def main():
    with tempfile.TemporaryDirectory() as folder:
        src = pathlib.Path(folder) / "src"
        shutil.copytree(ROOT / "src", src)
        assert floors(src)[0] == 0, floors(src)[1]
        for name, line, expected in PLANTED:
            path = src / name
            before = path.read_text() if path.exists() else None
            if expected is None:
                (src / "role/spool/planted.h").write_text("")
            path.write_text(line + (before or ""))
            status, output = floors(src)
            assert status == 1 and (expected or "no other role") in output, f"{name}: not found: {output}"
            if before is None:
                path.unlink()
            else:
                path.write_text(before)
    print(f"{len(PLANTED)} planted violations, each found")


main()
