//! What the arguments of `run` mean: which files, in which formats.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::check;
use super::stdout::Kept;
use crate::args::RunOptions;
use crate::error::Error;
use crate::formats::Format;

/// How much of the front and of the back of an input stands for its content.
const LOOKED_AT: u64 = 1 << 16;

/// A run, decided.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) input: Input,
    pub(crate) input_format: Format,
    pub(crate) output: Output,
    pub(crate) output_format: Format,
    /// Where failed items are listed; `None`: on standard error, in words.
    pub(crate) errors: Option<PathBuf>,
    pub(crate) is_indexed: bool,
}

/// Where records come from.
#[derive(Debug)]
pub(crate) enum Input {
    Standard,
    File(PathBuf, Metadata),
}

/// Where results go.
#[derive(Debug)]
pub(crate) enum Output {
    /// A pipe, a terminal, a device: what is written has gone.
    Stream(PathBuf),
    Standard,
    /// A file that stays.
    File(PathBuf),
}

impl Plan {
    pub(crate) fn of(options: &RunOptions, kept: &Kept) -> Result<Plan, Error> {
        let input = Input::of(&options.input)?;
        let input_format = match (&input, options.format) {
            (_, Some(format)) => format,
            (Input::Standard, None) => Format::Text,
            (Input::File(path, _), None) => Format::of(path, "--format")?,
        };
        let output = match options.output.as_deref() {
            None => Output::Standard,
            Some(path) if path == Path::new("-") => Output::Standard,
            Some(path) => match std::fs::metadata(path) {
                Ok(found) if found.is_dir() => {
                    let source = io::ErrorKind::IsADirectory.into();
                    return Err(Error::Unwritable { path: path.to_owned(), source });
                }
                Ok(found) if !found.is_file() => Output::Stream(path.to_owned()),
                _ => Output::File(path.to_owned()),
            },
        };
        let output_format = match (&output, options.output_format) {
            (_, Some(format)) => format,
            (Output::Standard | Output::Stream(_), None) => Format::Jsonl,
            (Output::File(path), None) => Format::of(path, "--output-format")?,
        };
        let is_piped = |format, is_file: bool| format == Format::Parquet && !is_file;
        if is_piped(input_format, matches!(input, Input::File(..)))
            || is_piped(output_format, matches!(output, Output::File(_)))
        {
            return Err(Error::TableInPipe);
        }
        if options.retry_failed && output_format == Format::Parquet {
            return Err(Error::TableRetry);
        }
        let errors = match (&options.errors, &output) {
            (Some(path), _) => Some(path.clone()),
            (None, Output::File(path)) => Some(beside(path, ".errors.jsonl")),
            (None, _) => None,
        };
        let is_indexed = options.index || options.unordered;
        let plan = Plan { input, input_format, output, output_format, errors, is_indexed };
        check::check(&plan, options, kept)?;
        Ok(plan)
    }

    /// What a journal must say for this run to go on with it.
    pub(crate) fn identity(
        &self,
        options: &RunOptions,
        code: &str,
    ) -> Result<Map<String, Value>, Error> {
        let order = if options.unordered { "as they come" } else { "as the input" };
        let mut identity = Map::new();
        let mut note = |name: &str, value: Value| identity.insert(name.to_owned(), value);
        note("function", json!(options.target));
        note("code of the function", json!(code));
        note("way of passing arguments", json!(options.args.name()));
        note("input format", json!(self.input_format.name()));
        note("output format", json!(self.output_format.name()));
        note("order of results", json!(order));
        note("use of indices", json!(self.is_indexed));
        note("limit", json!(options.limit));
        if let Input::File(path, metadata) = &self.input
            && metadata.is_file()
        {
            note("size of the input", json!(metadata.len()));
            note("time of the input's last change", json!(changed(metadata)));
            let unreadable = |source| Error::Unreadable { path: path.clone(), source };
            note("content of the input", json!(fingerprint(path).map_err(unreadable)?));
        }
        Ok(identity)
    }
}

/// What may differ if the user accepts changes.
pub(crate) const CHANGEABLE: [&str; 4] = [
    "code of the function",
    "size of the input",
    "time of the input's last change",
    "content of the input",
];

impl Input {
    fn of(path: &Path) -> Result<Input, Error> {
        if path == Path::new("-") {
            return Ok(Input::Standard);
        }
        let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        if metadata.is_file() {
            File::open(path).map_err(unreadable)?; // a pipe can be opened once only
        }
        Ok(Input::File(path.to_owned(), metadata))
    }

    /// As messages name it.
    pub(crate) fn name(&self) -> String {
        match self {
            Input::Standard => "standard input".to_owned(),
            Input::File(path, _) => path.display().to_string(),
        }
    }

    /// How many bytes there are, if that is known.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Input::File(_, metadata) if metadata.is_file() => Some(metadata.len()),
            _ => None,
        }
    }

    /// Its bytes from the beginning.
    pub(crate) fn open(&self) -> Result<Box<dyn Read + Send>, Error> {
        let unreadable = |source| Error::Unreadable { path: PathBuf::from(self.name()), source };
        Ok(Box::new(self.file().map_err(unreadable)?))
    }

    pub(crate) fn file(&self) -> io::Result<File> {
        match self {
            Input::Standard => io::stdin().as_fd().try_clone_to_owned().map(File::from),
            Input::File(path, _) => File::open(path),
        }
    }
}

/// The path with `ending` behind its name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn changed(metadata: &Metadata) -> String {
    format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec())
}

fn fingerprint(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut bytes = Vec::new();
    file.by_ref().take(LOOKED_AT).read_to_end(&mut bytes)?;
    let length = file.metadata()?.len();
    if length > 2 * LOOKED_AT {
        file.seek(SeekFrom::Start(length - LOOKED_AT))?;
    }
    file.take(LOOKED_AT).read_to_end(&mut bytes)?;
    // FNV-1a: the same in every version of this program.
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    Ok(format!("{hash:016x}"))
}
