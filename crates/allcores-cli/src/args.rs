//! The arguments as typed, and the help that a newcomer reads first.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

use crate::formats::{Calling, Format};

/// Run a Python function over a file of inputs, on all cores.
#[derive(Debug, Parser)]
#[command(
    name = "allcores",
    bin_name = "allcores",
    disable_help_subcommand = true,
    after_help = "Examples:\n  \
        allcores run shop:price orders.jsonl -o prices.jsonl\n  \
        allcores run shop:price orders.jsonl -o prices.jsonl --resume\n  \
        ls photos/*.jpg | allcores run photos:thumbnail - > done.jsonl\n  \
        allcores doctor"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(RunOptions),
    Compare(CompareOptions),
    Explain(ExplainOptions),
    Doctor(DoctorOptions),
    Trace(TraceOptions),
    /// Print the completions for a shell
    Completions {
        /// bash, elvish, fish, powershell or zsh
        #[arg(hide_possible_values = true)]
        shell: Shell,
    },
    /// Print the manual page
    Man,
}

/// Run a function over every record of a file, and write the results
///
/// Each record of INPUT is given to the function; each result becomes a record of OUTPUT, in the
/// same order. Items that fail are listed in OUTPUT.errors.jsonl. While it runs, a journal lies
/// beside the output: whatever happens, the same command with --resume goes on where it stopped.
#[derive(Debug, Args)]
#[command(
    after_help = "Formats go by the ending of a file: .jsonl .ndjson (JSON Lines), .txt (text \
        lines), .csv, .parquet.\nStandard input is text lines and standard output JSON Lines, unless \
        --format and --output-format say otherwise.\n\n\
        Exit codes: 0 all done, 1 some failed, 2 wrong usage, 130 interrupted."
)]
pub(crate) struct RunOptions {
    /// What to call: module:function, or file.py:function
    #[arg(value_name = "MODULE:FUNCTION")]
    pub(crate) target: String,

    /// The file of records; - is standard input
    #[arg(value_name = "INPUT", default_value = "-")]
    pub(crate) input: PathBuf,

    /// Where the results go [default: standard output]
    #[arg(short, long, value_name = "OUTPUT")]
    pub(crate) output: Option<PathBuf>,

    /// How a record becomes arguments
    #[arg(long, value_name = "HOW", default_value = "item", hide_possible_values = true)]
    #[arg(
        help = "How a record becomes arguments: item f(record), unpack f(*record), kwargs f(**record)"
    )]
    pub(crate) args: Calling,

    /// The format of INPUT, if its ending does not say it
    #[arg(long, value_name = "FORMAT", help_heading = "Files")]
    pub(crate) format: Option<Format>,

    /// The format of OUTPUT, if its ending does not say it
    #[arg(long, value_name = "FORMAT", help_heading = "Files", hide_possible_values = true)]
    pub(crate) output_format: Option<Format>,

    /// Take the first N records only
    #[arg(long, value_name = "N", help_heading = "Files")]
    pub(crate) limit: Option<u64>,

    /// Write the results as they come, each with the index of its record
    #[arg(long, help_heading = "Files")]
    pub(crate) unordered: bool,

    /// Write the index of its record with each result
    #[arg(long, help_heading = "Files")]
    pub(crate) index: bool,

    /// Where failed items are listed [default: OUTPUT.errors.jsonl]
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub(crate) errors: Option<PathBuf>,

    /// Replace OUTPUT if it exists
    #[arg(long, help_heading = "Files", conflicts_with_all = ["resume", "retry_failed"])]
    pub(crate) overwrite: bool,

    /// Where to run: processes (one that dies costs one item), threads, interpreters, serial, or
    /// auto for what is measured best
    #[arg(long, value_name = "BACKEND", default_value = "processes", help_heading = "Running")]
    pub(crate) backend: String,

    /// How many items at the same time [default: as many as this process has cores]
    #[arg(short = 'j', long, value_name = "N", help_heading = "Running")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..), allow_negative_numbers = true)]
    pub(crate) workers: Option<u32>,

    /// Seconds an item may run; then it has failed, and its process is replaced
    #[arg(long, value_name = "SECONDS", help_heading = "Running")]
    #[arg(value_parser = seconds, allow_negative_numbers = true)]
    pub(crate) timeout: Option<f64>,

    /// How often to try an item again that failed or killed its process
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Running")]
    pub(crate) retries: u32,

    /// Stop after N failed items
    #[arg(long, value_name = "N", help_heading = "Running")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) max_failures: Option<u64>,

    /// Write when what ran into FILE, for `allcores trace` or Perfetto
    #[arg(long, value_name = "FILE", help_heading = "Running")]
    pub(crate) trace: Option<PathBuf>,

    /// Go on where an earlier run of the same command stopped
    #[arg(long, help_heading = "Going on", conflicts_with = "retry_failed")]
    pub(crate) resume: bool,

    /// Go on even if the input or the function was changed since
    #[arg(long, help_heading = "Going on", requires = "resume")]
    pub(crate) accept_changes: bool,

    /// Run only what OUTPUT.errors.jsonl lists, and put the results in their places
    #[arg(long, help_heading = "Going on")]
    pub(crate) retry_failed: bool,

    /// Say nothing but errors
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// Measure a function on every rung, from one thread to all processes
#[derive(Debug, Args)]
pub(crate) struct CompareOptions {
    /// What to call: module:function, or file.py:function
    #[arg(value_name = "MODULE:FUNCTION")]
    pub(crate) target: String,

    /// The file of records
    pub(crate) input: PathBuf,

    /// How many records to take
    #[arg(long, value_name = "N", default_value_t = 200)]
    pub(crate) sample: usize,

    /// Compare only these, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) backends: Vec<String>,

    /// How a record becomes arguments: item, unpack or kwargs
    #[arg(long, value_name = "HOW", default_value = "item", hide_possible_values = true)]
    pub(crate) args: Calling,

    /// The format of INPUT, if its ending does not say it
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    pub(crate) format: Option<Format>,

    /// Write a page with the table and the timeline
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,

    /// Write the figures
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Say which rung suits a function, and what stands in its way
#[derive(Debug, Args)]
pub(crate) struct ExplainOptions {
    /// What to call: module:function, or file.py:function
    #[arg(value_name = "MODULE:FUNCTION")]
    pub(crate) target: String,

    /// A file of records to try it on
    pub(crate) input: Option<PathBuf>,

    /// How many records to take
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) sample: usize,

    /// How a record becomes arguments: item, unpack or kwargs
    #[arg(long, value_name = "HOW", default_value = "item", hide_possible_values = true)]
    pub(crate) args: Calling,

    /// The format of INPUT, if its ending does not say it
    #[arg(long, value_name = "FORMAT", hide_possible_values = true)]
    pub(crate) format: Option<Format>,
}

/// Look at this Python and this machine for what costs speed or breaks
#[derive(Debug, Args)]
pub(crate) struct DoctorOptions {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Say in words where the time of a traced run went
#[derive(Debug, Args)]
pub(crate) struct TraceOptions {
    /// What `--trace` or `allcores.map(..., trace=...)` wrote
    pub(crate) file: PathBuf,
}

fn seconds(text: &str) -> Result<f64, &'static str> {
    match text.parse::<f64>() {
        Ok(value) if value > 0.0 && value.is_finite() => Ok(value),
        _ => Err("must be a number of seconds above 0"),
    }
}

fn command(version: &'static str) -> clap::Command {
    Arguments::command().version(version)
}

/// What `arguments` mean, or the help or the complaint to show.
pub(crate) fn parse(
    arguments: Vec<OsString>,
    version: &'static str,
) -> Result<Command, clap::Error> {
    let typed = std::iter::once(OsString::from("allcores")).chain(arguments);
    let mut matches = command(version).try_get_matches_from(typed)?;
    Ok(Arguments::from_arg_matches_mut(&mut matches)?.command)
}

/// The script that a shell reads.
pub(crate) fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "allcores", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The manual page, one for all commands.
pub(crate) fn man(version: &'static str) -> String {
    let mut command = command(version);
    command.build();
    let mut text = Vec::new();
    // Writing into memory can't fail.
    let _ = clap_mangen::Man::new(command.clone()).render(&mut text);
    for each in command.get_subcommands() {
        let page = clap_mangen::Man::new(each.clone());
        text.extend_from_slice(
            format!(".SH \"ALLCORES {}\"\n", each.get_name().to_uppercase()).as_bytes(),
        );
        let _ = page.render_description_section(&mut text);
        let _ = page.render_options_section(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::parse;

    /// What is shown for `arguments`.
    fn shown(arguments: &str) -> String {
        let arguments = arguments.split_whitespace().map(OsString::from).collect();
        parse(arguments, "1.2.3").unwrap_err().render().to_string()
    }

    #[test]
    fn help_can_be_used_without_the_docs() {
        for command in ["", "run", "compare", "explain", "doctor", "trace", "completions", "man"] {
            let name = if command.is_empty() { "help" } else { command };
            insta::assert_snapshot!(format!("help-{name}"), shown(&format!("{command} --help")));
        }
    }

    #[test]
    fn wrong_usage_is_named() {
        let wrong = [
            "rn",
            "run",
            "run a:b in.txt -j 0",
            "run a:b in.txt --timeout -1",
            "run a:b in.txt --format xml",
            "run a:b in.txt --resume --overwrite",
            "run a:b in.txt --accept-changes",
            "run a:b in.txt --tiemout 3",
            "run a:b in.txt --retries many",
            "run a:b in.txt --retry-failed --resume",
            "run a:b in.txt --args star",
            "completions tcsh",
        ];
        let all: Vec<String> =
            wrong.iter().map(|each| format!("$ allcores {each}\n{}", shown(each))).collect();
        insta::assert_snapshot!("wrong-usage", all.join("\n"));
    }
}
