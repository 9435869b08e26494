//! `/openapi.json`: the description of all routes, OpenAPI 3.1, made of the table of routes, the types of bodies and the
//! tables that rows are of.
//!
//! Owns: the form. `ops/openapi.json` is the same text, held against it by a test.

use std::{collections::BTreeMap, sync::LazyLock};

use axum::{http::header, response::IntoResponse, routing};
use nightshift_projections::table::{Column, ColumnType, TableDef};
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use crate::{
    auth::{Group, roles},
    envelope::Code,
    extract::IDEMPOTENCY_HEADERS,
    routes::{self, Gives, Param, ParamKind, Route, SchemaOf, Takes, Verb},
    seed,
};

/// The routes.
pub const ROUTES: &[Route] = &[Route::get("/openapi.json", || routing::get(serve))
    .group(Group::Public)
    .about("process", "Get this description.")
    .gives(Gives::Text("application/json"))];

/// Made once: anybody may ask for it.
static TEXT: LazyLock<String> = LazyLock::new(|| document().to_string());

async fn serve() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], TEXT.as_str())
}

/// The description.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut maker = Maker { generator: settings.into_generator(), rows: BTreeMap::new() };
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in routes::all() {
        let operation = maker.operation(route);
        paths.entry(route.path).or_default().insert(route.verb.as_str().to_owned(), operation);
    }
    let mut schemas = maker.generator.take_definitions(true);
    schemas.extend(maker.rows);
    schemas.insert("Error".to_owned(), error_schema());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Nightshift",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
            "description": "Answers are `{success: true, data}` or `{success: false, error: {code, message, details?}}`. \
                Every request that changes something takes an `Idempotency-Key`: the same key from the same caller to the \
                same address is the same request. Each caller sees what is its own; admin and operator see everything. \
                An answer's `X-Nightshift-Position`, sent with a later request, makes it wait until the read models are \
                there.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": refused(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT, `ns_` key, or control token"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
                "agentApiKey": {"type": "apiKey", "in": "header", "name": "X-Agent-Api-Key"},
            },
        },
    })
}

struct Maker {
    generator: SchemaGenerator,
    rows: BTreeMap<String, Value>,
}

impl Maker {
    fn operation(&mut self, route: &Route) -> Value {
        let mut operation = json!({
            "operationId": operation_id(route),
            "tags": [route.tag],
            "summary": route.summary,
            "description": rights(route.group),
            "parameters": parameters(route),
            "responses": self.responses(route),
        });
        if let Some(body) = self.body(route.takes) {
            operation["requestBody"] = body;
        }
        let open = json!([]);
        let closed = json!([{"bearer": []}, {"apiKey": []}, {"agentApiKey": []}]);
        operation["security"] = if route.group == Group::Public { open } else { closed };
        operation
    }

    fn schema(&mut self, of: SchemaOf) -> Value {
        of(&mut self.generator).to_value()
    }

    fn body(&mut self, takes: Takes) -> Option<Value> {
        match takes {
            Takes::Nothing => None,
            Takes::Json(of) => Some(json!({"content": {"application/json": {"schema": self.schema(of)}}})),
            Takes::Document(kinds) => {
                let each = kinds.iter().map(|kind| ((*kind).to_owned(), json!({"schema": {}})));
                Some(json!({"required": true, "content": each.collect::<Map<_, _>>()}))
            }
        }
    }

    fn responses(&mut self, route: &Route) -> Value {
        let mut responses = Map::new();
        responses.insert(route.status.to_string(), self.good(route));
        if matches!(route.gives, Gives::Events) {
            responses.insert("204".to_owned(), json!({"description": "The run is over and everything was seen."}));
        }
        for code in refusals(route) {
            let form = if seed::is_seed(route.path) { "Seed" } else { "" };
            let reference = format!("#/components/responses/{form}{}", code.as_str());
            responses.insert(code.status().as_u16().to_string(), json!({"$ref": reference}));
        }
        Value::Object(responses)
    }

    fn good(&mut self, route: &Route) -> Value {
        let (kind, schema) = match route.gives {
            Gives::Data(of) => ("application/json", envelope(&self.schema(of))),
            Gives::Row(table) => ("application/json", envelope(&self.row(table))),
            Gives::Page(table) => {
                let item = self.row(table);
                ("application/json", envelope(&page(&item)))
            }
            Gives::Plain(of) => ("application/json", self.schema(of)),
            Gives::Events => ("text/event-stream", json!({"type": "string"})),
            Gives::Socket => {
                return json!({"description": "The protocol is switched; messages are `{id, event, data}`."});
            }
            Gives::Text(kind) => (kind, json!({})),
        };
        json!({"description": "Done.", "content": {kind: {"schema": schema}}})
    }

    /// The schema of a table's rows, named after the table.
    fn row(&mut self, name: &'static str) -> Value {
        let title: String = name.split('_').map(capital).collect();
        if let Some(place) = nightshift_projections::tables::ALL.iter().position(|table| table.name == name) {
            let table = nightshift_projections::tables::ALL[place];
            let meaning = &nightshift_projections::tables::MEANINGS[place];
            self.rows.entry(title.clone()).or_insert_with(|| row_schema(table, meaning.table, meaning.columns));
        }
        json!({"$ref": format!("#/components/schemas/{title}")})
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn row_schema(table: &TableDef, about: &str, columns: &[&str]) -> Value {
    let each = |(column, meaning): (&Column, &&str)| {
        let parts = column.name.split('_').enumerate().map(|(n, part)| match n {
            0 => part.to_owned(),
            _ => capital(part),
        });
        let name: String = parts.collect();
        let mut schema = column_schema(column.kind, column.nullable);
        schema["description"] = Value::from(meaning.trim());
        (name, schema)
    };
    let properties: Map<String, Value> = table.columns.iter().zip(columns).map(each).collect();
    json!({"type": "object", "description": about.trim(), "properties": properties})
}

fn column_schema(kind: ColumnType, nullable: bool) -> Value {
    let (word, format) = match kind {
        ColumnType::Text => ("string", None),
        ColumnType::Uuid => ("string", Some("uuid")),
        ColumnType::Time => ("string", Some("date-time")),
        ColumnType::Int => ("integer", None),
        ColumnType::Real => ("number", None),
        ColumnType::Bool => ("boolean", None),
        ColumnType::Json => return json!({}),
    };
    let mut schema = json!({"type": if nullable { json!([word, "null"]) } else { json!(word) }});
    if let Some(format) = format {
        schema["format"] = Value::from(format);
    }
    schema
}

fn envelope(data: &Value) -> Value {
    json!({
        "type": "object",
        "required": ["success", "data"],
        "properties": {"success": {"const": true}, "data": data},
    })
}

fn page(item: &Value) -> Value {
    let number = json!({"type": "integer", "minimum": 0});
    json!({
        "type": "object",
        "required": ["items", "total", "limit", "offset", "hasMore"],
        "properties": {
            "items": {"type": "array", "items": item},
            "total": number, "limit": number, "offset": number,
            "hasMore": {"type": "boolean"},
        },
    })
}

fn error_schema() -> Value {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    json!({
        "type": "object",
        "required": ["success", "error"],
        "properties": {
            "success": {"const": false},
            "error": {
                "type": "object",
                "required": ["code", "message"],
                "properties": {
                    "code": {"type": "string", "enum": codes},
                    "message": {"type": "string"},
                    "details": {"description": "`fields`: `[{path, message}]`; `rejection`: the refusal as data."},
                },
            },
        },
    })
}

/// One answer for each kind of refusal, in the form of the interface and in that of the seed's functions.
fn refused() -> Map<String, Value> {
    let seed = json!({"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]});
    let own = json!({"$ref": "#/components/schemas/Error"});
    let each = |(form, schema): (&'static str, Value)| {
        Code::ALL.into_iter().map(move |code| {
            let said = code.status().canonical_reason().unwrap_or_default();
            let content = json!({"application/json": {"schema": schema.clone()}});
            (format!("{form}{}", code.as_str()), json!({"description": said, "content": content}))
        })
    };
    [("", own), ("Seed", seed)].into_iter().flat_map(each).collect()
}

fn rights(group: Group) -> String {
    if group == Group::Public {
        return "Open to everybody.".to_owned();
    }
    let roles: Vec<&str> = roles::allowed(group).iter().map(|role| role.as_str()).collect();
    format!("Right `{}`: {}.", group.as_str(), roles.join(", "))
}

/// `getApiOrchestrationsId`: from verb and address.
fn operation_id(route: &Route) -> String {
    let words = route.path.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(route.verb.as_str().to_owned(), |id, word| id + &capital(word))
}

fn parameters(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path =
        in_path.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let query = route.query.iter().map(
        |param| json!({"name": param.name, "in": "query", "description": param.about, "schema": param_schema(param)}),
    );
    let mut all: Vec<Value> = in_path.chain(query).collect();
    if takes_a_key(route) {
        let name = "Idempotency-Key";
        let about = format!(
            "The same key is the same request; another request under it is refused. `{}` is read too.",
            IDEMPOTENCY_HEADERS[1]
        );
        let schema = json!({"type": "string", "minLength": 1, "maxLength": 255});
        all.push(json!({"name": name, "in": "header", "description": about, "schema": schema}));
    }
    all
}

/// Its requests can be named by their clients.
fn takes_a_key(route: &Route) -> bool {
    route.verb != Verb::Get && route.group != Group::Public && route.group != Group::Control
}

fn param_schema(param: &Param) -> Value {
    match param.kind {
        ParamKind::Text => json!({"type": "string"}),
        ParamKind::Id => json!({"type": "string", "format": "uuid"}),
        ParamKind::Instant => json!({"type": "string", "format": "date-time"}),
        ParamKind::Flag => json!({"type": "boolean"}),
        ParamKind::OneOf(words) => json!({"type": "string", "enum": words}),
        ParamKind::Number { min, max, default } => {
            json!({"type": "integer", "minimum": min, "maximum": max, "default": default})
        }
    }
}

/// What can be refused of a route.
fn refusals(route: &Route) -> Vec<Code> {
    let mut codes = vec![Code::Timeout];
    if route.group != Group::Public {
        codes.extend([Code::Unauthorized, Code::Forbidden, Code::RateLimited]);
    }
    if !route.query.is_empty() || !matches!(route.takes, Takes::Nothing) {
        codes.push(Code::BadRequest);
    }
    if route.path.contains('{') || route.verb == Verb::Post {
        codes.push(Code::NotFound);
    }
    if !matches!(route.takes, Takes::Nothing) {
        codes.push(Code::PayloadTooLarge);
    }
    if route.verb == Verb::Post {
        codes.push(Code::Conflict);
    }
    if takes_a_key(route) {
        codes.push(Code::Unprocessable);
    }
    codes
}
