//! `nightshift config`: the configuration.

use super::Env;
use crate::{
    args,
    config::{config_example, config_reference},
    exit::{Code, Exit},
    output,
};

/// Runs the command. That the configuration is right was found out before.
///
/// # Errors
/// None of its own.
pub fn run(env: &Env, command: args::ConfigCommand) -> Result<Code, Exit> {
    match command {
        args::ConfigCommand::Example => print!("{}", config_example()),
        args::ConfigCommand::Reference => print!("{}", config_reference()),
        args::ConfigCommand::Check if env.json => output::json(&env.loaded.settings),
        args::ConfigCommand::Check => {
            let lines = env.loaded.settings.iter().map(|setting| {
                let value = match &setting.value {
                    serde_json::Value::Null => "-".to_owned(),
                    serde_json::Value::String(text) => text.clone(),
                    other => other.to_string(),
                };
                vec![setting.key.to_owned(), value, setting.from.to_string()]
            });
            output::table(&["key", "value", "from"], lines.collect(), "");
            env.loaded.warnings.iter().for_each(|warning| println!("warning: {warning}"));
            println!("the configuration is right");
        }
    }
    Ok(Code::Ok)
}
