//! `allcores compare` and `allcores explain`: the host measures, the words are its own.

use std::path::Path;

use crate::args::{CompareOptions, ExplainOptions};
use crate::error::Error;
use crate::formats::Format;
use crate::host::{Host, Request};
use crate::render;
use crate::run::check::can_be_written;

/// Compares the rungs; the exit code.
pub(crate) fn compare(options: &CompareOptions, host: &dyn Host) -> Result<u8, Error> {
    for path in [&options.html, &options.json].into_iter().flatten() {
        can_be_written(path)?;
    }
    let words = host.compare(&Request {
        target: options.target.clone(),
        input: Some(options.input.clone()),
        format: format(&options.input, options.format)?,
        calling: options.args,
        sample: options.sample,
        backends: options.backends.clone(),
        html: options.html.clone(),
        json: options.json.clone(),
    })?;
    Ok(render::say(&words))
}

/// Explains a function; the exit code.
pub(crate) fn explain(options: &ExplainOptions, host: &dyn Host) -> Result<u8, Error> {
    let format = match &options.input {
        Some(input) => format(input, options.format)?,
        None => Format::Text,
    };
    let words = host.explain(&Request {
        target: options.target.clone(),
        input: options.input.clone(),
        format,
        calling: options.args,
        sample: options.sample,
        backends: Vec::new(),
        html: None,
        json: None,
    })?;
    Ok(render::say(&words))
}

fn format(input: &Path, said: Option<Format>) -> Result<Format, Error> {
    said.map_or_else(|| Format::of(input, "--format"), Ok)
}
