"""What can't be meant, can't be read, can't be written: the words, the exit code, and that nothing
which was written is damaged.
"""

from __future__ import annotations

import os
import sys

import pytest
from support.commands import Folder

RUN = ("run", "work:same", "in.jsonl")
TO = ("-o", "out.jsonl")


@pytest.fixture(autouse=True)
def three(folder: Folder) -> None:
    folder.json_lines("in.jsonl", [1, 2, 3])


def refused(folder: Folder, *arguments: str) -> str:
    """The words of a command that must not have left anything."""
    before = folder.names()
    ended = folder.run(*arguments)
    assert ended.code == 2
    assert ended.out == ""
    assert folder.names() == before
    return ended.said


# The function


def test_target_without_a_function(folder: Folder) -> None:
    assert refused(folder, "run", "work", "in.jsonl", *TO) == (
        "allcores: `work` names no function\n"
        "hint: write `module:function`, for instance `shop.prices:price`, or `prices.py:price`\n"
    )


def test_missing_module(folder: Folder) -> None:
    assert refused(folder, "run", "wrok:same", "in.jsonl", *TO) == (
        "allcores: there is no module `wrok`\n"
        "hint: modules are looked for in `HERE` and where this Python (`PYTHON`) has its packages; "
        "a file is named `path/to/file.py:function`\n"
    )


def test_missing_file_of_a_function(folder: Folder) -> None:
    assert refused(folder, "run", "sub/none.py:same", "in.jsonl", *TO) == (
        "allcores: there is no file `sub/none.py`\nhint: look at its path\n"
    )


def test_file_that_another_module_hides(folder: Folder) -> None:
    (folder.path / "sub").mkdir()
    folder.write("sub/os.py", "def same(value):\n    return value\n")
    said = refused(folder, "run", "sub/os.py:same", "in.jsonl", *TO)
    assert said.startswith("allcores: `sub/os.py` is hidden by another module of its name, `/")
    assert said.endswith("os.py`\nhint: rename the file\n")


def test_import_that_raises(folder: Folder) -> None:
    folder.write("broken.py", "import os\n\n1 / 0\n")
    assert refused(folder, "run", "broken:fn", "in.jsonl", *TO) == (
        "allcores: `broken` can't be imported: ZeroDivisionError: division by zero "
        "(line 3 of `HERE/broken.py`)\n"
        'hint: `python -c "import broken"` shows the whole traceback\n'
    )


def test_import_that_ends_the_program(folder: Folder) -> None:
    folder.write("leaves.py", "import sys\nsys.exit(3)\n")
    said = refused(folder, "run", "leaves:fn", "in.jsonl", *TO)
    assert said.startswith("allcores: `leaves` can't be imported: SystemExit: 3 (line 2 of ")


def test_import_with_a_syntax_error(folder: Folder) -> None:
    folder.write("wrong.py", "def fn(:\n")
    said = refused(folder, "run", "wrong:fn", "in.jsonl", *TO)
    assert said.startswith("allcores: `wrong` can't be imported: SyntaxError: ")
    assert "(line 1 of `HERE/wrong.py`)" in said


def test_import_of_a_module_that_is_missing(folder: Folder) -> None:
    folder.write("needs.py", "import not_there_at_all\n")
    said = refused(folder, "run", "needs:fn", "in.jsonl", *TO)
    assert said.startswith(
        "allcores: `needs` can't be imported: ModuleNotFoundError: No module named "
        "'not_there_at_all' (line 1 of `HERE/needs.py`)\n"
    )


def test_function_that_is_not_there(folder: Folder) -> None:
    assert refused(folder, "run", "work:sam", "in.jsonl", *TO) == (
        "allcores: `work` has no `sam`\nhint: did you mean `same`?\n"
    )


def test_function_that_is_not_callable(folder: Folder) -> None:
    assert refused(folder, "run", "work:number", "in.jsonl", *TO) == (
        "allcores: `work:number` can't be called, it is of type `int`\nhint: name a function\n"
    )


def test_coroutine_function(folder: Folder) -> None:
    assert refused(folder, "run", "work:later", "in.jsonl", *TO) == (
        "allcores: `work:later` is a coroutine function\n"
        "hint: name a plain one that does `asyncio.run(...)`\n"
    )


def test_unknown_backend(folder: Folder) -> None:
    assert refused(folder, *RUN, *TO, "--backend", "hamsters").startswith(
        "allcores: there is no backend `hamsters`\nhint: one of `auto`, "
    )


# The files


def test_missing_input(folder: Folder) -> None:
    assert refused(folder, "run", "work:same", "none.jsonl", *TO) == (
        "allcores: `none.jsonl` can't be read: No such file or directory (os error 2)\n"
        "hint: look at its path and its permissions\n"
    )


def test_input_that_is_a_folder(folder: Folder) -> None:
    assert refused(folder, "run", "work:same", ".", *TO) == (
        "allcores: `.` can't be read: is a directory\nhint: look at its path and its permissions\n"
    )


def test_ending_that_names_no_format(folder: Folder) -> None:
    folder.write("in.data", "1\n")
    assert refused(folder, "run", "work:same", "in.data", *TO) == (
        "allcores: the ending of `in.data` names no format\n"
        "hint: say it with `--format`: jsonl, text, csv or parquet\n"
    )
    assert refused(folder, *RUN, "-o", "out.data") == (
        "allcores: the ending of `out.data` names no format\n"
        "hint: say it with `--output-format`: jsonl, text, csv or parquet\n"
    )


def test_input_and_output_that_are_the_same_file(folder: Folder) -> None:
    os.link(folder.path / "in.jsonl", folder.path / "other.jsonl")
    for output in ("in.jsonl", "./in.jsonl", "other.jsonl"):
        assert refused(folder, *RUN, "-o", output, "--overwrite") == (
            f"allcores: input and output are the same file, `{output}`\nhint: choose another name\n"
        )
    assert refused(folder, *RUN, *TO, "--errors", "in.jsonl") == (
        "allcores: input and the list of errors are the same file, `in.jsonl`\n"
        "hint: choose another name\n"
    )
    assert folder.text("in.jsonl") == "1\n2\n3\n"


def test_streams_that_are_the_same_file(folder: Folder) -> None:
    same = "allcores: input and output are the same file, `in.jsonl`\nhint: choose another name\n"
    ended = folder.run(*RUN, behind=">> in.jsonl")
    assert (ended.code, ended.said) == (2, same)
    ended = folder.run(
        *("run", "work:same", "--format", "jsonl", "-o", "in.jsonl", "--overwrite"),
        behind="< in.jsonl",
    )
    assert (ended.code, ended.said) == (2, same)
    assert folder.text("in.jsonl") == "1\n2\n3\n"


@pytest.mark.parametrize(
    ("option", "path", "one", "other"),
    [
        ("--errors", "./out.jsonl", "output", "the list of errors"),
        ("--errors", "out.jsonl.journal", "the journal", "the list of errors"),
        ("--trace", "in.jsonl", "input", "the trace"),
        ("--trace", "out.jsonl", "output", "the trace"),
        ("--trace", "out.jsonl.errors.jsonl", "the list of errors", "the trace"),
    ],
)
def test_other_files_that_are_the_same(
    folder: Folder, option: str, path: str, one: str, other: str
) -> None:
    assert refused(folder, *RUN, *TO, option, path) == (
        f"allcores: {one} and {other} are the same file, `{path}`\nhint: choose another name\n"
    )


@pytest.mark.parametrize("option", ["--errors", "--trace"])
def test_other_files_that_can_not_be_written(folder: Folder, option: str) -> None:
    for more in ((), TO):
        assert refused(folder, *RUN, *more, option, "none/file") == (
            "allcores: `none/file` can't be written: No such file or directory (os error 2)\n"
            "hint: look at its folder and its permissions\n"
        )
        assert refused(folder, *RUN, *more, option, ".") == (
            "allcores: `.` can't be written: is a directory\n"
            "hint: look at its folder and its permissions\n"
        )


@pytest.mark.parametrize("option", ["--html", "--json"])
def test_pages_of_a_comparison_that_can_not_be_written(folder: Folder, option: str) -> None:
    assert refused(folder, "compare", "work:same", "in.jsonl", option, "none/file") == (
        "allcores: `none/file` can't be written: No such file or directory (os error 2)\n"
        "hint: look at its folder and its permissions\n"
    )


def test_trace_that_would_replace_a_device(folder: Folder) -> None:
    assert refused(folder, *RUN, *TO, "--trace", "/dev/null") == (
        "allcores: `/dev/null` can't be written: it is no regular file\n"
        "hint: look at its folder and its permissions\n"
    )


def test_errors_that_nobody_could_go_on_with(folder: Folder) -> None:
    assert refused(folder, *RUN, *TO, "--errors", "/dev/null", "--overwrite") == (
        "allcores: `/dev/null` is no file that keeps what failed\n"
        "hint: name a file; `--retry-failed` and `--resume` read it\n"
    )


def test_output_that_is_a_folder(folder: Folder) -> None:
    assert refused(folder, *RUN, "-o", ".") == (
        "allcores: `.` can't be written: is a directory\n"
        "hint: look at its folder and its permissions\n"
    )


def test_compressed_files(folder: Folder) -> None:
    folder.write("in.jsonl.gz", b"\x1f\x8b")
    assert refused(folder, "run", "work:same", "in.jsonl.gz", *TO) == (
        "allcores: `in.jsonl.gz` is compressed\n"
        "hint: send it through a pipe: "
        "`gzip -dc in.jsonl.gz | allcores run … - --format …`\n"
    )
    assert refused(folder, *RUN, "-o", "out.jsonl.xz") == (
        "allcores: `out.jsonl.xz` is compressed\n"
        "hint: send it through a pipe: `allcores run … | xz > out.jsonl.xz`\n"
    )


def test_csv_without_a_header(folder: Folder) -> None:
    folder.write("in.csv", "\n1,2\n")
    assert refused(folder, "run", "work:same", "in.csv", *TO) == (
        "allcores: `in.csv` has no header line\n"
        "hint: the first line of a CSV file names its columns\n"
    )


def test_csv_with_two_columns_of_one_name(folder: Folder) -> None:
    folder.write("in.csv", 'a,"b c","b c"\n1,2,3\n')
    assert refused(folder, "run", "work:same", "in.csv", *TO) == (
        "allcores: the header of `in.csv` names `b c` twice\nhint: rename one of them\n"
    )


def test_retry_of_what_never_ran(folder: Folder) -> None:
    assert refused(folder, *RUN, *TO, "--retry-failed") == (
        "allcores: `out.jsonl.errors.jsonl` lists no failed items\n"
        "hint: `--retry-failed` needs the output and the errors of a finished run\n"
    )


def test_retry_of_a_table(folder: Folder) -> None:
    assert refused(folder, *RUN, "-o", "out.parquet", "--retry-failed") == (
        "allcores: failed items of a Parquet output can't be put in their places later\n"
        "hint: write `.jsonl` or `.csv` if you want to retry\n"
    )


def test_option_that_a_backend_can_not_keep(folder: Folder) -> None:
    said = refused(folder, *RUN, *TO, "--backend", "threads", "--timeout", "1")
    assert said.startswith(
        "allcores: `timeout` could not be kept on backend `threads`: "
        "a thread can't be stopped from outside\nhint: use `--backend processes`"
    )


def test_output_that_exists_is_kept(folder: Folder) -> None:
    folder.write("out.jsonl", "precious\n")
    assert refused(folder, *RUN, *TO) == (
        "allcores: `out.jsonl` exists already\nhint: `--overwrite` replaces it\n"
    )
    assert folder.text("out.jsonl") == "precious\n"
    assert folder.run(*RUN, *TO, "--overwrite").code == 0
    assert folder.text("out.jsonl") == "1\n2\n3\n"


def test_output_in_a_folder_that_is_not_there(folder: Folder) -> None:
    assert refused(folder, *RUN, "-o", "none/out.jsonl") == (
        "allcores: `none/out.jsonl` can't be written: No such file or directory (os error 2)\n"
        "hint: look at its folder and its permissions\n"
    )


@pytest.mark.parametrize("option", ["--resume", "--retry-failed", "--overwrite"])
def test_standard_output_can_not_be_gone_on_with(folder: Folder, option: str) -> None:
    assert refused(folder, *RUN, option) == (
        f"allcores: `{option}` needs an output file\nhint: name one with `-o`\n"
    )


def test_parquet_through_a_pipe(folder: Folder) -> None:
    assert refused(folder, *RUN, "--output-format", "parquet") == (
        "allcores: a Parquet file can't be read from or written to a pipe\nhint: name a file\n"
    )


# In the middle


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": }', "no JSON: Expecting value, at column 7"),
        ("[1, 2", "no JSON: Expecting ',' delimiter, at column 6"),
        ("1 2", "no JSON: Extra data, at column 3"),
        ("nul", "no JSON: Expecting value, at column 1"),
        ("[" * 100_000, "JSON that is nested too deeply"),
    ],
)
def test_malformed_json_names_file_line_and_value(folder: Folder, line: str, message: str) -> None:
    folder.write("bad.jsonl", f"1\n\n{line}\n2\n")
    ended = folder.run("run", "work:same", "bad.jsonl", *TO)
    shown = line if len(line) <= 200 else f"{line[:200]}…"
    assert ended.code == 1
    assert ended.said == (
        "allcores: 1 item failed, listed in `out.jsonl.errors.jsonl`\n"
        f"  line 3 of `bad.jsonl`: Malformed: {message}\n"
        f"  it was: `{shown}`\n"
        "hint: the same command with `--retry-failed` runs only those\n"
    )
    assert folder.text("out.jsonl") == "1\n2\n"


def test_malformed_line_of_50_mb_is_shown_cut(folder: Folder) -> None:
    long = "x" * 50_000_000
    folder.write("bad.jsonl", f"1\n{long}\n2\n")
    ended = folder.run("run", "work:same", "bad.jsonl")
    assert (ended.code, ended.out) == (1, "1\n2\n")
    assert ended.said == (
        "allcores: line 2 of `bad.jsonl`: Malformed: no JSON: Expecting value, at column 1\n"
        f"  it was: `{long[:200]}…`\n"
    )


def test_bytes_that_are_no_utf_8(folder: Folder) -> None:
    folder.write("bad.jsonl", b'1\n"a\xff"\n')
    ended = folder.run("run", "work:same", "bad.jsonl")
    assert (ended.code, ended.out) == (1, "1\n")
    assert ended.said == (
        "allcores: line 2 of `bad.jsonl`: Malformed: no UTF-8 at byte 3: invalid start byte\n"
        '  it was: `"a\\xff"`\n'
    )


def test_csv_record_with_too_few_fields(folder: Folder) -> None:
    folder.write("bad.csv", 'a,b\n1,2\n"x\ny"\n3,4\n')
    ended = folder.run("run", "work:same", "bad.csv", "--output-format", "text")
    assert ended.code == 1
    assert ended.said == (
        "allcores: line 3 of `bad.csv`: Malformed: 1 fields, and the header names 2\n"
        '  it was: `"x\ny"`\n'
    )


def test_result_that_json_can_not_hold(folder: Folder) -> None:
    folder.write("sets.py", "def fn(value):\n    return {value}\n")
    ended = folder.run("run", "sets:fn", "in.jsonl", "--limit", "1")
    assert (ended.code, ended.said) == (
        1,
        "allcores: line 1 of `in.jsonl`: TypeError: a `set` can't be written as JSON\n"
        "  it was: `1`\n",
    )


def test_result_that_a_line_can_not_hold(folder: Folder) -> None:
    folder.write("lines.py", "def fn(value):\n    return 'a\\nb'\n")
    ended = folder.run("run", "lines:fn", "in.jsonl", "--limit", "1", "--output-format", "text")
    assert (ended.code, ended.said) == (
        1,
        "allcores: line 1 of `in.jsonl`: ValueError: the result has a line break, which a line of "
        "text can't hold\n  it was: `1`\n",
    )


def test_reader_that_goes_away_ends_the_run_without_a_word(folder: Folder) -> None:
    folder.json_lines("many.jsonl", range(300_000))
    ended = folder.run(
        "run", "work:same", "many.jsonl", behind='| head -1; exit "${PIPESTATUS[0]}"'
    )
    assert (ended.code, ended.out, ended.said) == (141, "0\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="`/dev/full` is Linux's")
def test_device_that_is_full(folder: Folder) -> None:
    ended = folder.run(*RUN, "-o", "/dev/full")
    assert (ended.code, ended.said) == (
        1,
        "allcores: `/dev/full` could not be written: No space left on device (os error 28)\n"
        "hint: look at where the output goes\n",
    )


def test_full_disk_leaves_whole_records_and_the_run_goes_on(folder: Folder) -> None:
    folder.json_lines("many.jsonl", range(100_000))
    command = ("run", "work:same", "many.jsonl", *TO, "--backend", "serial")
    # A file that may not grow fails as a full disk does, in the middle of a record.
    ended = folder.run(*command, before="ulimit -f 111;")
    assert ended.code == 1
    assert ended.said == (
        "allcores: `out.jsonl` could not be written: File too large (os error 27)\n"
        "hint: make room, then the same command with `--resume` goes on where it stopped\n"
    )
    written = folder.text("out.jsonl")
    assert written == "".join(f"{value}\n" for value in range(written.count("\n")))
    assert len(written) > 100_000
    assert folder.run(*command, "--resume").code == 0
    assert folder.text("out.jsonl") == folder.text("many.jsonl")


def test_two_runs_into_one_output_do_not_mix(folder: Folder) -> None:
    import fcntl

    with (folder.path / "out.jsonl.journal").open("w") as journal:
        fcntl.lockf(journal, fcntl.LOCK_EX)
        ended = folder.run(*RUN, *TO, "--resume")
    assert (ended.code, ended.said) == (
        2,
        "allcores: another run is writing `out.jsonl` right now\nhint: wait for it, or end it\n",
    )
