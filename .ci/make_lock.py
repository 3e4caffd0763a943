"""Writes the lock files: exact versions with the hashes of every platform, and no address in them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
UV_VERSION = "0.13.9"
# The environment installs the project without build isolation, so what builds it has to be pinned too.
BUILD_REQUIREMENT = "setuptools>=77\n"
RUNTIME, DEV = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"


def main() -> None:
    uv = find_uv()
    RUNTIME.touch()
    compile_lock(uv, RUNTIME)
    # The development lock holds the same versions as the production one, and more.
    compile_lock(uv, DEV, "--extra", "dev", "--constraint", str(RUNTIME))
    for lock in (RUNTIME, DEV):
        if re.search(r"https?://|--(extra-)?index-url|--find-links", lock.read_text()):
            sys.exit(f"make: {lock.name} names an address; it has to work behind any mirror")
        print(f"{lock.name}: {len(re.findall(r'^[a-z0-9]', lock.read_text(), re.MULTILINE))} packages")


def find_uv() -> str:
    """A uv on PATH, or one in an environment of its own: it only locks, installing is pip's work."""
    found = shutil.which("uv")
    if found:
        return found
    folder = ROOT / ".local" / "uv"
    if not (folder / "bin" / "uv").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin" / "pip", "install", "--quiet", f"uv=={UV_VERSION}"], check=True)  # noqa: S603
    return str(folder / "bin" / "uv")


def compile_lock(uv: str, output: Path, *arguments: str) -> None:
    command = [
        uv,
        "pip",
        "compile",
        "--quiet",
        "--universal",
        "--python-version",
        "3.11",
        "--generate-hashes",
    ]
    command += ["--no-annotate", "--no-emit-index-url", "--no-emit-find-links", "--upgrade"]
    command += ["--custom-compile-command", "make lock", *arguments, "--output-file", str(output)]
    command += ["pyproject.toml", "-"]
    result = subprocess.run(  # noqa: S603
        command, cwd=ROOT, input=BUILD_REQUIREMENT, text=True, check=False, env=os.environ
    )
    if result.returncode:
        sys.exit("make: uv could not resolve pyproject.toml (its reason stands above)")


if __name__ == "__main__":
    main()
