//! The `giveaway` command: arguments, terminal, exit codes. No method lives here.
#![forbid(unsafe_code)]

mod arguments;
mod attack;
mod attack_arguments;
mod audit;
mod config_file;
mod data;
mod data_arguments;
mod defend;
mod defend_arguments;
mod exit_code;
mod explain;
mod explain_arguments;
mod indirect_arguments;
mod init;
mod report;
mod target_arguments;
mod targets;
mod terminal;
mod trainer_arguments;

use std::process::ExitCode;

use clap::Parser;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    let typed = match config_file::with_options(std::env::args_os().collect()) {
        Ok(typed) => typed,
        Err(error) => {
            terminal::print_error(&error);
            return ExitCode::from(error.kind().exit_code());
        }
    };
    let arguments = Arguments::parse_from(typed);
    // A panic is a defect of ours: exit code 1, as for every unexpected failure.
    let outcome = std::panic::catch_unwind(|| match arguments.command {
        Command::Init(options) => init::init(&options),
        Command::Audit(options) => audit::audit(&options),
        Command::Reference(options) => audit::train_share(&options),
        Command::Attack(options) => attack::attack(&options),
        Command::Explain(options) => explain::explain(&options),
        Command::Defend(options) => defend::defend(&options),
        Command::Report(options) => report::report(&options),
        Command::Data(options) => data::data(&options),
    });
    match outcome {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            terminal::print_error(&error);
            ExitCode::from(error.kind().exit_code())
        }
        Err(_) => {
            terminal::print_line(
                "this is a defect of giveaway; please report it with the command that led to it",
            );
            ExitCode::from(exit_code::UNEXPECTED)
        }
    }
}
