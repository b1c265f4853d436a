//! How records lie in a file, and how one becomes arguments.

use std::path::Path;

use clap::ValueEnum;

use crate::error::Error;

/// How records lie in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON value a line (JSON Lines)
    Jsonl,
    /// One text a line
    Text,
    /// Comma-separated values with a header; fields are texts
    Csv,
    /// A Parquet file (needs pyarrow)
    Parquet,
}

/// How a record becomes arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Calling {
    /// fn(record)
    Item,
    /// fn(*record): a list's values, or the fields of a row in their order
    Unpack,
    /// fn(**record): an object's or a row's fields by name
    Kwargs,
}

impl Format {
    /// As users give it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Jsonl => "jsonl",
            Format::Text => "text",
            Format::Csv => "csv",
            Format::Parquet => "parquet",
        }
    }

    /// The format that a path's ending names.
    pub(crate) fn of(path: &Path, option: &'static str) -> Result<Format, Error> {
        let ending = path.extension().map(|each| each.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("jsonl" | "ndjson" | "jl") => Ok(Format::Jsonl),
            Some("txt" | "text" | "lst" | "list" | "lines") => Ok(Format::Text),
            Some("csv") => Ok(Format::Csv),
            Some("parquet" | "pq") => Ok(Format::Parquet),
            other => Err(match other.and_then(packer) {
                Some(packer) => compressed(path, option, packer),
                None => Error::UnknownFormat { path: path.to_owned(), option },
            }),
        }
    }
}

fn compressed(path: &Path, option: &str, packer: &str) -> Error {
    let shown = path.display();
    let pipe = match option {
        "--format" => format!("{packer} -dc {shown} | allcores run … - --format …"),
        _ => format!("allcores run … | {packer} > {shown}"),
    };
    Error::Compressed { path: path.to_owned(), pipe }
}

/// What makes files with this ending, and reads them.
fn packer(ending: &str) -> Option<&'static str> {
    match ending {
        "gz" => Some("gzip"),
        "bz2" => Some("bzip2"),
        "xz" => Some("xz"),
        "zst" => Some("zstd"),
        _ => None,
    }
}

impl Calling {
    /// As users give it.
    pub fn name(self) -> &'static str {
        match self {
            Calling::Item => "item",
            Calling::Unpack => "unpack",
            Calling::Kwargs => "kwargs",
        }
    }
}
