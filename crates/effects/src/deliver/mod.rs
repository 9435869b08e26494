//! Bringing documents and notices to people and systems.
//!
//! Owns: the dispatch on the kind of destination and the time-out of a call.
//! Refuses to know: whether a version may be delivered, how often it is tried.

mod file;
pub(crate) mod html;
mod mail;
mod webhook;

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use nightshift_domain::{
    content::{Destination, Failure, Notice, Receipt},
    run::{Hook, Receiver, Report},
};
use nightshift_ports::performer::{Call, Delivering, Outgoing, Sending};

use crate::{
    config::{ReportsConfig, SmtpConfig},
    http::{self, Clients},
    steps::SecretConfig,
};

/// Writes files, sends mail, posts webhooks.
pub struct Deliveries {
    smtp: Option<SmtpConfig>,
    reports: ReportsConfig,
    /// Secrets that documents may name.
    secrets: BTreeMap<String, SecretConfig>,
    clients: Clients,
}

impl Deliveries {
    pub(crate) fn new(
        smtp: Option<SmtpConfig>,
        reports: ReportsConfig,
        secrets: BTreeMap<String, SecretConfig>,
        clients: Clients,
    ) -> Self {
        Self { smtp, reports, secrets, clients }
    }

    /// Where a message goes, and the reference to what signs it.
    fn hook<'a>(&'a self, report: &'a Report) -> Result<webhook::Hook<'a>, Failure> {
        let word = report.hook.as_str();
        let ours = self.reports.secret.as_deref();
        match &report.to {
            Receiver::Configured {} => {
                let url = match report.hook {
                    Hook::Progress => self.reports.progress_url.as_deref(),
                    Hook::Checkpoint => self.reports.checkpoint_url.as_deref(),
                };
                let url = url.ok_or_else(|| {
                    http::permanent(format!("the {word} webhook is configured no more; set workflows.{word}_webhook"))
                })?;
                Ok(webhook::Hook { url, secret: ours })
            }
            // The configuration's secret signs for its own addresses only: authors of documents are not the operator.
            Receiver::Address { url, secret: None } => Ok(webhook::Hook { url, secret: None }),
            Receiver::Address { url, secret: Some(name) } => {
                let known = self.secrets.get(name).ok_or_else(|| {
                    http::permanent(format!(
                        "no secret {name} is configured; add it to the file of workflows.secrets_file"
                    ))
                })?;
                Ok(webhook::Hook { url, secret: Some(&known.from) })
            }
        }
    }

    /// Sends a mail within the time of the call or that of the mail server, whichever is shorter.
    async fn mail(&self, to: &[String], mail: &mail::Mail, call: &Call) -> Result<Receipt, Failure> {
        let smtp = self.smtp()?;
        let call = Call { timeout_ms: call.timeout_ms.min(smtp.timeout_ms), ..call.clone() };
        within(&call, &to.join(", "), mail::send(smtp, to, mail, &call)).await
    }

    fn smtp(&self) -> Result<&SmtpConfig, Failure> {
        self.smtp.as_ref().ok_or_else(|| {
            http::permanent("no mail server is configured; set smtp.host and smtp.from to send mail".to_owned())
        })
    }
}

#[async_trait]
impl Delivering for Deliveries {
    async fn deliver(&self, destination: &Destination, document: &Outgoing, call: &Call) -> Result<Receipt, Failure> {
        let work = async {
            match destination {
                Destination::File { folder } => file::write(folder, document).await,
                Destination::Email { to } => self.mail(to, &mail::Mail::document(document), call).await,
                Destination::Webhook { url, secret } => {
                    webhook::deliver(&self.clients, &webhook::Hook { url, secret: secret.as_deref() }, document, call)
                        .await
                }
            }
        };
        within(call, &destination.target(), work).await
    }

    async fn notify(&self, to: &[String], notice: &Notice, call: &Call) -> Result<Receipt, Failure> {
        self.mail(to, &mail::Mail::notice(notice), call).await
    }

    async fn report(&self, report: &Report, sending: &Sending) -> Result<(), Failure> {
        let hook = self.hook(report)?;
        let posting = webhook::Posting {
            id: &sending.id,
            attempt: sending.attempt,
            fencing_token: None,
            traceparent: None,
            now: sending.now,
            body: report.body.to_string(),
        };
        let whom = format!("the {} webhook", report.hook.as_str());
        http::within(sending.timeout_ms, &whom, webhook::post(&self.clients, &hook, posting)).await.map(|_| ())
    }
}

async fn within<T>(call: &Call, whom: &str, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(Duration::from_millis(call.timeout_ms), work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(http::timed_out(whom, call.timeout_ms)),
    }
}
