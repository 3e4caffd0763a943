"""Makes the environment from the hash-pinned lock, and only again when the lock or the project changed."""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-dev.lock"
PROJECT = ROOT / "pyproject.toml"
# Where pip leaves what it had unpacked when it is killed; TMPDIR of the Makefile.
SCRATCH = ROOT / ".local" / "tmp"


def main() -> None:
    folder = ROOT / sys.argv[1]
    scratch = ROOT / ".local"
    scratch.mkdir(exist_ok=True)
    with (scratch / "venv.lock").open("w") as in_use:
        fcntl.flock(in_use, fcntl.LOCK_EX)
        make(folder)


def make(folder: Path) -> None:
    """Bring the environment up to date; a stamp that matches means there is nothing to do."""
    stamp = folder / "stamp.json"
    wanted = {
        "interpreter": f"{sys.version} {sys.base_prefix}",
        "folder": str(folder),
        "lock": digest(LOCK),
        "project": digest(PROJECT),
    }
    found = read(stamp)
    if found == wanted and runs(folder):
        return
    started = time.monotonic()
    for leftover in SCRATCH.glob("pip-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    same_packages = all(found.get(key) == wanted[key] for key in ("interpreter", "folder", "lock"))
    if not (same_packages and runs(folder)):
        print(f"Making {folder.name} with Python {sys.version.split()[0]} from {LOCK.name} ...", flush=True)
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True, symlinks=True)
        pip(folder, "--require-hashes", "--requirement", str(LOCK))
    print("Installing the project itself ...", flush=True)
    # The project's build needs setuptools, which stands in the lock: nothing unpinned is downloaded.
    pip(folder, "--quiet", "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    stamp.write_text(json.dumps(wanted, indent=1))
    print(f"{folder.name} is ready after {time.monotonic() - started:.0f} s.", flush=True)


def pip(folder: Path, *arguments: str) -> None:
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    if not sys.stdout.isatty():
        command += ["--progress-bar", "off"]
    if subprocess.run([*command, *arguments], cwd=ROOT, check=False).returncode:  # noqa: S603
        sys.exit("make: pip failed, its reason stands above: check the network or the mirror and run again")


def runs(folder: Path) -> bool:
    try:
        return not subprocess.run([str(folder / "bin" / "python"), "-c", ""], check=False).returncode  # noqa: S603
    except OSError:
        return False


def read(stamp: Path) -> dict[str, str]:
    try:
        content: dict[str, str] = json.loads(stamp.read_text())
    except (OSError, ValueError):
        return {}
    return content


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        sys.exit(f"make: cannot make the environment: {error}")
