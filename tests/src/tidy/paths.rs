//! Paths of somebody's machine in files that everybody gets.

use super::{Finding, TextFile};

/// Where people and build machines keep their own things.
const PRIVATE: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Absolute paths below one of the private folders. A longer path that merely contains such a name is none.
#[must_use]
pub fn machine_paths(file: &TextFile) -> Vec<Finding> {
    let lines = file.text.lines().enumerate();
    lines
        .flat_map(|(at, line)| PRIVATE.iter().filter(|path| begins_in(line, path)).map(move |path| (at + 1, *path)))
        .map(|(line, path)| Finding {
            place: file.path.clone(),
            line,
            subject: path.to_owned(),
            message: format!("a path of one machine ({path}...): make it relative, or configurable"),
        })
        .collect()
}

fn begins_in(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-}~*".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        machine_paths(&TextFile::new("a.toml", text)).len()
    }

    #[test]
    fn absolute_paths_are_found_and_parts_of_longer_ones_are_not() {
        assert_eq!(count(concat!("dir = \"/wo", "rk/main\"\nx = /ho", "me/ann\n")), 2);
        assert_eq!(count(concat!("net/wo", "rk/x, ~/wo", "rk/x, $HOME_DIR}/wo", "rk/x, at-ho", "me\n")), 0);
    }
}
