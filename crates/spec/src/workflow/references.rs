//! Whether what templates and conditions refer to is there when they are looked at.
//!
//! Owns: the names that are known, and which steps a step can see. Refuses to know: values.
//!
//! Invariant: what a step of an accepted document refers to is over before the step begins.

use nightshift_domain::{
    definition::Parameter,
    run::Part,
    template::{self, Part as PathPart},
};

use super::{
    graph::Graph,
    step::Draft,
    work::{Mention, Referent, Work, listed},
};
use crate::{
    expressions::Names,
    fault::{did_you_mean, quote},
    reader::Field,
};

/// The first names of paths in templates, beside the names of parameters. What they lead to is in the domain's `facts`.
pub const ROOTS: [&str; 10] =
    ["steps", "parameters", "run", "trigger", "item", "index", "failure", "workflow_run_id", "user_id", "step_id"];

/// The names that conditions see.
pub const CONDITION_ROOTS: [&str; 7] = ["steps", "parameters", "run", "trigger", "item", "index", "failure"];

/// The fields of names whose fields are always the same.
const FIELDS: [(&str, &[&str]); 2] =
    [("run", &["id", "root", "user", "workflow", "nominal"]), ("failure", &["step", "class", "message"])];

/// What can be seen from a place.
struct View<'v, 'n> {
    drafts: &'v [Draft<'n>],
    parameters: &'v [Parameter],
    /// The step, and those behind which it goes; none for what is looked at when the run is over.
    step: Option<(&'v Draft<'n>, &'v std::collections::BTreeSet<usize>)>,
    /// There is a circle, so that nobody knows what goes before what.
    unordered: bool,
}

/// Judges every reference of steps, and of the run's output.
pub(super) fn check<'n>(
    work: &mut Work<'_, 'n>,
    drafts: &[Draft<'n>],
    graph: &Graph,
    parameters: &[Parameter],
    output: &[Mention<'n>],
) {
    let unordered = graph.order.is_none();
    for (at, draft) in drafts.iter().enumerate() {
        let step = graph.before.get(at).map(|before| (draft, before));
        let view = View { drafts, parameters, step, unordered };
        draft.mentions.iter().for_each(|mention| view.check(work, mention));
    }
    let view = View { drafts, parameters, step: None, unordered };
    output.iter().for_each(|mention| view.check(work, mention));
}

impl<'n> View<'_, 'n> {
    fn check(&self, work: &mut Work<'_, 'n>, mention: &Mention<'n>) {
        if work.reader.is_full() {
            return;
        }
        match &mention.of {
            Referent::Path(path) => self.path(work, mention, path),
            Referent::Names(names, condition) => self.names(work, mention, names, condition),
        }
    }

    fn path(&self, work: &mut Work<'_, 'n>, mention: &Mention<'n>, path: &template::Path) {
        let first = match path.parts.first() {
            Some(PathPart::Field(name)) => Some(name.as_str()),
            _ => None,
        };
        match (path.root.as_str(), first) {
            ("steps", Some(id)) => {
                if let Some(at) = self.step(work, mention, id) {
                    self.output(work, &mention.field, at, path);
                }
            }
            ("steps", None) => self.all_steps(work, &mention.field),
            ("parameters", Some(name)) => self.parameter(work, &mention.field, name),
            (root, first) => {
                if self.root(work, mention, root)
                    && let Some(name) = first
                {
                    self.field(work, mention, root, name);
                }
            }
        }
    }

    fn names(&self, work: &mut Work<'_, 'n>, mention: &Mention<'n>, names: &Names, condition: &str) {
        // `steps.fetch-data.count` is a subtraction in CEL. That is the fault, whatever the names in it are.
        let dashed = |draft: &&Draft<'n>| draft.id.contains('-') && condition.contains(&format!("steps.{}", draft.id));
        if let Some(draft) = self.drafts.iter().find(dashed) {
            let remedy = Some(format!("- subtracts; write steps[{:?}]", draft.id));
            work.reader.refuse(&mention.field, "a condition in CEL", remedy);
            return;
        }
        for id in &names.steps {
            self.step(work, mention, id);
        }
        for name in &names.parameters {
            self.parameter(work, &mention.field, name);
        }
        if names.all_steps {
            self.all_steps(work, &mention.field);
        }
        for root in names.roots.iter().filter(|root| !["steps", "parameters"].contains(&root.as_str())) {
            if self.parameters.iter().any(|parameter| parameter.name == *root) {
                let remedy = Some(format!("write parameters.{root}"));
                self.unknown(work, mention, root, &CONDITION_ROOTS, remedy);
            } else if !CONDITION_ROOTS.contains(&root.as_str()) {
                let remedy = self.meant(root, &CONDITION_ROOTS);
                self.unknown(work, mention, root, &CONDITION_ROOTS, remedy);
            } else {
                self.root(work, mention, root);
            }
        }
        for (root, name) in &names.fields {
            self.field(work, mention, root, name);
        }
    }

    /// Whether the first name of a path can be seen from the place.
    fn root(&self, work: &mut Work<'_, 'n>, mention: &Mention<'n>, root: &str) -> bool {
        if self.parameters.iter().any(|parameter| parameter.name == root) {
            return true;
        }
        if !ROOTS.contains(&root) {
            let remedy = self.meant(root, &ROOTS);
            let names = self.parameters.iter().map(|parameter| parameter.name.as_str());
            let known: Vec<&str> = names.chain(ROOTS).collect();
            self.unknown(work, mention, root, &known, remedy);
            return false;
        }
        let main = self.step.is_none_or(|(step, _)| step.part == Part::Main);
        let missing = match root {
            "item" | "index" if !mention.seen.element => Some(("in a step with for_each", "give the step for_each")),
            "failure" if main => Some(("in steps of on_failure and finally", "move the step there")),
            "step_id" if self.step.is_none() => Some(("in steps", "drop it")),
            _ => None,
        };
        if let Some((place, remedy)) = missing {
            let allowed = format!("it only {place}");
            work.reader.fault(&mention.field, format!("the name {root:?}"), &allowed, Some(remedy.to_owned()));
        }
        missing.is_none()
    }

    fn unknown(
        &self,
        work: &mut Work<'_, 'n>,
        mention: &Mention<'n>,
        root: &str,
        known: &[&str],
        remedy: Option<String>,
    ) {
        work.reader.fault(&mention.field, format!("the unknown name {}", quote(root)), &listed(known), remedy);
    }

    /// What the author may have meant by an unknown name.
    fn meant(&self, root: &str, known: &[&str]) -> Option<String> {
        if let Some(draft) = self.drafts.iter().find(|draft| draft.id == root) {
            return Some(format!("did you mean \"steps.{}\"?", draft.id));
        }
        did_you_mean(root, self.parameters.iter().map(|parameter| parameter.name.as_str()).chain(known.iter().copied()))
    }

    fn field(&self, work: &mut Work<'_, 'n>, mention: &Mention<'n>, root: &str, name: &str) {
        let Some((_, fields)) = FIELDS.iter().find(|(known, _)| *known == root) else { return };
        if !fields.contains(&name) {
            let remedy = did_you_mean(name, fields.iter().copied());
            let found = format!("the unknown field {} of {root}", quote(name));
            work.reader.fault(&mention.field, found, &fields.join(", "), remedy);
        }
    }

    fn parameter(&self, work: &mut Work<'_, 'n>, field: &Field<'n>, name: &str) {
        if self.parameters.iter().any(|parameter| parameter.name == name) {
            return;
        }
        let names: Vec<&str> = self.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        let remedy = did_you_mean(name, names.iter().copied());
        let allowed = listed(&names);
        work.reader.fault(field, format!("the unknown parameter {}", quote(name)), &allowed, remedy);
    }

    /// The place of a step that can be seen; none with a fault otherwise.
    fn step(&self, work: &mut Work<'_, 'n>, mention: &Mention<'n>, id: &str) -> Option<usize> {
        let field = &mention.field;
        let Some(at) = self.drafts.iter().position(|draft| draft.id == id) else {
            let ids: Vec<&str> = self.drafts.iter().map(|draft| draft.id.as_str()).collect();
            let remedy = did_you_mean(id, ids.iter().copied());
            work.reader.fault(field, format!("the unknown step {}", quote(id)), &listed(&ids), remedy);
            return None;
        };
        let other = &self.drafts[at];
        let Some((step, before)) = self.step else { return Some(at) };
        let (found, remedy) = if other.id == step.id && mention.seen.own_output {
            return Some(at);
        } else if other.id == step.id {
            (format!("the step {} itself", quote(id)), "a step cannot see what it makes".to_owned())
        } else if rank(other.part) < rank(step.part) || before.contains(&at) || self.unordered {
            return Some(at);
        } else if rank(other.part) > rank(step.part) {
            (format!("{}, which goes later", quote(id)), "drop the reference, or move the step".to_owned())
        } else {
            let remedy = format!("add {id} to depends_on; without it the step may go before its input is there");
            (format!("{}, which it does not depend on", quote(id)), remedy)
        };
        work.reader.fault(field, found, "steps that this one depends on, directly or through others", Some(remedy));
        None
    }

    fn all_steps(&self, work: &mut Work<'_, 'n>, field: &Field<'n>) {
        let Some((step, _)) = self.step else { return };
        if step.part == Part::Main {
            let remedy = Some("name the step, e.g. steps.fetch; which others are over is chance".to_owned());
            work.reader.fault(field, "all steps at once".to_owned(), "one step, by its id", remedy);
        }
    }

    /// A field of an output whose names the step says itself.
    fn output(&self, work: &mut Work<'_, 'n>, field: &Field<'n>, at: usize, path: &template::Path) {
        let other = &self.drafts[at];
        if other.outputs.is_empty() || other.looped {
            return;
        }
        let Some(PathPart::Field(name)) = path.parts.get(1) else { return };
        if !other.outputs.iter().any(|known| known == name) {
            let remedy = did_you_mean(name, other.outputs.iter().map(String::as_str));
            let found = format!("the unknown output {} of {}", quote(name), quote(&other.id));
            work.reader.fault(field, found, &other.outputs.join(", "), remedy);
        }
    }
}

const fn rank(part: Part) -> u8 {
    match part {
        Part::Main => 0,
        Part::OnFailure => 1,
        Part::Finally => 2,
    }
}
