# SPDX-License-Identifier: ISC
"""testssl.sh against every port of a real server. A finding above "low" has to be explained in docs/SECURITY.md."""
import argparse
import concurrent.futures
import datetime
import json
import pathlib
import re
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "scenario"))
from harness import Authority, Sealpost
from harness.case import need

PAGE = pathlib.Path(__file__).resolve().parents[2] / "docs/SECURITY.md"
HEADING = "\n## What testssl.sh says\n"
FINE = ("OK", "INFO", "LOW", "DEBUG")
LEAST_FINDINGS = 80  # fewer, and it has not looked


def explained(text):
    """The findings that have a row, as (what, how it is rated)."""
    section = text.partition(HEADING)[2].partition("\n## ")[0]
    return {(what, rated.upper()) for what, rated in re.findall(r"^\| `(\w+)` \| (\w+) \|", section, re.M)}


def examine(words, report, ca):
    command = [need("testssl"), "--quiet", "--color", "0", "--warnings", "off", "--add-CA", ca, "--jsonfile", report, *words]
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, check=False)
    try:
        return json.loads(report.read_text())
    except (OSError, ValueError):
        sys.exit(f"testssl.sh did not end well:\n{done.stdout.decode(errors='replace')[-4000:]}")


def judge(port, findings, known):
    """Prints what it found; False if something has no explanation."""
    found = [f for f in findings if f["severity"] not in FINE]
    troubles = [f for f in found if (f["id"], f["severity"]) not in known]
    other = {f["id"] for f in found if f not in troubles}
    if len(findings) < LEAST_FINDINGS:
        troubles.append({"severity": "FATAL", "id": "count", "finding": f"only {len(findings)} findings"})
    print(f"{port}: {len(findings)} findings, explained: {' '.join(sorted(other)) or 'none'}, "
          f"not explained: {len(troubles)}")
    for f in troubles:
        print(f"    {f['severity']} {f['id']}: {f['finding']}")
    return not troubles


def start_server(folder, program):
    """With a certificate that is good for as long as those of public authorities, not for the tests' month."""
    authority = Authority(folder)
    server = Sealpost(folder, program=program, authority=authority, limits="connections-per-client 1000")
    now = datetime.datetime.now(datetime.timezone.utc)
    server.cert, server.key = authority.issue(
        "mx1.example.test", "localhost", "127.0.0.1", file="long", start=f"{now:%Y%m%d%H%M%SZ}",
        end=f"{now + datetime.timedelta(days=90):%Y%m%d%H%M%SZ}")
    return server.start()


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--program", type=pathlib.Path, required=True, help="the sealpost to examine")
    o = p.parse_args()
    known = explained(PAGE.read_text())
    with tempfile.TemporaryDirectory(prefix="sealpost-testssl-", dir="/tmp") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        server = start_server(folder, o.program.resolve())
        try:
            ports = {"465": [f"localhost:{server.port_submissions}"],
                     "587 (STARTTLS)": ["--starttls", "smtp", f"localhost:{server.port_submission}"],
                     "25 (STARTTLS)": ["--starttls", "smtp", f"localhost:{server.port_mx}"]}
            with concurrent.futures.ThreadPoolExecutor() as pool:
                runs = {port: pool.submit(examine, words, folder / f"{port[:3].strip()}.json", server.authority.cert)
                        for port, words in ports.items()}
            verdicts = [judge(port, run.result(), known) for port, run in runs.items()]
        finally:
            server.stop()
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
