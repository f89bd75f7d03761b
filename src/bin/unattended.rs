//! The operator tool: looks at what runs without a person, finds out why, and sends it round again.

use std::process::ExitCode;

fn main() -> ExitCode {
    unattended::cli::run_tool(std::env::args_os()).into()
}
