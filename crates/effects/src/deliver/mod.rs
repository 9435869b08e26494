//! Bringing documents and notices to people and systems.
//!
//! Owns: the dispatch on the kind of destination and the time-out of a call.
//! Refuses to know: whether a version may be delivered, how often it is tried.

mod file;
mod html;
mod mail;
mod webhook;

use std::time::Duration;

use async_trait::async_trait;
use nightshift_domain::content::{Destination, Failure, Notice, Receipt};
use nightshift_ports::performer::{Call, Delivering, Outgoing};

use crate::{
    config::SmtpConfig,
    http::{self, Clients},
};

/// Writes files, sends mail, posts webhooks.
pub struct Deliveries {
    smtp: Option<SmtpConfig>,
    clients: Clients,
}

impl Deliveries {
    pub(crate) fn new(smtp: Option<SmtpConfig>, clients: Clients) -> Self {
        Self { smtp, clients }
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
                    webhook::post(&self.clients, &webhook::Hook { url, secret: secret.as_deref() }, document, call)
                        .await
                }
            }
        };
        within(call, &destination.target(), work).await
    }

    async fn notify(&self, to: &[String], notice: &Notice, call: &Call) -> Result<Receipt, Failure> {
        self.mail(to, &mail::Mail::notice(notice), call).await
    }
}

async fn within<T>(call: &Call, whom: &str, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    match tokio::time::timeout(Duration::from_millis(call.timeout_ms), work).await {
        Ok(outcome) => outcome,
        Err(_) => Err(http::timed_out(whom, call.timeout_ms)),
    }
}
