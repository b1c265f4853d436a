"""The Python side of the command line, whose program is written in Rust (`crates/allcores-cli`).

`entry` is where it begins, `host` what the program asks of Python, `target` finds the function,
`job` is what runs in the workers, `tables` knows Parquet, `checkup` looks at the machine.
"""
