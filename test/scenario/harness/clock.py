# SPDX-License-Identifier: ISC
"""Clocks that the test sets (clock_shim.c), of a whole server or of one of its roles.

    clocks = Clocks(self.folder, binary(), role="resolver")
    server = self.start(Sealpost(..., program=clocks.program))
    clocks.set(wall_s=3600, steady_s=3600)     # an hour has passed; what sleeps finds out when it is next spoken to
"""
import os
import shutil
import struct


class Clocks:
    def __init__(self, folder, program, role=None):
        self.offset = folder / "clock-offset"
        self.wall_s = self.steady_s = 0
        self.set()
        self.program = folder / "program-with-clocks"
        shim = shutil.copy(os.environ["CLOCK_SHIM"], folder / "clock_shim.so")
        self.program.write_text(
            f"#!/bin/sh\nexport LD_PRELOAD={shim} CLOCK_OFFSET={self.offset} {f'CLOCK_ROLE={role}' if role else ''}\n"
            f"export ASAN_OPTIONS=$ASAN_OPTIONS:verify_asan_link_order=0\nexec {program} \"$@\"\n")
        self.program.chmod(0o755)

    def set(self, wall_s=0, steady_s=0):
        """So many seconds ahead of the real ones."""
        self.wall_s, self.steady_s = wall_s, steady_s
        with open(self.offset, "r+b" if self.offset.exists() else "wb") as file:
            file.write(struct.pack("<qq", wall_s, steady_s))

    def forward(self, seconds):
        """Time passes."""
        self.set(self.wall_s + seconds, self.steady_s + seconds)
