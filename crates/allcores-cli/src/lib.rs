//! The command line: arguments in, an exit code out, and no Python in it.
//!
//! ```text
//!   arguments ── args (clap) ──┬─► run ──────► plan ─► feed ─► Host ─► sink ─► writer ─► files
//!                              ├─► doctor ───► Host::facts ─► render
//!                              ├─► compare, explain ─► Host
//!                              └─► trace ────► sums ─► render
//! ```
//!
//! Whatever needs an interpreter is asked of the [`Host`]: to import a function, to run it over
//! items, to look at the machine. Only `render` prints.
//!
//! Exit codes: 0 all done, 1 something failed, 2 wrong usage, 130 interrupted, 141 nobody reads
//! the output any more.
#![forbid(unsafe_code)]

mod args;
mod clock;
mod doctor;
mod error;
mod formats;
mod host;
mod measure;
mod render;
mod run;
mod trace;

use std::ffi::OsString;

pub use formats::{Calling, Format};
pub use host::{Fact, Failure, Host, HostError, Items, Job, Outcome, Request, Results, State};
pub use run::feed::Records;
pub use run::selection::{Selector, Step};

use args::Command;

/// The exit code of a command that did all it was asked.
pub const DONE: u8 = 0;
/// The exit code of a command of which something failed.
pub const FAILED: u8 = 1;
/// The exit code of a command that can't be meant.
pub const USAGE: u8 = 2;
/// The exit code after a Ctrl-C.
pub const INTERRUPTED: u8 = 130;
/// The exit code when the reader of the output has gone.
pub const UNREAD: u8 = 141;

/// Does what `arguments` (without the program's name) say; the exit code.
pub fn run(arguments: Vec<OsString>, host: &dyn Host) -> u8 {
    let command = match args::parse(arguments, host.version()) {
        Ok(command) => command,
        Err(error) => {
            let text = error.render().to_string();
            if error.use_stderr() {
                render::complain(&text);
                return USAGE;
            }
            return render::say(&text);
        }
    };
    let done = match command {
        Command::Run(options) => run::run(&options, host),
        Command::Compare(options) => measure::compare(&options, host),
        Command::Explain(options) => measure::explain(&options, host),
        Command::Doctor(options) => doctor::doctor(&options, host),
        Command::Trace(options) => trace::trace(&options),
        Command::Completions { shell } => Ok(render::say(&args::completions(shell))),
        Command::Man => Ok(render::say(&args::man(host.version()))),
    };
    done.unwrap_or_else(|error| {
        render::complain(&format!("allcores: {error}\n"));
        error.exit_code()
    })
}
