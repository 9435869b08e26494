//! The `sources` list of a deliverable document.
//!
//! Owns: the two forms of a source (`{folder: path}` and `{type: folder, path: ...}`), and what is impossible in one.
//! Refuses to know: how a source is read.

use nightshift_domain::content::SourceSpec;

use super::{Context, PathKind, outside};
use crate::{
    document::Value,
    fault::quote,
    reader::{Field, Map, Reader},
};

/// A kind of source: its word, the key that its value has in the tagged form, and the keys beside it.
struct Kind {
    word: &'static str,
    tagged: &'static str,
    beside: &'static [&'static str],
}

const KINDS: [Kind; 4] = [
    Kind { word: "folder", tagged: "path", beside: &["include", "exclude"] },
    Kind { word: "git", tagged: "path", beside: &["branch"] },
    Kind { word: "feed", tagged: "url", beside: &[] },
    Kind { word: "description", tagged: "value", beside: &[] },
];

const ALL_KEYS: [&str; 11] =
    ["folder", "git", "feed", "description", "type", "path", "url", "value", "include", "exclude", "branch"];
const FORMS: &str = "{folder: path}, {git: path}, {feed: address} or {description: text}";

/// Reads the list: at least one source, each once.
pub(super) fn read(reader: &mut Reader, field: &Field<'_>, context: &Context<'_>) -> Option<Vec<SourceSpec>> {
    let Value::List(items) = field.value else {
        reader.refuse(
            field,
            &format!("a list of sources, each {FORMS}"),
            Some("begin each source with \"- \"".to_owned()),
        );
        return None;
    };
    if items.is_empty() {
        reader.refuse(field, "at least one source", None);
    }
    let mut sources: Vec<SourceSpec> = Vec::new();
    for item in reader.items(field) {
        let Some(source) = read_one(reader, &item, context) else {
            continue;
        };
        let same =
            |other: &SourceSpec| other.platform() == source.platform() && other.resource_id() == source.resource_id();
        if let Some(first) = sources.iter().position(same) {
            let found = format!("{} {} again", source.platform(), quote(&source.resource_name()));
            reader.fault(&item, found, "each source once", Some(format!("it is {}[{first}] already", field.path)));
        } else {
            sources.push(source);
        }
    }
    Some(sources)
}

fn read_one(reader: &mut Reader, item: &Field<'_>, context: &Context<'_>) -> Option<SourceSpec> {
    let Value::Map(_) = item.value else {
        reader.refuse(item, FORMS, None);
        return None;
    };
    let map = reader.map(item, &ALL_KEYS)?;
    let (kind, value) = kind_and_value(reader, &map)?;
    refuse_foreign_keys(reader, &map, kind);
    match kind.word {
        "folder" => read_folder(reader, &map, &value, context),
        "git" => read_git(reader, &map, &value, context),
        "feed" => outside::url(reader, &value).map(|url| SourceSpec::Feed { url }),
        _ => reader.text(&value).map(|value| SourceSpec::Description { value }),
    }
}

/// Which kind of source it is, and the field that says where.
fn kind_and_value<'n>(reader: &mut Reader, map: &Map<'n>) -> Option<(&'static Kind, Field<'n>)> {
    if let Some(tag) = map.get("type") {
        let index = reader.word(&tag, &[("folder", 0), ("git", 1), ("feed", 2), ("description", 3)])?;
        let kind: &Kind = &KINDS[index];
        return reader.required(map, kind.tagged, "where the source is").map(|value| (kind, value));
    }
    let mut found = KINDS.iter().filter_map(|kind| map.get(kind.word).map(|value| (kind, value)));
    let (first, second) = (found.next(), found.next());
    match (first, second) {
        (Some(only), None) => Some(only),
        (Some((kind, _)), Some((other, field))) => {
            let remedy = Some("write two entries of the list".to_owned());
            reader.fault(&field, format!("{} and {} in one source", kind.word, other.word), FORMS, remedy);
            None
        }
        // An unknown key may be a misspelt kind; then that fault says it all.
        _ if map.fields().any(|field| !ALL_KEYS.contains(&field.key())) => None,
        _ => {
            reader.fault(&map.whole(), "a source of no kind".to_owned(), FORMS, None);
            None
        }
    }
}

fn refuse_foreign_keys(reader: &mut Reader, map: &Map<'_>, kind: &Kind) {
    let own = if map.get("type").is_some() { ["type", kind.tagged] } else { [kind.word, kind.word] };
    for field in map.fields().filter(|field| ALL_KEYS.contains(&field.key())) {
        if !own.contains(&field.key()) && !kind.beside.contains(&field.key()) {
            let allowed: Vec<&str> = own[1..].iter().chain(kind.beside).copied().collect();
            let found = format!("the key {:?} in a {} source", field.key(), kind.word);
            reader.fault(&field, found, &allowed.join(", "), None);
        }
    }
}

fn read_folder(reader: &mut Reader, map: &Map<'_>, value: &Field<'_>, context: &Context<'_>) -> Option<SourceSpec> {
    let path = outside::path(reader, value, context);
    let include = globs(reader, map, "include");
    let exclude = globs(reader, map, "exclude");
    let path = path?;
    match (context.probe)(&path) {
        PathKind::Folder | PathKind::Repository => Some(SourceSpec::Folder { path, include, exclude }),
        PathKind::Missing => {
            reader.fault(value, format!("{}, where nothing is", quote(&path)), "a folder that exists", None);
            None
        }
        PathKind::File => {
            let remedy =
                path.rsplit_once('/').map(|(parent, name)| format!("write folder: {parent} with include: [{name:?}]"));
            reader.fault(value, format!("{}, which is a file", quote(&path)), "a folder", remedy);
            None
        }
    }
}

fn read_git(reader: &mut Reader, map: &Map<'_>, value: &Field<'_>, context: &Context<'_>) -> Option<SourceSpec> {
    let path = outside::path(reader, value, context);
    let branch = match map.get("branch") {
        Some(field) => Some(read_branch(reader, &field)?),
        None => None,
    };
    let path = path?;
    let found = match (context.probe)(&path) {
        PathKind::Repository => return Some(SourceSpec::Git { path, branch }),
        PathKind::Missing => "where nothing is",
        PathKind::File => "which is a file",
        PathKind::Folder => "which is a folder without a repository",
    };
    let remedy = found
        .contains("folder")
        .then(|| "write folder: to read its files, or name the top of the work tree".to_owned());
    reader.fault(value, format!("{}, {found}", quote(&path)), "a git work tree or bare repository", remedy);
    None
}

fn read_branch(reader: &mut Reader, field: &Field<'_>) -> Option<String> {
    let name = reader.text(field)?;
    // What git itself refuses in a name, and a leading hyphen, which would read as an option.
    let wrong = name.starts_with('-')
        || name.contains("..")
        || name.contains("@{")
        || name.contains(|c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c));
    if wrong {
        reader.refuse(field, "the name of a branch, a tag or a commit", None);
        return None;
    }
    Some(name)
}

fn globs(reader: &mut Reader, map: &Map<'_>, key: &str) -> Vec<String> {
    let Some(field) = map.get(key) else { return Vec::new() };
    let globs = reader.distinct_lines(&field);
    for (item, glob) in &globs {
        let remedy = if glob.starts_with('/') || glob.split('/').any(|part| part == "..") {
            "globs are relative to the folder and stay in it"
        } else if !balanced(glob) {
            "a bracket is not closed"
        } else {
            continue;
        };
        reader.fault(item, quote(glob), "globs such as **/*.md", Some(remedy.to_owned()));
    }
    globs.into_iter().map(|(_, glob)| glob).collect()
}

fn balanced(glob: &str) -> bool {
    let (mut braces, mut in_class, mut escaped) = (0_i32, false, false);
    for c in glob.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => in_class = false,
            _ if in_class => {}
            '[' => in_class = true,
            '{' => braces += 1,
            '}' => braces -= 1,
            _ => {}
        }
        if braces < 0 {
            return false;
        }
    }
    braces == 0 && !in_class && !escaped
}
