//! What starts runs: times, events, webhooks.
//!
//! Owns: the forms of a trigger, and whether the runs it starts can have their parameters.
//! Refuses to know: how due instants are computed.

use nightshift_domain::{
    definition::{self, Parameter, Trigger},
    json::{Json, Object},
    template,
};

use super::{
    keys,
    work::{Referent, Work, is_slug, listed},
};
use crate::{
    document::Value,
    fault::{did_you_mean, quote},
    order_file::outside::secret_reference,
    reader::{Field, Map},
    schedule,
};

const TIMES: [&str; 4] = ["cron", "every", "frequency", "at"];
const BESIDE_TIMES: [&str; 8] =
    ["anchor", "day", "time", "timezone", "catch_up", "catch_up_window", "overlap", "jitter"];
const ONE_OF: &str = "a time (cron, every, frequency or at), event_types, or a webhook";

/// Reads `trigger` and `triggers`. `parameters` is none when those are at fault.
pub(super) fn read<'n>(
    work: &mut Work<'_, 'n>,
    map: &Map<'n>,
    parameters: Option<&[Parameter]>,
) -> Option<Vec<Trigger>> {
    let mut fields: Vec<Field<'n>> = map.get("trigger").into_iter().collect();
    match map.get("triggers") {
        Some(field) if matches!(field.value, Value::List(_)) => fields.extend(work.reader.items(&field)),
        Some(field) => work.reader.refuse(&field, "a list of triggers", Some("begin each with \"- \"".to_owned())),
        None => {}
    }
    let mut found = Vec::new();
    let mut whole = true;
    for field in fields {
        match trigger(work, &field, parameters) {
            Some(triggers) => {
                twice(work, &field, &found, &triggers);
                found.extend(triggers);
            }
            None => whole = false,
        }
    }
    whole.then_some(found)
}

fn twice(work: &mut Work<'_, '_>, field: &Field<'_>, found: &[Trigger], new: &[Trigger]) {
    for trigger in new {
        let same = |other: &Trigger| match (trigger, other) {
            (Trigger::Webhook { path, .. }, Trigger::Webhook { path: other, .. }) => path == other,
            (one, other) => one == other,
        };
        if found.iter().any(same) {
            work.reader.fault(field, "a trigger again".to_owned(), "each trigger once", Some("drop it".to_owned()));
        }
    }
}

/// A trigger may be a time and events at once: two triggers.
fn trigger<'n>(work: &mut Work<'_, 'n>, field: &Field<'n>, parameters: Option<&[Parameter]>) -> Option<Vec<Trigger>> {
    let map = work.reader.table(field, &keys::TRIGGER)?;
    type_holds(work, &map);
    let timed = TIMES.iter().any(|key| map.get(key).is_some());
    for key in BESIDE_TIMES.iter().filter(|_| !timed) {
        if let Some(field) = map.get(key) {
            let remedy = Some("drop it, or say when: cron, every, frequency or at".to_owned());
            work.reader.refuse(&field, &format!("{key} only beside a time"), remedy);
        }
    }
    if let (Some(field), None) = (map.get("secret"), map.get("webhook")) {
        work.reader.fault(&field, "a secret".to_owned(), "secret only beside webhook", Some("drop it".to_owned()));
    }
    let (events, hook) = (map.get("event_types"), map.get("webhook"));
    if !timed && events.is_none() && hook.is_none() && map.get("type").is_none() {
        work.reader.fault(field, "a trigger of nothing".to_owned(), ONE_OF, None);
        return None;
    }
    let mut found = Vec::new();
    if timed {
        let schedule =
            schedule::read_from(&mut work.reader, &map, work.context.calendar, work.context.now, &schedule::OVERLAPS);
        let given = scheduled_parameters(work, &map, parameters);
        found.push(schedule.zip(given).map(|(schedule, parameters)| Trigger::Schedule { schedule, parameters }));
    }
    if let Some(field) = events {
        let types = event_types(work, &field);
        let given = event_parameters(work, &map, parameters, timed);
        found.push(types.zip(given).map(|(types, parameters)| Trigger::Event { types, parameters }));
    }
    if let Some(field) = hook {
        found.push(webhook(work, &map, &field, parameters, timed));
    }
    found.into_iter().collect()
}

/// Whether what is there is what `type` says.
fn type_holds<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>) {
    let words = ["cron", "event", "cron_or_event", "schedule", "webhook"].map(|word| (word, word));
    let Some(Some(word)) = work.optional(map, "type", |work, field| work.word(field, &words)) else { return };
    let (needed, refused): (&[&str], &[&str]) = match word {
        "cron" => (&["cron"], &["event_types", "webhook"]),
        "event" => (&["event_types"], &["cron", "every", "frequency", "at", "webhook"]),
        "cron_or_event" => (&["cron", "event_types"], &["webhook"]),
        "webhook" => (&["webhook"], &["cron", "every", "frequency", "at", "event_types"]),
        _ => (&[], &["event_types", "webhook"]),
    };
    for key in needed {
        work.reader.required(map, key, &format!("{key} beside type: {word}"));
    }
    if word == "schedule" && TIMES.iter().all(|key| map.get(key).is_none()) {
        work.reader.fault(&map.whole(), "no time".to_owned(), "cron, every, frequency or at", None);
    }
    for key in refused {
        if let Some(field) = map.get(key) {
            let remedy = match *key {
                "event_types" if word == "cron" => "write type: cron_or_event",
                "cron" if word == "event" => "write type: cron_or_event",
                _ => "drop the type, or the key",
            };
            let allowed = format!("no {key} beside type: {word}");
            work.reader.fault(&field, format!("the key {}", quote(field.key())), &allowed, Some(remedy.to_owned()));
        }
    }
}

fn event_types(work: &mut Work<'_, '_>, field: &Field<'_>) -> Option<Vec<String>> {
    let types = work.reader.distinct_lines(field);
    if types.is_empty() {
        if matches!(field.value, Value::List(items) if items.is_empty()) {
            work.reader.refuse(field, "at least one type of event", None);
        }
        return None;
    }
    Some(types.into_iter().map(|(_, name)| name).collect())
}

fn webhook<'n>(
    work: &mut Work<'_, 'n>,
    map: &Map<'n>,
    field: &Field<'n>,
    parameters: Option<&[Parameter]>,
    timed: bool,
) -> Option<Trigger> {
    let path = work.reader.text(field);
    let path = path.filter(|path| {
        let fits = is_slug(path, "._-");
        if !fits {
            let remedy = path.rsplit('/').next().filter(|last| path.contains('/') && is_slug(last, "._-"));
            let remedy = remedy.map(|last| format!("write {last:?}: the address is /api/hooks/{last}"));
            work.reader.refuse(field, "one part of an address: letters, digits, dots, _ and -", remedy);
        }
        fits
    });
    let secret = work.reader.required(map, "secret", "where the secret is that signs requests: env:NAME or file:/path");
    let secret = secret.and_then(|field| secret_reference(&mut work.reader, &field));
    let given = event_parameters(work, map, parameters, timed);
    Some(Trigger::Webhook { path: path?, secret: secret?, parameters: given? })
}

/// Parameters of runs that time starts: they are known now, so they are checked now.
fn scheduled_parameters<'n>(work: &mut Work<'_, 'n>, map: &Map<'n>, known: Option<&[Parameter]>) -> Option<Json> {
    let shared = map.get("event_types").or_else(|| map.get("webhook")).is_some();
    let field = map.get("parameters");
    if shared && field.is_some() {
        // That is a fault already.
        return None;
    }
    let given = match &field {
        Some(field) => work.json(field)?,
        None => Json::Object(Object::new()),
    };
    let Err(faults) = definition::parameters(known?, &given) else { return Some(given) };
    let at = field.unwrap_or_else(|| map.absent("parameters"));
    for fault in faults {
        let found = if given.get(&fault.name).is_some() { quote(&fault.name) } else { "nothing".to_owned() };
        let remedy = Some("a run that is started by time has nobody to ask".to_owned());
        work.reader.fault(&at, found, &format!("{}: {}", fault.name, fault.why), remedy);
    }
    None
}

/// Parameters of runs that events start: a template over the event.
fn event_parameters<'n>(
    work: &mut Work<'_, 'n>,
    map: &Map<'n>,
    known: Option<&[Parameter]>,
    timed: bool,
) -> Option<Json> {
    let Some(field) = map.get("parameters") else { return Some(Json::Null) };
    if timed {
        let remedy = Some("write two triggers: what is known of an event is not known of an instant".to_owned());
        work.reader.refuse(&field, "parameters in a trigger of one kind", remedy);
        return None;
    }
    let Value::Map(_) = field.value else {
        work.reader.refuse(&field, "a map of parameters, e.g. {order: \"{{ event.payload.order }}\"}", None);
        return None;
    };
    let given = work.template(&field);
    for mention in work.take_mentions() {
        if let Referent::Path(template::Path { root, .. }) = &mention.of
            && root != "event"
        {
            let remedy = did_you_mean(root, ["event"]);
            work.reader.fault(&mention.field, format!("the name {}", quote(root)), "event, e.g. event.payload", remedy);
        }
    }
    let (given, known) = (given?, known?);
    let fields = given.as_object()?;
    let names: Vec<&str> = known.iter().map(|parameter| parameter.name.as_str()).collect();
    for name in fields.keys().filter(|name| !names.contains(&name.as_str())) {
        let remedy = did_you_mean(name, names.iter().copied());
        work.reader.fault(&field, format!("the unknown parameter {}", quote(name)), &listed(&names), remedy);
    }
    for parameter in known.iter().filter(|parameter| parameter.required && parameter.default.is_none()) {
        if !fields.contains_key(&parameter.name) {
            let found = format!("nothing for {}", quote(&parameter.name));
            work.reader.fault(&field, found, &format!("every required parameter ({})", parameter.kind), None);
        }
    }
    Some(given)
}
