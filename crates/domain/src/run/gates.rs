//! What a step that waits for a place has to pass beside the place itself.
//!
//! Owns: which queue, whose turn, which buckets and keys. Refuses to know: limits, and who holds what.

use super::{
    Action, Run,
    facts::{Facts, KeptAs},
};
use crate::{ids::UserId, json::Room, template::render_to_text};

/// The queue of steps that name none.
pub const DEFAULT_QUEUE: &str = "default";

/// Paths behind which the next segment names the agent.
const PROXIES: [&str; 2] = ["/functions/v1/agent-proxy/", "/agents/"];

/// What a step has to pass before it gets a place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gates {
    /// The queue it waits in; `default` when it names none.
    pub queue: String,
    /// Whose turn it takes.
    pub user: UserId,
    /// The agent that is asked, when one is.
    pub agent: Option<String>,
    /// Token buckets that give a token each: `user:{user}:agent:{agent}` and `global:agent:{agent}`.
    pub buckets: Vec<String>,
    /// Keys of which only so many may run at once.
    pub concurrency: Vec<String>,
}

impl Gates {
    /// Whether a place is all it takes; tokens may be free.
    #[must_use]
    pub fn are_open(&self, tokens_free: bool) -> bool {
        self.queue == DEFAULT_QUEUE && self.concurrency.is_empty() && (tokens_free || self.buckets.is_empty())
    }
}

/// The gates of a step; none when there is no such step.
///
/// A value that is kept outside of the events stands in a concurrency key as what says where it is: equal values give
/// equal keys.
#[must_use]
pub fn gates(run: &Run, step: &str) -> Option<Gates> {
    let place = run.place(step)?;
    let (plan, _) = run.at(place)?;
    let run_id = run.created.id.unwrap_or(run.created.root);
    let facts = Facts { run, run_id, place: Some(place), kept: KeptAs::Reference };
    // What is too large for a worker is too large to wait for one's turn by; the attempt says so.
    let text = |text: &str| render_to_text(text, &facts, &mut Room::VALUE.clone()).unwrap_or_default();
    let agent = match &plan.action {
        Action::Agent { agent, .. } => Some(agent.clone()),
        Action::Call { url, .. } => agent_of(&text(url)),
        _ => None,
    };
    let user = run.created.user.clone();
    let buckets =
        agent.iter().flat_map(|agent| [format!("user:{user}:agent:{agent}"), format!("global:agent:{agent}")]);
    let key = plan.flow.concurrency_key.as_ref().map(|key| text(key));
    Some(Gates {
        queue: plan.flow.queue.clone().unwrap_or_else(|| DEFAULT_QUEUE.to_owned()),
        buckets: buckets.collect(),
        concurrency: key.filter(|key| !key.is_empty()).into_iter().collect(),
        user,
        agent,
    })
}

/// The agent behind an address: the segment behind `/functions/v1/agent-proxy/` or `/agents/`; else the host of an
/// absolute address; else the first segment of the path.
fn agent_of(url: &str) -> Option<String> {
    let segment = |path: &str| {
        let end = path.find(['/', '?', '#']).unwrap_or(path.len());
        Some(path[..end].to_owned()).filter(|name| !name.is_empty())
    };
    let absolute = url.split_once("://").map(|(_, rest)| rest);
    let path = match absolute {
        Some(rest) => rest.find('/').map_or("", |at| &rest[at..]),
        None => url,
    };
    let proxied = PROXIES.iter().find_map(|proxy| path.strip_prefix(proxy).and_then(segment));
    proxied.or_else(|| match absolute {
        Some(rest) => segment(rest).map(|host| host.rsplit('@').next().unwrap_or_default().to_ascii_lowercase()),
        None => segment(path.trim_start_matches('/')),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_which_agent_is_asked() {
        for (url, agent) in [
            ("/functions/v1/agent-proxy/clo/begin-week", Some("clo")),
            ("/functions/v1/agent-proxy/snapshot", Some("snapshot")),
            ("/agents/echo/fetch?x=1", Some("echo")),
            ("https://edge.example/functions/v1/agent-proxy/ta/x", Some("ta")),
            ("https://Writer.example:8443/v2/do", Some("writer.example:8443")),
            ("http://user:secret@host/x", Some("host")),
            ("/reports/daily", Some("reports")),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(agent_of(url).as_deref(), agent, "{url}");
        }
    }
}
