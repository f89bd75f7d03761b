//! The operator tool: looks at what runs without a person, finds out why, and sends it round again.

use std::process::ExitCode;

#[cfg(not(unix))]
compile_error!("the tool is for Unix: it runs and supervises other programs");

fn main() -> ExitCode {
    unattended::cli::run_tool(std::env::args_os()).into()
}
