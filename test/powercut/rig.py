# SPDX-License-Identifier: ISC
"""File systems on disks that are recorded, and on those that a cut leaves."""
import contextlib
import os
import pathlib
import shutil
import subprocess
import time

from blocklog import copy_data

DISK_BYTES = 512 << 20
FILE_SYSTEMS = {
    "ext4": ["mkfs.ext4", "-q", "-E", "nodiscard"],
    "xfs": ["mkfs.xfs", "-q", "-K"],
    "btrfs": ["mkfs.btrfs", "-q", "-K"],
}


def run(*words):
    done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise OSError(f"{' '.join(map(str, words))}: {done.stdout.decode().strip()}")
    return done.stdout.decode().strip()


def unmount(folder):
    """A loop device may hold on to its file for a moment after it was told to let go."""
    for _ in range(250):
        try:
            return run("umount", folder)
        except OSError as trouble:
            if "busy" not in str(trouble):
                raise
            time.sleep(0.02)  # between two looks
    return run("umount", folder)


class Mounted:
    """A file system on a loop device on this file, mounted on this folder."""

    def __init__(self, file_system, backing, folder, make=False):
        self.file_system, self.folder, self.mounted = file_system, pathlib.Path(folder), False
        self.folder.mkdir(exist_ok=True)
        self.loop = run("losetup", "--find", "--show", "--sector-size", "4096", backing)
        try:
            if make:
                run(*FILE_SYSTEMS[file_system], self.loop)
            if file_system == "btrfs":  # it remembers a later state of what is, to it, the same disk
                run("btrfs", "device", "scan", "--forget")
            run("mount", "-t", file_system, self.loop, self.folder)
            self.mounted = True
        except OSError:
            self.close()
            raise

    def close(self):
        if self.mounted:
            self.mounted = False
            unmount(self.folder)
        if self.loop:
            loop, self.loop = self.loop, None
            run("losetup", "--detach", loop)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


def places(folder, number):
    return [pathlib.Path(folder) / f"mnt{i}" for i in range(number)]


@contextlib.contextmanager
def mounted(file_system, backings, folder):
    """The disks after a cut, on mnt0, mnt1 ... in this folder."""
    with contextlib.ExitStack() as stack:
        for backing, place in zip(backings, places(folder, len(backings))):
            stack.enter_context(Mounted(file_system, backing, place))
        yield


class Recorded:
    """File systems on mnt0, mnt1 ... in this folder, whose disks are recorded; new ones, or what these images hold."""

    def __init__(self, programs, file_system, folder, number, images=()):
        self.folder, self.stack = pathlib.Path(folder), contextlib.ExitStack()
        self.fuse, self.log = self.folder / "fuse", self.folder / "log"
        self.log.unlink(missing_ok=True)
        self.fuse.mkdir(exist_ok=True)
        self.disk = subprocess.Popen([programs / "powercut-disk", str(number), str(DISK_BYTES), self.log, self.fuse])
        try:
            self.wait_for_fuse()
            self.stack.callback(self.end_fuse)
            self.mark_fd = os.open(self.fuse / "mark", os.O_WRONLY)
            self.stack.callback(os.close, self.mark_fd)
            for i, place in enumerate(places(folder, number)):
                if images:
                    fill(images[i], self.fuse / f"disk{i}")
                self.stack.enter_context(Mounted(file_system, self.fuse / f"disk{i}", place, make=not images))
        except OSError:
            self.stack.close()
            raise

    def wait_for_fuse(self):
        for _ in range(500):
            if (self.fuse / "mark").exists():
                return
            if self.disk.poll() is not None:
                break
            time.sleep(0.02)  # between two looks
        raise OSError("the recording disk did not start: it needs root and /dev/fuse")

    def end_fuse(self):
        unmount(self.fuse)
        self.disk.wait()

    def mark(self, word, name):
        """What somebody outside has seen takes its place among the writes."""
        os.write(self.mark_fd, f"{word} {name}".encode())

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.stack.close()


def fill(image, disk):
    """What was on the disk already, when it is recorded for the second time."""
    with open(image, "rb") as source, open(disk, "r+b", buffering=0) as to:
        copy_data(source.fileno(), to.fileno())
        os.fsync(to.fileno())


def fresh(folder):
    """An empty folder that every role can enter."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    folder.chmod(0o755)
    return folder
