"""
A disk whose power can be cut: disk.c in front of the C library, and what is found on the disk after the cut.

A copy of the files after kill -9 shows what the kernel holds, synced or not. disk.c keeps beside each file of the store what
has been synced of it; `cut` puts that in its place. A real disk may have written more of its own accord: so `cut` takes some
pieces of what was not synced as well.
"""

import os
import shutil
import subprocess

PIECE = 4096


def build(folder):
    """Compiles disk.c; the path of the library."""
    library = os.path.join(folder, "disk.so")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "disk.c")
    subprocess.run([os.environ.get("CC", "cc"), "-Wall", "-Wextra", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"],
                   check=True)
    return library


class Disk:
    """Under one daemon. `library` is from build(); `shadow` is made."""

    def __init__(self, story, daemon, library, **settings):
        self.state = daemon.state
        self.shadow = story.path("shadow")
        os.mkdir(self.shadow)
        story.hand_over(self.shadow)
        daemon.env.update(LD_PRELOAD=library, DISK_DIR=self.state, DISK_SHADOW=self.shadow,
                          **{"DISK_" + name.upper(): str(value) for name, value in settings.items()})

    def files(self):
        """{name: inode} of the store as the kernel has it."""
        if not os.path.isdir(self.state):
            return {}
        return {entry.name: entry.inode() for entry in os.scandir(self.state) if entry.name.startswith("futured.db")}

    def settle(self):
        """Before a start: all that is there is on the disk, as if it had had time."""
        for name in os.listdir(self.shadow):
            os.unlink(os.path.join(self.shadow, name))
        files = self.files()
        for name, inode in files.items():
            shutil.copyfile(os.path.join(self.state, name), os.path.join(self.shadow, str(inode)))
        with open(os.path.join(self.shadow, "names"), "w", encoding="utf-8") as file:
            file.write("".join("%d %s\n" % (inode, name) for name, inode in files.items()))

    def cut(self, rng, more):
        """After all was killed: what the next start finds. `more` is the chance of each unsynced piece to be there too."""
        found = {}
        with open(os.path.join(self.shadow, "names"), encoding="utf-8") as file:
            names = [line.split(None, 1) for line in file.read().splitlines()]
        there = {inode: name for name, inode in self.files().items()}
        for inode, name in names:
            found[name] = self.content(os.path.join(self.shadow, inode),
                                       os.path.join(self.state, there.get(int(inode), "none")), rng, more)
        for name in there.values():
            os.unlink(os.path.join(self.state, name))
        for name, data in found.items():
            with open(os.open(os.path.join(self.state, name), os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
                file.write(data)

    @staticmethod
    def content(synced, written, rng, more):
        data, newer = ([open(path, "rb").read() if os.path.exists(path) else b"" for path in (synced, written)])
        if more == 0:
            return data
        pieces = []
        for at in range(0, max(len(data), len(newer)), PIECE):
            old, new = data[at:at + PIECE], newer[at:at + PIECE]
            pieces.append(new if new and (not old or old != new) and rng.random() < more else old or b"\0" * len(new))
        return b"".join(pieces)
