//! What the client may ask for: workflows with the edges that hold between their steps, and documents.
//!
//! Owns: the documents, and what an outsider may conclude from them. The checker knows the graph from here and from nowhere
//! else.

/// A workflow of the storm.
pub struct Flow {
    /// Its name.
    pub name: &'static str,
    /// Its document.
    pub document: &'static str,
    /// Which step comes behind which; both ask agents.
    pub edges: &'static [(&'static str, &'static str)],
    /// Steps that ask agents, with how many requests each makes when all goes well.
    pub steps: &'static [(&'static str, usize)],
    /// Steps that must never reach the outside twice.
    pub never: &'static [&'static str],
    /// The step that goes only after somebody agreed.
    pub asks: Option<&'static str>,
    /// Runs begin with an event of this type.
    pub event: Option<&'static str>,
}

/// Many attempts: a run is hit by many faults, and none of them is a reason to fail.
const PATIENT: &str = "retry: {max_attempts: 100, base_ms: 100, multiplier: 1}, timeout: 4s";

/// One after another, with a timer between.
pub const CHAIN: Flow = Flow {
    name: "chain",
    document: "name: chain\nparameters: [{name: order, type: string, required: true}]\nsteps:\n  \
        - {id: a, call: /agents/a, body: {order: \"{{ order }}\", step: a}, PATIENT}\n  \
        - {id: b, call: /agents/b, body: {order: \"{{ order }}\", step: b, before: \"{{ steps.a.effect }}\"}, depends_on: a, PATIENT}\n  \
        - {id: nap, sleep: 30ms, depends_on: b}\n  \
        - {id: c, call: /agents/c, body: {order: \"{{ order }}\", step: c, before: \"{{ steps.b.effect }}\"}, depends_on: nap, PATIENT}\n",
    edges: &[("a", "b"), ("b", "c")],
    steps: &[("a", 1), ("b", 1), ("c", 1)],
    never: &[],
    asks: None,
    event: None,
};

/// A list, gone through by three at once.
pub const FAN: Flow = Flow {
    name: "fan",
    document: "name: fan\nparameters: [{name: order, type: string, required: true}]\nsteps:\n  \
        - {id: a, call: /agents/a, body: {order: \"{{ order }}\", step: a}, PATIENT}\n  \
        - {id: each, call: /agents/each, body: {order: \"{{ order }}\", step: each, item: \"{{ item }}\"}, for_each: [1, 2, 3], parallel: 3, depends_on: a, PATIENT}\n  \
        - {id: z, call: /agents/z, body: {order: \"{{ order }}\", step: z}, depends_on: each, PATIENT}\n",
    edges: &[("a", "each"), ("each", "z")],
    steps: &[("a", 1), ("each", 3), ("z", 1)],
    never: &[],
    asks: None,
    event: None,
};

/// A step that must never be done twice.
pub const ONCE: Flow = Flow {
    name: "once",
    document: "name: once\nparameters: [{name: order, type: string, required: true}]\nsteps:\n  \
        - {id: a, call: /agents/a, body: {order: \"{{ order }}\", step: a}, PATIENT}\n  \
        - {id: pay, call: /agents/pay, body: {order: \"{{ order }}\", step: pay}, crash: never, depends_on: a, PATIENT}\n  \
        - {id: c, call: /agents/c, body: {order: \"{{ order }}\", step: c}, depends_on: pay, PATIENT}\n",
    edges: &[("a", "pay"), ("pay", "c")],
    steps: &[("a", 1), ("pay", 1), ("c", 1)],
    never: &["pay"],
    asks: None,
    event: None,
};

/// A question to people.
pub const ASK: Flow = Flow {
    name: "ask",
    document: "name: ask\nparameters: [{name: order, type: string, required: true}]\nsteps:\n  \
        - {id: a, call: /agents/a, body: {order: \"{{ order }}\", step: a}, PATIENT}\n  \
        - {id: check, approval: {question: \"Send {{ order }}?\"}, depends_on: a}\n  \
        - {id: send, call: /agents/send, body: {order: \"{{ order }}\", step: send}, depends_on: check, PATIENT}\n",
    edges: &[("a", "send")],
    steps: &[("a", 1), ("send", 1)],
    never: &[],
    asks: Some("send"),
    event: None,
};

/// Begun by an event.
pub const HEARS: Flow = Flow {
    name: "hears",
    document: "name: hears\nparameters: [{name: order, type: string, required: true}]\n\
        triggers: [{event: paid, parameters: {order: \"{{ event.payload.order }}\"}}]\nsteps:\n  \
        - {id: book, call: /agents/book, body: {order: \"{{ order }}\", step: book}, PATIENT}\n",
    edges: &[],
    steps: &[("book", 1)],
    never: &[],
    asks: None,
    event: Some("paid"),
};

/// All of them.
pub const FLOWS: [&Flow; 5] = [&CHAIN, &FAN, &ONCE, &ASK, &HEARS];

/// The word for requests that have a document made.
pub const DOCUMENT: &str = "document";

/// Standing orders whose documents go by mail.
pub const DELIVERABLES: usize = 3;

impl Flow {
    /// Its document as it is registered.
    #[must_use]
    pub fn text(&self) -> String {
        self.document.replace("PATIENT", PATIENT)
    }

    /// By name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        FLOWS.into_iter().find(|flow| flow.name == name)
    }
}
