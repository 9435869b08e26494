//! The commands that a document prints, held against what the repository has.
//!
//! Owns: finding commands in shell blocks, and the question whether a script or a cargo alias of that name exists.

use super::TextFile;

/// Subcommands that come with cargo and that documents may use.
const CARGO_OWN: &[&str] =
    &["build", "run", "test", "fmt", "clippy", "doc", "install", "bench", "deny", "nextest", "update"];

/// The commands in the shell blocks of a document, without prompts and comments.
#[must_use]
pub fn shell_commands(document: &str) -> Vec<String> {
    let mut inside = false;
    let mut commands = Vec::new();
    for line in document.lines().map(str::trim) {
        if let Some(language) = line.strip_prefix("```") {
            inside = !inside && matches!(language.trim(), "sh" | "bash" | "shell" | "console");
            continue;
        }
        let command = line.strip_prefix("$ ").unwrap_or(line);
        let command = command.split(" #").next().unwrap_or_default().trim();
        if inside && !command.is_empty() && !command.starts_with('#') {
            commands.push(command.to_owned());
        }
    }
    commands
}

/// The names in the `[alias]` table of cargo's configuration.
#[must_use]
pub fn aliases(config: &str) -> Vec<String> {
    let table = config.split("[alias]").nth(1).unwrap_or_default();
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim().to_owned()).collect()
}

/// Why a command cannot work in this repository, if it cannot. Commands of other programs are not judged.
#[must_use]
pub fn fault(command: &str, files: &[TextFile], aliases: &[String]) -> Option<String> {
    let words: Vec<&str> =
        command.split_whitespace().skip_while(|word| word.contains('=') || *word == "bash").collect();
    let first = words.first()?.trim_start_matches("./");
    if first == "cargo" {
        let name = words.get(1).copied().unwrap_or_default();
        let known =
            CARGO_OWN.contains(&name) || name.starts_with(['-', '+']) || aliases.iter().any(|alias| alias == name);
        return (!known).then(|| format!("`{command}`: cargo has no command or alias `{name}`"));
    }
    let is_ours = first.starts_with("scripts/") || first.starts_with(".ci/");
    let exists = files.iter().any(|file| file.path == first);
    (is_ours && !exists).then(|| format!("`{command}`: there is no file {first}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_from_shell_blocks_only() {
        let text =
            "Run `x`.\n```sh\n$ scripts/test   # all\n# note\n\ncargo ns demo\n```\n```rust\nfn f() {}\n```\nend\n";
        assert_eq!(shell_commands(text), ["scripts/test", "cargo ns demo"]);
    }

    #[test]
    fn a_command_must_exist() {
        let files = [TextFile::new("scripts/test", "")];
        let names = aliases("# x\n[alias]\nns = \"run\"\n[build]\nz = 1\n");
        assert_eq!(names, ["ns"]);
        for good in [
            "scripts/test -p a",
            "./scripts/test",
            "bash scripts/test",
            "cargo ns demo",
            "cargo test",
            "A=1 cargo run",
            "ls",
        ] {
            assert_eq!(fault(good, &files, &names), None, "{good}");
        }
        for bad in ["scripts/tset", "cargo nss demo", "A=1 ./scripts/no"] {
            assert!(fault(bad, &files, &names).is_some(), "{bad}");
        }
    }
}
