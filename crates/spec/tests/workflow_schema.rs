//! The JSON Schema of workflow documents: checked in, and true of the documents that are read.

use std::path::Path;

use nightshift_domain::json::Json;
use nightshift_spec::workflow;
use serde_json::json;

const DOCUMENTS: [&str; 6] = [
    include_str!("workflows/daily_instructor_v1.yml"),
    include_str!("workflows/weekly_seed_v1.yml"),
    include_str!("workflows/full_field_coverage_v1.yml"),
    include_str!("workflows/kpi-tracking.yaml"),
    include_str!("workflows/campaign.yaml"),
    include_str!("workflows/own.yaml"),
];

#[test]
fn the_checked_in_schema_is_the_one_of_the_reader() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schema/workflow.schema.json");
    let text = format!("{}\n", serde_json::to_string_pretty(&workflow::schema()).unwrap());
    #[expect(clippy::disallowed_methods, reason = "the switch that writes golden files")]
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "schema/workflow.schema.json is old; UPDATE=1 cargo test -p nightshift-spec writes it");
}

/// Why a value does not fit; the parts of the draft that the schema uses, and no other part.
fn misfit(schema: &Json, value: &Json, root: &Json) -> Option<String> {
    let Json::Object(rules) = schema else { return (schema == &json!(false)).then(|| "nothing fits".to_owned()) };
    rules.iter().find_map(|(rule, said)| match rule.as_str() {
        "$ref" => {
            let place = said.as_str().unwrap().strip_prefix('#').unwrap();
            misfit(root.pointer(place).unwrap(), value, root)
        }
        "if" => {
            let branch = if misfit(said, value, root).is_none() { "then" } else { "else" };
            misfit(&schema[branch], value, root)
        }
        "allOf" => said.as_array().unwrap().iter().find_map(|part| misfit(part, value, root)),
        "anyOf" => {
            let whys: Vec<Option<String>> =
                said.as_array().unwrap().iter().map(|form| misfit(form, value, root)).collect();
            whys.iter().all(Option::is_some).then(|| format!("no form fits {value}: {whys:?}"))
        }
        "type" => {
            let types = if said.is_array() { said.as_array().unwrap().clone() } else { vec![said.clone()] };
            let is = |kind: &Json| match kind.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "number" => value.is_number(),
                "integer" => value.is_i64() || value.is_u64(),
                "boolean" => value.is_boolean(),
                "null" => value.is_null(),
                other => panic!("{other}"),
            };
            (!types.iter().any(is)).then(|| format!("{value} is no {said}"))
        }
        "enum" => (!said.as_array().unwrap().contains(value)).then(|| format!("{value} is none of {said}")),
        "required" => said
            .as_array()
            .unwrap()
            .iter()
            .find_map(|key| value.get(key.as_str().unwrap()).is_none().then(|| format!("{key} is missing"))),
        "properties" => said.as_object().unwrap().iter().find_map(|(key, inner)| misfit(inner, value.get(key)?, root)),
        "additionalProperties" => value.as_object()?.iter().find_map(|(key, inner)| {
            let known = schema.get("properties").is_some_and(|known| known.get(key).is_some());
            if known { None } else { misfit(said, inner, root).map(|why| format!("{key}: {why}")) }
        }),
        "items" => value.as_array()?.iter().find_map(|item| misfit(said, item, root)),
        "minimum" => (value.as_f64()? < said.as_f64().unwrap()).then(|| "too small".to_owned()),
        "maximum" => (value.as_f64()? > said.as_f64().unwrap()).then(|| "too large".to_owned()),
        "pattern" => {
            let text = value.as_str()?;
            let numeric = said.as_str().unwrap().contains("eE");
            let unit = |c: char| c.is_ascii_digit() || if numeric { "-+.eE".contains(c) } else { "wdhms".contains(c) };
            (!text.trim().chars().all(unit)).then(|| format!("{text:?} does not match {said}"))
        }
        "$schema" | "$id" | "$defs" | "title" | "description" | "then" | "else" => None,
        other => panic!("the schema uses {other}, which this test does not know"),
    })
}

/// A YAML text as data, as the YAML reader gives it.
fn data(text: &str) -> Json {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn every_document_that_is_read_fits_the_schema() {
    let schema = workflow::schema();
    for text in DOCUMENTS {
        assert_eq!(misfit(&schema, &data(text), &schema), None);
    }
}

#[test]
fn what_the_schema_refuses_is_what_the_reader_refuses() {
    let schema = workflow::schema();
    for (document, fits) in [
        (json!({"name": "n", "steps": [{"call": "/a"}]}), true),
        (json!({"name": "n", "steps": [{"call": "/a", "timeout": "15s", "parallel": null}]}), true),
        (json!({"name": "n"}), false),
        (json!({"name": "n", "steps": [{"call": "/a", "timout": "15s"}]}), false),
        (json!({"name": "n", "steps": [{"call": "/a", "timeout": "soon"}]}), false),
        (json!({"name": "n", "steps": [{"call": "/a", "method": "FETCH"}]}), false),
        (json!({"orchestration": {"steps": [{"agent": "a", "mode": "dance"}]}}), false),
        (json!({"orchestration": {"steps": [{"agent": "a", "mode": "plan"}]}}), true),
        (json!({"orchestration": {"steps": []}, "steps": []}), false),
    ] {
        assert_eq!(misfit(&schema, &document, &schema).is_none(), fits, "{document}");
    }
}
