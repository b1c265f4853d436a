"""Fuzzes every decoder of bytes that another process wrote, guided by coverage, on stable Rust.

    python scripts/fuzz.py --seconds 60            # so long in all, all targets
    python scripts/fuzz.py --seconds 600 pool shm_parent

The targets are those of `crates/allcores-engine/tests/fuzz`, which every `cargo test` runs for a
moment; here libFuzzer drives them, with the compiler's coverage counters and no sanitizer (these
need a nightly compiler). What it learns stays in `out/fuzz/corpus`. An input that breaks a target
is put into `tests/fuzz/found/<target>/` there, where the tests find it from then on. Needs a C++
compiler, for libFuzzer. Exit code 1 if anything was found, or nothing was run.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGETS = ROOT / "crates" / "allcores-engine" / "tests" / "fuzz"
OUT = ROOT / "out" / "fuzz"
BUILD = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "fuzz"
COVERAGE = ["-Cpasses=sancov-module"] + [
    f"-Cllvm-args=-sanitizer-coverage-{each}"
    for each in ("level=4", "inline-8bit-counters", "pc-table", "trace-compares")
]
LONGEST_INPUT = 1500
LONGEST_RUN_SECONDS = 40
MOST_MEGABYTES = 2000
SHOWN_LINES = 30


def names() -> list[str]:
    """The targets, as their table has them."""
    found = re.findall(r'^    \("(\w+)", ', (TARGETS / "mod.rs").read_text(), re.MULTILINE)
    if not found:
        raise SystemExit("no targets are found in `fuzz/mod.rs`")
    return found


def host() -> str:
    said = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    (found,) = re.findall(r"^host: (.+)$", said, re.MULTILINE)
    return str(found)


def build() -> Path:
    """Builds the fuzzer; flags with a `--target` do not touch build scripts."""
    target = host()
    environment = {
        **os.environ,
        "RUSTFLAGS": " ".join(COVERAGE),
        "CARGO_TARGET_DIR": str(BUILD),
    }
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--target", target]
    subprocess.run(command, cwd=ROOT / "fuzz", env=environment, check=True)
    return BUILD / target / "release" / "allcores-fuzz"


def fuzz(program: Path, name: str, seconds: int) -> int:
    """Runs one target for so long; how many inputs it tried. Raises when one broke it."""
    corpus, found = OUT / "corpus" / name, TARGETS / "found" / name
    corpus.mkdir(parents=True, exist_ok=True)
    found.mkdir(parents=True, exist_ok=True)
    ran = subprocess.run(
        [
            program,
            f"-max_total_time={seconds}",
            f"-timeout={LONGEST_RUN_SECONDS}",
            f"-max_len={LONGEST_INPUT}",
            f"-rss_limit_mb={MOST_MEGABYTES}",
            f"-artifact_prefix={found}/",
            "-print_final_stats=1",
            corpus,
        ],
        env={**os.environ, "ALLCORES_FUZZ_TARGET": name},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    (OUT / f"{name}.log").write_text(ran.stdout + ran.stderr)
    if ran.returncode != 0:
        print("\n".join(ran.stderr.splitlines()[-SHOWN_LINES:]))
        raise RuntimeError(f"an input broke it, see {found.relative_to(ROOT)}")
    if not any(found.iterdir()):
        found.rmdir()
    (tried,) = re.findall(r"number_of_executed_units: (\d+)", ran.stderr)
    return int(tried)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="in all, without building")
    parser.add_argument("targets", nargs="*", metavar="target", help=f"of {', '.join(names())}")
    options = parser.parse_args()
    chosen = options.targets or names()
    if unknown := set(chosen) - set(names()):
        parser.error(f"unknown target: {', '.join(sorted(unknown))}")
    program = build()
    each = max(1, options.seconds // len(chosen))
    tried, broken = 0, []
    for name in chosen:
        try:
            count = fuzz(program, name, each)
        except RuntimeError as error:
            broken.append(name)
            print(f"{name:16}{error}", flush=True)
        else:
            tried += count
            print(f"{name:16}{count} inputs in {each} s", flush=True)
    print(f"inputs tried    {tried}\ntargets broken  {len(broken)}")
    return 1 if broken or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
