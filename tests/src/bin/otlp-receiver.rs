//! A collector for tests: a process that takes OTLP traces over gRPC and HTTP and prints what arrived.
//!
//! Owns: one JSON object a line on stdout: first the two addresses, then each request, written before it is answered,
//! so that whoever got the answer finds the line. Ends when its stdin is closed, and so never outlives its test.
//! Refuses to know: the product. Requests with the header `x-refuse` are refused, for tests of failure.

use std::io::{Read, Write};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message;
use serde_json::{Map, Value, json};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

struct Collector;

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let headers = request.metadata().clone().into_headers();
        if headers.contains_key("x-refuse") {
            return Err(Status::unavailable("refused as asked"));
        }
        print("grpc", &headers, request.get_ref());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn traces(headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let is_protobuf = headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/x-protobuf");
    let answer = ExportTraceServiceResponse::default().encode_to_vec();
    let status = match ExportTraceServiceRequest::decode(body) {
        _ if headers.contains_key("x-refuse") => StatusCode::SERVICE_UNAVAILABLE,
        Ok(request) if is_protobuf => {
            print("http", &headers, &request);
            StatusCode::OK
        }
        _ => StatusCode::BAD_REQUEST,
    };
    (status, [(CONTENT_TYPE, "application/x-protobuf")], answer)
}

fn print(protocol: &str, headers: &HeaderMap, request: &ExportTraceServiceRequest) {
    let headers: Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
        .collect();
    for group in &request.resource_spans {
        let resource = group.resource.as_ref().map(|resource| attributes(&resource.attributes));
        let spans: Vec<Value> = group.scope_spans.iter().flat_map(|scope| &scope.spans).map(span).collect();
        line(&json!({ "protocol": protocol, "headers": headers, "resource": resource, "spans": spans }));
    }
}

fn span(span: &Span) -> Value {
    let links = span.links.iter().map(|link| hex(&link.span_id));
    json!({
        "trace_id": hex(&span.trace_id),
        "span_id": hex(&span.span_id),
        "parent_span_id": hex(&span.parent_span_id),
        "name": span.name,
        "start_ns": span.start_time_unix_nano,
        "end_ns": span.end_time_unix_nano,
        "status": span.status.as_ref().map_or(0, |status| status.code),
        "message": span.status.as_ref().map_or("", |status| status.message.as_str()),
        "attributes": attributes(&span.attributes),
        "links": links.collect::<Vec<_>>(),
    })
}

fn attributes(list: &[KeyValue]) -> Value {
    let value = |pair: &KeyValue| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => json!(text),
        Some(any_value::Value::IntValue(number)) => json!(number),
        other => json!(format!("{other:?}")),
    };
    Value::Object(list.iter().map(|pair| (pair.key.clone(), value(pair))).collect())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn line(value: &Value) {
    let mut out = std::io::stdout().lock();
    // A reader that is gone has closed stdin too, and the process is about to end.
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let grpc = TcpIncoming::bind("127.0.0.1:0".parse()?)?;
    let http = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    line(&json!({
        "grpc": format!("http://{}", grpc.local_addr()?),
        "http": format!("http://{}", http.local_addr()?),
    }));
    let rpc = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector));
    let web = Router::new().route("/v1/traces", post(traces));
    let stdin = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    tokio::select! {
        ended = rpc.serve_with_incoming(grpc) => ended?,
        ended = axum::serve(http, web) => ended?,
        _ = stdin => {}
    }
    Ok(())
}
