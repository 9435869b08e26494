//! Mail by SMTP.
//!
//! Owns: the message (plain and HTML side by side), its identity, and which answer of a server is which class.
//! Refuses to know: templates, who should be told.
//!
//! Invariant: the Message-ID derives from the idempotency key, so a repeated mail is seen as the same one.

use std::time::{Duration, UNIX_EPOCH};

use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{Mailbox, MultiPart},
    transport::smtp::{
        self,
        authentication::Credentials,
        client::{Tls, TlsParameters},
    },
};
use nightshift_domain::content::{Failure, FailureClass, Notice, Receipt};
use nightshift_ports::performer::{Call, Outgoing};

use super::html;
use crate::{
    config::{SmtpConfig, SmtpTls},
    http::{chain, failure, permanent},
    secrets::resolve,
    text::{digest_of, excerpt, one_line},
};

/// Longer subjects are cut by most mail programs.
const SUBJECT_CHARS_MAX: usize = 150;
/// What is kept of the server's last word.
const DETAIL_CHARS_MAX: usize = 200;

/// What a mail says.
pub(super) struct Mail {
    subject: String,
    markdown: String,
}

impl Mail {
    pub(super) fn document(document: &Outgoing) -> Self {
        Self { subject: document.title.clone(), markdown: document.markdown.clone() }
    }

    pub(super) fn notice(notice: &Notice) -> Self {
        Self { subject: notice.subject.clone(), markdown: notice.body.clone() }
    }

    fn message(&self, from: &Mailbox, to: &[Mailbox], call: &Call) -> Result<Message, Failure> {
        let subject = excerpt(&one_line(&self.subject), SUBJECT_CHARS_MAX);
        let at = UNIX_EPOCH + Duration::from_micros(u64::try_from(call.now.micros()).unwrap_or(0));
        let id = message_id(&call.idempotency_key, from.email.domain());
        let body = MultiPart::alternative_plain_html(self.markdown.clone(), html::page(&subject, &self.markdown));
        let mut builder = Message::builder().from(from.clone()).subject(subject).date(at).message_id(Some(id));
        for mailbox in to {
            builder = builder.to(mailbox.clone());
        }
        builder.multipart(body).map_err(|error| permanent(format!("the mail could not be made: {}", chain(&error))))
    }
}

fn message_id(key: &str, domain: &str) -> String {
    format!("<{}@{domain}>", &digest_of(key.as_bytes()).0[..32])
}

pub(super) async fn send(smtp: &SmtpConfig, to: &[String], mail: &Mail, call: &Call) -> Result<Receipt, Failure> {
    let from: Mailbox =
        smtp.from.parse().map_err(|_| permanent(format!("smtp.from is {:?}, not an address", smtp.from)))?;
    if to.is_empty() {
        return Err(permanent("the mail has no recipient; give at least one address".to_owned()));
    }
    let recipients = to.iter().map(|address| recipient(address)).collect::<Result<Vec<_>, _>>()?;
    let message = mail.message(&from, &recipients, call)?;
    let transport = transport(smtp, call)?;
    let answer = transport.send(message).await.map_err(|error| classify(smtp, &error, call.timeout_ms))?;
    let said = one_line(&answer.message().collect::<Vec<_>>().join(" "));
    Ok(Receipt {
        external_id: message_id(&call.idempotency_key, from.email.domain()),
        external_url: None,
        detail: Some(excerpt(&format!("{} {said}", answer.code()), DETAIL_CHARS_MAX)),
    })
}

fn recipient(address: &str) -> Result<Mailbox, Failure> {
    address.parse().map_err(|error| permanent(format!("{address:?} is not a mail address: {error}")))
}

fn transport(smtp: &SmtpConfig, call: &Call) -> Result<AsyncSmtpTransport<Tokio1Executor>, Failure> {
    let parameters = || {
        TlsParameters::new(smtp.host.clone())
            .map_err(|error| permanent(format!("TLS with {} cannot be set up: {}", smtp.host, chain(&error))))
    };
    let tls = match smtp.tls {
        SmtpTls::None => Tls::None,
        SmtpTls::StartTls => Tls::Required(parameters()?),
        SmtpTls::Tls => Tls::Wrapper(parameters()?),
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host)
        .port(smtp.port.unwrap_or(smtp.tls.default_port()))
        .timeout(Some(Duration::from_millis(call.timeout_ms)))
        .tls(tls);
    if let (Some(user), Some(reference)) = (&smtp.user, &smtp.password) {
        let password = resolve(reference).map_err(|error| permanent(format!("smtp.password: {error}")))?;
        builder = builder.credentials(Credentials::new(user.clone(), password));
    }
    Ok(builder.build())
}

fn classify(smtp: &SmtpConfig, error: &smtp::Error, timeout_ms: u64) -> Failure {
    let whom = format!("mail server {}:{}", smtp.host, smtp.port.unwrap_or(smtp.tls.default_port()));
    let said = chain(error);
    let status_code = error.status().map(u16::from);
    if error.is_timeout() {
        return failure(FailureClass::Timeout, format!("{whom} did not answer within {timeout_ms} ms"));
    }
    let (class, remedy) = if error.is_permanent() {
        (FailureClass::Permanent, "")
    } else if error.is_client() {
        (FailureClass::Permanent, "; check smtp.tls, smtp.user and what the server offers")
    } else if error.is_tls() {
        (FailureClass::Permanent, "; check smtp.tls and the server's certificate")
    } else {
        (FailureClass::Transient, "")
    };
    Failure { class, message: format!("{whom}: {said}{remedy}"), status_code, retry_after_ms: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nightshift_domain::time::Timestamp;

    #[test]
    fn a_message_is_the_same_for_the_same_call_and_headers_cannot_be_injected() {
        let call = Call {
            run: nightshift_domain::ids::RunId::from_uuid(uuid::Uuid::nil()),
            step: "notify".into(),
            idempotency_key: "k1".into(),
            attempt: 2,
            fencing_token: "0.1.2".into(),
            timeout_ms: 1000,
            traceparent: None,
            cache: None,
            now: Timestamp::from_secs(1_800_000_000),
        };
        let mail = Mail { subject: "Hi\r\nBcc: evil@x.test".into(), markdown: "# Hi".into() };
        let from: Mailbox = "N <n@x.test>".parse().unwrap();
        let text = mail.message(&from, &["a@y.test".parse().unwrap()], &call).unwrap().formatted();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("\r\nBcc:"), "{text}");
        assert!(text.contains("Date: Fri, 15 Jan 2027 08:00:00 +0000"), "{text}");
        assert!(text.contains(&format!("Message-ID: {}", message_id("k1", "x.test"))), "{text}");
        assert!(text.contains("text/plain") && text.contains("text/html"));
    }
}
