//! The description of the interface: it misses no route, and the file in `ops` is the one that is served.

use std::path::Path;

use nightshift_api::{openapi, routes};

#[test]
fn every_route_is_described() {
    let document = openapi::document();
    let mut count = 0;
    for route in routes::all() {
        let operation = &document["paths"][route.path][route.verb.as_str()];
        assert!(operation["operationId"].is_string(), "{} {}", route.verb.as_str(), route.path);
        assert!(!route.summary.is_empty() && !route.tag.is_empty(), "{}", route.path);
        for name in route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            let named = |parameter: &serde_json::Value| parameter["name"] == name && parameter["in"] == "path";
            assert!(operation["parameters"].as_array().unwrap().iter().any(named), "{name} of {}", route.path);
        }
        count += 1;
    }
    let described = document["paths"].as_object().unwrap().values();
    assert_eq!(described.map(|path| path.as_object().unwrap().len()).sum::<usize>(), count);
}

/// Every reference leads somewhere.
#[test]
fn references_are_resolved() {
    fn walk(value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                if let Some(reference) = fields.get("$ref").and_then(serde_json::Value::as_str) {
                    found.push(reference.to_owned());
                }
                fields.values().for_each(|value| walk(value, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            _ => {}
        }
    }
    let document = openapi::document();
    let mut references = Vec::new();
    walk(&document, &mut references);
    assert!(references.len() > 50);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} leads outside"));
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
}

/// `UPDATE=1 cargo test -p nightshift-api --test description` writes the file anew.
#[test]
fn the_file_is_what_is_served() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops/openapi.json");
    let served = serde_json::to_string_pretty(&openapi::document()).unwrap() + "\n";
    #[expect(clippy::disallowed_methods, reason = "whoever runs the test says whether the file is written")]
    let update = std::env::var_os("UPDATE").is_some();
    if update {
        std::fs::write(&path, &served).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == served,
        "ops/openapi.json is not what is served: run this test with UPDATE=1 and look at the change"
    );
}
