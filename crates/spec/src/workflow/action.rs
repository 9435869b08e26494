//! What a step does: one of nine kinds.
//!
//! Owns: which kind is meant, what each is made of, and what is impossible in it.
//! Refuses to know: when it goes and what surrounds it.

use std::collections::BTreeMap;

use nightshift_domain::{
    json::{self, Json, Object},
    run::Action,
};

use super::{
    checkpoint,
    keys::{self, step::KINDS},
    work::Work,
};
use crate::{
    document::Value,
    fault::quote,
    order_file::outside::check_url,
    reader::{Field, Map},
};

/// Bytes of output that are read of a program when nothing is said.
const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// Which kind of step it is; none with a fault when that cannot be said.
pub(super) fn kind<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Option<&'static str> {
    let words = KINDS.map(|kind| (kind, kind));
    if let Some(field) = map.get("type") {
        return work.word(&field, &words);
    }
    let present: Vec<(&'static str, Field<'n>)> =
        KINDS.iter().filter_map(|kind| map.get(kind).map(|field| (*kind, field))).collect();
    // Beside `orchestration`, `agent` is the owner.
    let only = |kind: &&str| *kind != "agent" || !present.iter().any(|(kind, _)| *kind == "orchestration");
    let kinds: Vec<&'static str> = present.iter().map(|(kind, _)| *kind).filter(only).collect();
    match kinds.as_slice() {
        [kind] => Some(kind),
        [] => {
            let remedy = Some("say what it does, e.g. agent: researcher, or call: /agents/echo".to_owned());
            work.reader.fault(&map.whole(), "a step that does nothing".to_owned(), &one_of(), remedy);
            None
        }
        several => {
            let found = format!("{} in one step", several.join(" and "));
            let second = present.iter().find(|(kind, _)| *kind == several[1]).map(|(_, field)| field.clone());
            let remedy = Some("write two steps".to_owned());
            work.reader.fault(&second.unwrap_or_else(|| map.whole()), found, &one_of(), remedy);
            None
        }
    }
}

fn one_of() -> String {
    format!("exactly one of {}", KINDS.join(", "))
}

/// Reads what a step of a kind does.
pub(super) fn read<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>, kind: &'static str) -> Option<Action> {
    let wanted = match kind {
        "agent" => "the slug of a registered agent",
        "call" => "an address, or a path below the configured base address",
        "orchestration" => "a map with the name of a definition",
        "sleep" => "a duration",
        _ => "what the step does",
    };
    let field = work.reader.required(map, kind, wanted)?;
    match kind {
        "call" => call(work, map, &field),
        "agent" => agent(work, map, &field),
        "process" => process(work, &field),
        "llm" => llm(work, &field),
        "sleep" => work.duration(&field, 366 * 86_400).map(|ms| Action::Sleep { ms }),
        "wait_for_event" => wait_for_event(work, &field),
        "approval" => approval(work, &field),
        "orchestration" => orchestration(work, map, &field),
        _ => work.template(&field).map(|value| Action::Set { value }),
    }
}

fn call<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>, field: &Field<'n>) -> Option<Action> {
    let methods = ["POST", "GET", "PUT", "PATCH", "DELETE", "HEAD"].map(|method| (method, method));
    let method = work.optional(map, "method", |work, field| work.word(field, &methods));
    let url = address(work, field);
    let headers = map.get("headers").map_or_else(|| Some(BTreeMap::new()), |field| headers(work, &field));
    let body = work.optional(map, "body", |work, field| work.template(field));
    let body_from = work.optional(map, "body_from", output_of);
    if let (Some(_), Some(from)) = (map.get("body"), map.get("body_from")) {
        work.reader.refuse(&from, "body or body_from", Some("drop one of the two".to_owned()));
    }
    let method = method?.unwrap_or("POST");
    if let (Some(field), "GET" | "HEAD") = (map.get("body").or_else(|| map.get("body_from")), method) {
        let remedy = format!("{method} carries no body; write method: POST, or put the values into the address");
        work.reader.fault(&field, format!("a body beside method {method}"), "no body", Some(remedy));
    }
    Some(Action::Call { url: url?, method: method.to_owned(), headers: headers?, body: body?.or(body_from?) })
}

/// The output of a step that is named without braces.
pub(super) fn output_of<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<Json> {
    let id = work.step_id(field)?;
    let template = format!("{{{{ steps.{id} }}}}");
    work.mention(field, &template);
    Some(Json::String(template))
}

fn address<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<String> {
    const ADDRESS: &str = "an http or https address, or a path that begins with /";
    let url = work.template_text(field)?;
    let spaced = || {
        // What stands in braces may hold spaces.
        let outside = url.split("{{").enumerate().flat_map(|(at, part)| match (at, part.split_once("}}")) {
            (0, _) | (_, None) => part.chars(),
            (_, Some((_, after))) => after.chars(),
        });
        outside.into_iter().any(|c| c.is_whitespace() || c.is_control())
    };
    let remedy = if spaced() {
        Some("percent-encode blanks".to_owned())
    } else if url.starts_with('/') || url.starts_with("{{") || url.starts_with("${") {
        return Some(url);
    } else if url.contains("{{") || url.contains("${") {
        if url.starts_with("http://") || url.starts_with("https://") {
            return Some(url);
        }
        None
    } else {
        match check_url(&url) {
            Ok(()) => return Some(url),
            Err(_) if !url.contains("://") && !url.contains('.') => {
                Some(format!("did you mean {:?}?", format!("/{url}")))
            }
            Err(remedy) => remedy,
        }
    };
    let shown =
        if url.contains('@') { "an address with a name or password (not shown)".to_owned() } else { quote(&url) };
    work.reader.fault(field, shown, ADDRESS, remedy);
    None
}

fn headers<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<BTreeMap<String, String>> {
    let pairs = work.template_map(field)?;
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut whole = true;
    for (name, field, text) in pairs {
        let name = name.to_owned();
        let token =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c));
        if !token {
            work.reader.fault(&field, quote(&name), "a header name: letters, digits and -", None);
        } else if text.contains(|c: char| c.is_control()) {
            work.reader.refuse(&field, "a header of one line", None);
        } else if found.keys().any(|other| other.eq_ignore_ascii_case(&name)) {
            work.reader.fault(&field, format!("{} again", quote(&name)), "each header once", None);
        } else {
            found.insert(name, text);
            continue;
        }
        whole = false;
    }
    whole.then_some(found)
}

fn agent<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>, field: &Field<'n>) -> Option<Action> {
    let agent = work.slug(field);
    let mode = mode(work, map);
    let input = match map.get("input") {
        None => Some(Object::new()),
        Some(field) if matches!(field.value, Value::Map(_)) => object(work, &field),
        Some(field) => work
            .template_text(&field)
            .map(|text| [("userMessage".to_owned(), Json::String(text))].into_iter().collect()),
    };
    let context = work.optional(map, "context", |work, field| work.template(field));
    let mut input = input?;
    if let Some(message) = input.remove("user_message") {
        if input.contains_key("userMessage") {
            let field = map.get("input").unwrap_or_else(|| map.whole());
            work.reader.fault(&field, "userMessage and user_message".to_owned(), "one of the two", None);
        }
        input.insert("userMessage".to_owned(), message);
    }
    if let Some(mut context) = context? {
        // What stands nearer to the agent counts.
        if let Some(inner) = input.get("context") {
            json::merge(&mut context, inner);
        }
        input.insert("context".to_owned(), context);
    }
    Some(Action::Agent { agent: agent?, mode: mode?, input: Json::Object(input) })
}

fn object<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<Object> {
    match work.template(field)? {
        Json::Object(fields) => Some(fields),
        _ => {
            work.reader.refuse(field, "a map", None);
            None
        }
    }
}

fn mode<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) -> Option<String> {
    let modes = ["CONVERSE", "PLAN", "BUILD", "ORCHESTRATION"].map(|mode| (mode, mode));
    let mode = work.optional(map, "mode", |work, field| work.word(field, &modes))?;
    Some(mode.unwrap_or("BUILD").to_owned())
}

fn process<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<Action> {
    if !matches!(field.value, Value::Map(_)) {
        let command = command(work, field)?;
        let input = Json::Object(Object::new());
        let env = BTreeMap::new();
        let (output_bytes_max, memory_bytes_max) = (OUTPUT_BYTES_MAX, None);
        return Some(Action::Process { command, input, env, output_bytes_max, memory_bytes_max });
    }
    let map = work.reader.table(field, &keys::step::PROCESS)?;
    let command = work.reader.required(&map, "command", "a program and its arguments");
    let command = command.and_then(|field| self::command(work, &field));
    let input = work.optional(&map, "input", |work, field| work.template(field));
    let env = work.optional(&map, "env", |work, field| work.template_map(field));
    let output = work.optional(&map, "output_bytes_max", |work, field| work.whole(field, 1, 1 << 30));
    let memory = work.optional(&map, "memory_bytes_max", |work, field| work.whole(field, 1 << 20, 1 << 40));
    let env = env?.unwrap_or_default();
    for (name, field, _) in env.iter().filter(|(name, ..)| !is_variable(name)) {
        work.reader.fault(field, quote(name), "a name of letters, digits and _", None);
    }
    Some(Action::Process {
        command: command?,
        input: input?.unwrap_or_else(|| Json::Object(Object::new())),
        env: env.into_iter().map(|(name, _, value)| (name.to_owned(), value)).collect(),
        output_bytes_max: output?.unwrap_or(OUTPUT_BYTES_MAX),
        memory_bytes_max: memory?,
    })
}

fn is_variable(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn command<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<Vec<String>> {
    match field.value {
        Value::Text(text) if text.trim().contains(char::is_whitespace) && !text.contains("{{") => {
            let parts: Vec<&str> = text.split_whitespace().collect();
            let remedy = format!("no shell reads it; write {}", Json::from(parts));
            work.reader.refuse(field, "a list of the program and its arguments", Some(remedy));
            None
        }
        Value::List(items) if items.is_empty() => {
            work.reader.refuse(field, "a program and its arguments", None);
            None
        }
        _ => work.template_texts(field),
    }
}

fn llm<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<Action> {
    if !matches!(field.value, Value::Map(_)) {
        let prompt = work.template_text(field)?;
        return Some(Action::Llm { system: None, prompt, model: None, max_tokens: None, json: false });
    }
    let map = work.reader.table(field, &keys::step::LLM)?;
    let prompt = work.reader.required(&map, "prompt", "what the model is asked");
    let prompt = prompt.and_then(|field| work.template_text(&field));
    let system = work.optional(&map, "system", |work, field| work.template_text(field));
    let model = work.optional(&map, "model", |work, field| work.reader.line(field));
    let tokens = work.optional(&map, "max_tokens", |work, field| work.whole(field, 1, 1_000_000));
    let json = work.optional(&map, "json", |work, field| work.truth(field));
    Some(Action::Llm {
        system: system?,
        prompt: prompt?,
        model: model?,
        max_tokens: tokens?.and_then(|tokens| u32::try_from(tokens).ok()),
        json: json?.unwrap_or(false),
    })
}

fn wait_for_event<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<Action> {
    if !matches!(field.value, Value::Map(_)) {
        let event = work.reader.line(field)?;
        return Some(Action::WaitForEvent { event, correlation: None, timeout_ms: None });
    }
    let map = work.reader.table(field, &keys::step::WAIT_FOR_EVENT)?;
    let event = work.reader.required(&map, "event", "a type of event").and_then(|field| work.reader.line(&field));
    let correlation = work.optional(&map, "correlation", |work, field| work.template_text(field));
    let timeout_ms = work.optional(&map, "timeout", |work, field| work.duration(field, 366 * 86_400));
    Some(Action::WaitForEvent { event: event?, correlation: correlation?, timeout_ms: timeout_ms? })
}

fn approval<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>) -> Option<Action> {
    let (checkpoint, map) = checkpoint::as_step(work, field)?;
    let payload = match map {
        Some(map) => work.optional(&map, "payload", |work, field| work.template(field))?,
        None => None,
    };
    Some(Action::Approval { checkpoint: Box::new(checkpoint), payload: payload.unwrap_or(Json::Null) })
}

fn orchestration<'n>(work: &mut Work<'_, 'n>, step: &Map<'n>, field: &Field<'n>) -> Option<Action> {
    let map = work.reader.table(field, &keys::step::ORCHESTRATION)?;
    let name = work.reader.required(&map, "name", "the name of a definition");
    let name = name.and_then(|field| work.slug(&field));
    let agent = work.optional(step, "agent", |work, field| work.slug(field));
    let owner = match map.get("owner") {
        Some(field) => work.slug(&field),
        None => agent.clone().flatten(),
    };
    if map.get("owner").is_none() && step.get("agent").is_none() {
        let remedy = Some("add the key owner, or name the agent of the step".to_owned());
        work.reader.fault(&map.absent("owner"), "nothing".to_owned(), "the owner of the definition", remedy);
    }
    mode(work, step);
    let version = work.optional(&map, "version", |work, field| work.reader.line(field));
    let parameters = map.get("parameters").map_or_else(|| Some(Object::new()), |field| object(work, &field));
    work.optional(&map, "inherit_conversation", |work, field| work.truth(field));
    work.optional(&map, "metadata", |work, field| work.reader.named(field, "a map").map(|_| ()));
    Some(Action::Orchestration { owner: owner?, name: name?, version: version?, parameters: Json::Object(parameters?) })
}
