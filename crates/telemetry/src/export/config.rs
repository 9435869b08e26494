//! Where spans go, as values, checked before anything is opened.
//!
//! Owns: the fields, what is allowed in each, how an endpoint is completed. Refuses to know: where the values come from.

use std::{str::FromStr, time::Duration};

use reqwest::{
    Url,
    header::{HeaderMap, HeaderName, HeaderValue},
};

/// The path of traces under an OTLP/HTTP endpoint.
const TRACES_PATH: &str = "/v1/traces";

/// How spans travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// gRPC, by custom on port 4317.
    #[default]
    Grpc,
    /// Protobuf in HTTP POSTs, by custom on port 4318.
    Http,
}

impl FromStr for Protocol {
    type Err = ConfigError;

    /// Reads `grpc`, `http` and `http/protobuf` (the word of `OTEL_EXPORTER_OTLP_PROTOCOL`).
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text {
            "grpc" => Ok(Self::Grpc),
            "http" | "http/protobuf" => Ok(Self::Http),
            other => Err(fault("protocol", other, "`grpc`, `http` or `http/protobuf`")),
        }
    }
}

/// Where spans go and what is said about who sends them.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportConfig {
    /// `http://host:4317` (gRPC), `http://host:4318` (HTTP; `/v1/traces` is added), or `https` with the system's roots.
    pub endpoint: String,
    /// How spans travel.
    pub protocol: Protocol,
    /// Sent with each request, such as a collector's key. Never shown.
    pub headers: Vec<(String, String)>,
    /// `service.name`.
    pub service_name: String,
    /// More about the process, such as `service.version`.
    pub resource: Vec<(String, String)>,
    /// Share of traces that are exported, from 0 to 1.
    pub sample_ratio: f64,
    /// An export is given up after this.
    pub timeout: Duration,
}

impl ExportConfig {
    /// Every trace, to `endpoint`, as `nightshift`, with ten seconds for each export.
    #[must_use]
    pub fn to(endpoint: impl Into<String>, protocol: Protocol) -> Self {
        Self {
            endpoint: endpoint.into(),
            protocol,
            headers: vec![],
            service_name: "nightshift".to_owned(),
            resource: vec![],
            sample_ratio: 1.0,
            timeout: Duration::from_secs(10),
        }
    }

    /// Checks every field without opening anything, for `config check`.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.check().map(drop)
    }

    pub(super) fn check(&self) -> Result<Checked, ConfigError> {
        let url = self.url()?;
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(fault("sample_ratio", &self.sample_ratio.to_string(), "a number from 0 to 1"));
        }
        if self.timeout.is_zero() {
            return Err(fault("timeout", "0", "a time above zero, such as 10 s"));
        }
        if self.service_name.trim().is_empty() {
            return Err(fault("service_name", &self.service_name, "a name, such as `nightshift`"));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        let endpoint = url.as_str().trim_end_matches('/').to_owned();
        Ok(Checked { endpoint, headers: self.header_map()?, is_loopback })
    }

    fn url(&self) -> Result<Url, ConfigError> {
        let wrong = |allowed| fault("endpoint", &self.endpoint, allowed);
        let mut url = Url::parse(&self.endpoint).map_err(|_| wrong("an address such as `http://localhost:4317`"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err(wrong("an `http` or `https` address with a host, such as `http://localhost:4317`"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            let found = format!("{}://…@{}", url.scheme(), url.host_str().unwrap_or_default());
            return Err(fault("endpoint", &found, "an address without user and password; put keys into `headers`"));
        }
        if url.path().ends_with("/api/traces") {
            return Err(wrong("an OTLP address: Jaeger takes gRPC on port 4317 and HTTP on port 4318"));
        }
        if self.protocol == Protocol::Http && !url.path().ends_with(TRACES_PATH) {
            let path = format!("{}{TRACES_PATH}", url.path().trim_end_matches('/'));
            url.set_path(&path);
        }
        Ok(url)
    }

    fn header_map(&self) -> Result<HeaderMap, ConfigError> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let allowed = "header names and values as HTTP allows them: visible ASCII, no line breaks";
            // The value may be a key: only the name is shown.
            let wrong = || fault("headers", name, allowed);
            let value = HeaderValue::from_str(value).ok().filter(|value| value.to_str().is_ok()).ok_or_else(wrong)?;
            map.insert(HeaderName::from_str(name).map_err(|_| wrong())?, value);
        }
        Ok(map)
    }
}

/// A configuration that was checked.
pub(super) struct Checked {
    pub(super) endpoint: String,
    pub(super) headers: HeaderMap,
    pub(super) is_loopback: bool,
}

/// A field that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("telemetry.otlp.{field}: found {found:?}; allowed is {allowed}")]
pub struct ConfigError {
    /// The field.
    pub field: &'static str,
    /// What stood there; never a secret.
    pub found: String,
    /// What may stand there.
    pub allowed: &'static str,
}

fn fault(field: &'static str, found: &str, allowed: &'static str) -> ConfigError {
    ConfigError { field, found: found.to_owned(), allowed }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_completed_or_refused_by_name() {
        for (text, protocol, wanted) in [
            ("http://localhost:4317", Protocol::Grpc, "http://localhost:4317"),
            ("http://localhost:4318", Protocol::Http, "http://localhost:4318/v1/traces"),
            ("http://h:1/otlp/", Protocol::Http, "http://h:1/otlp/v1/traces"),
            ("https://h/v1/traces", Protocol::Http, "https://h/v1/traces"),
        ] {
            assert_eq!(ExportConfig::to(text, protocol).check().unwrap().endpoint, wanted);
        }
        for wrong in ["", "localhost:4317", "ftp://h:1", "http://", "http://u:secret@h:1", "http://j:14268/api/traces"]
        {
            let error = ExportConfig::to(wrong, Protocol::Grpc).check().map(|ok| ok.endpoint).unwrap_err();
            assert_eq!(error.field, "endpoint", "{wrong}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn each_wrong_field_is_named_and_secrets_are_not_shown() {
        let sound = ExportConfig::to("http://[::1]:4317", Protocol::Grpc);
        assert!(sound.check().unwrap().is_loopback);
        let header = vec![("x-key".to_owned(), "hunter2\n".to_owned())];
        for (config, field) in [
            (ExportConfig { sample_ratio: 1.5, ..sound.clone() }, "sample_ratio"),
            (ExportConfig { sample_ratio: f64::NAN, ..sound.clone() }, "sample_ratio"),
            (ExportConfig { timeout: Duration::ZERO, ..sound.clone() }, "timeout"),
            (ExportConfig { service_name: " ".to_owned(), ..sound.clone() }, "service_name"),
            (ExportConfig { headers: header, ..sound.clone() }, "headers"),
        ] {
            let error = config.validate().unwrap_err();
            assert_eq!(error.field, field);
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        assert_eq!("http/json".parse::<Protocol>().unwrap_err().found, "http/json");
        assert_eq!("http/protobuf".parse(), Ok(Protocol::Http));
    }
}
