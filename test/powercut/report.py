# SPDX-License-Identifier: ISC
"""Results as rows of a table, and that table on a page."""
import dataclasses
import re


@dataclasses.dataclass
class Row:
    part: str
    what: str
    file_system: str
    cuts: int
    losses: int            # cuts after which something was missing, torn or too much
    most: int = 0          # letters that one cut lost
    flushes: int = 0
    letters: int = 0
    expect: object = None  # losses: 0, "some", or None where nothing is promised

    def is_right(self):
        return self.losses > 0 if self.expect == "some" else self.expect is None or self.losses == self.expect

    def __str__(self):
        more = f", at most {self.most} letters" if self.most else ""
        return f"{self.part}: {self.what}: {self.file_system}: {self.losses} of {self.cuts} cuts lose{more}"

    def cell(self):
        if self.losses == 0:
            return f"0 of {self.cuts}"
        return f"**{self.losses}** of {self.cuts}" + (f", up to {self.most}" if self.most else "")


BEGIN, END = "<!-- written by `make powercut`: -->\n", "<!-- end -->"


def table(rows, title):
    systems = list(dict.fromkeys(row.file_system for row in rows))
    lines = [f"| {title} | {' | '.join(systems)} |", "| --- |" + " --- |" * len(systems)]
    for what in dict.fromkeys(row.what for row in rows):
        cells = {row.file_system: row.cell() for row in rows if row.what == what}
        lines.append(f"| {what} | {' | '.join(cells.get(system, '-') for system in systems)} |")
    return "\n".join(lines) + "\n"


def text_of(rows, o):
    ours = [row for row in rows if row.part == "sealpost"]
    parts = [f"Seed {o.seed}: {sum(row.cuts for row in ours)} cuts of Sealpost, recorded over {sum(row.letters for row in ours)} "
             f"acknowledged letters and {sum(row.flushes for row in ours)} flushes of the disk. A cell tells after how many of "
             "the cuts anything was missing, and how many letters at most.\n"]
    for part, title in (("sealpost", "Sealpost"), ("planted", "Sealpost with a fault planted"),
                        ("classic", "what an order alone loses")):
        chosen = [row for row in rows if row.part == part]
        if chosen:
            parts.append(table(chosen, title))
    return "\n".join(parts)


def put_into(page, rows, o):
    old = page.read_text()
    new = re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: f"{BEGIN}\n{text_of(rows, o)}\n{END}", old, flags=re.S)
    page.write_text(new)
