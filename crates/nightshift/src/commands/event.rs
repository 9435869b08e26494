//! `nightshift event`: events that start and wake runs.

use nightshift_domain::{
    ids::{CommandId, TopicId, UserId},
    topic::{Command, Published},
};
use nightshift_ports::{clock::IdSource, read_models::Query};
use serde_json::Value;

use super::{Env, approval::json};
use crate::{
    app::{self, Mode},
    args,
    control::Control,
    exit::{Code, Exit},
    names,
    output::{self, cell, instant},
    real::RandomIds,
};

/// Runs the command.
///
/// # Errors
/// It failed; the error has the exit code.
pub async fn run(env: &Env, command: args::Event) -> Result<Code, Exit> {
    match command {
        args::Event::Publish { event_type, id, correlation, payload } => {
            let payload = json("--payload", &payload)?;
            let id = id.unwrap_or_else(|| RandomIds.fresh().to_string());
            let user = UserId(env.config.defaults.user.clone());
            publish(env, event_type, Published { id, user, correlation, intent_id: None, payload }).await
        }
        args::Event::List { event_type, limit } => list(env, event_type, limit).await,
    }
}

async fn publish(env: &Env, event_type: String, event: Published) -> Result<Code, Exit> {
    let control = Control::open(env).await?;
    let topic = TopicId::of(&event_type, control.store().log().info().shard_count);
    let id = CommandId::of_client(&event.user.0, &format!("event.publish:{event_type}"), &event.id);
    let name = event.id.clone();
    let command = Command::Publish { event_type: event_type.clone(), event: Box::new(event) };
    let answer = control.submit(topic.stream(), command, id).await?;
    control.settled().await;
    control.close().await;
    if env.json {
        output::json(&serde_json::json!({"type": event_type, "id": name, "repeated": answer.repeated}));
    } else if answer.repeated {
        println!("{event_type} {name} was published before");
    } else {
        println!("{event_type} {name} is published");
    }
    Ok(Code::Ok)
}

async fn list(env: &Env, event_type: Option<String>, limit: u32) -> Result<Code, Exit> {
    let store = app::open(&env.config, Mode::Read).await?;
    let equals = event_type.map(|name| ("event_type", Value::from(name))).into_iter().collect();
    let query = Query { equals, order: vec![("created_at", true)], limit, ..Query::default() };
    let rows = store.read_models().query(names::table("intent_events"), &query).await?;
    if env.json {
        output::json(&rows);
        return Ok(Code::Ok);
    }
    let columns = ["event_type", "event_id", "user_id", "correlation", "told"];
    let lines = rows.iter().map(|row| {
        let mut line: Vec<String> = columns.iter().map(|column| cell(row, column)).collect();
        line.push(instant(row, "created_at"));
        line
    });
    output::table(&["type", "id", "user", "correlation", "told", "published"], lines.collect(), "no events yet");
    Ok(Code::Ok)
}
