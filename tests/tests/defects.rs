//! The defects of the systems that Nightshift replaces: each has a test that is named after it.

use std::{collections::BTreeMap, path::Path};

use nightshift_tests::repo_root;

/// What a test is called that holds a defect: `defect_` and the section of the requirements, then its number.
const SECTIONS: [(&str, u32); 2] = [("4_7", 10), ("5_12", 12)];

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(std::fs::read_to_string(&path).expect("a source"));
        }
    }
}

#[test]
fn every_defect_has_a_test_that_is_named_after_it() {
    let mut texts = Vec::new();
    for folder in ["crates", "tests"] {
        sources(&repo_root().join(folder), &mut texts);
    }
    let names =
        texts.iter().flat_map(|text| text.match_indices("fn defect_").map(|(at, found)| &text[at + found.len()..]));
    let mut held: BTreeMap<(&str, u32), u32> = BTreeMap::new();
    for name in names {
        for (section, _) in SECTIONS {
            let number = name.strip_prefix(section).and_then(|rest| rest.strip_prefix('_'));
            let digits = number.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
            if let Some(number) = digits.and_then(|digits| digits.parse().ok()) {
                *held.entry((section, number)).or_default() += 1;
            }
        }
    }
    let all = SECTIONS.into_iter().flat_map(|(section, last)| (1..=last).map(move |number| (section, number)));
    let missing: Vec<_> = all.filter(|defect| !held.contains_key(defect)).collect();
    assert!(missing.is_empty(), "no test holds {missing:?}");
}
