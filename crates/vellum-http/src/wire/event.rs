//! Events of buckets, as object stores and event brokers send them.
//!
//! - S3 event notifications, as MinIO, SeaweedFS and AWS send them: `{"Records": [{"eventName", "s3": {...}}]}`, keys
//!   URL-encoded with `+` for a space
//!   (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html>).
//! - CloudEvents 1.0, structured, batched and binary. Their data is such a notification, one record of it (the AWS S3
//!   adapter of the specification), or the detail of an EventBridge event, whose keys are not encoded.

use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use vellum_core::ids::JobId;
use vellum_core::{Error, ErrorKind, Result};
use vellum_rag::events::Touched;

/// Most records of one request.
const MAX_RECORDS: usize = 10_000;

/// What came of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventsAccepted {
    /// Jobs that look at the objects; stored, so a crash loses none.
    #[schema(value_type = Vec<String>)]
    pub jobs: Vec<JobId>,
}

#[derive(Deserialize)]
struct Record {
    #[serde(rename = "eventName", default)]
    event_name: String,
    s3: S3,
}

#[derive(Deserialize)]
struct S3 {
    bucket: Bucket,
    object: Object,
}

#[derive(Deserialize)]
struct Bucket {
    name: String,
}

#[derive(Deserialize)]
struct Object {
    key: String,
}

/// The data of an EventBridge event.
#[derive(Deserialize)]
struct Detail {
    bucket: Bucket,
    object: Object,
}

/// Returns the objects that a request's events are about; empty when they tell of nothing that changes a document.
///
/// `media_type` is the request's, `ce_type` the header `ce-type` of a binary CloudEvent.
///
/// # Errors
/// `Invalid` naming what is missing.
pub fn touched(media_type: &str, ce_type: Option<&str>, body: &[u8]) -> Result<Vec<Touched>> {
    let json: Value = serde_json::from_slice(body)
        .map_err(|error| invalid("the event is no JSON").with_source(error))?;
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let touched = match (media_type, ce_type) {
        ("application/cloudevents-batch+json", _) => {
            let Value::Array(events) = json else {
                return Err(invalid("a batch of CloudEvents is a list"));
            };
            let each = events.into_iter().map(structured).collect::<Result<Vec<_>>>()?;
            each.into_iter().flatten().collect()
        }
        ("application/cloudevents+json", _) => structured(json)?,
        (_, ce_type) => data(json, ce_type)?,
    };
    if touched.len() > MAX_RECORDS {
        let message = format!("the request has {} records; at most {MAX_RECORDS}", touched.len());
        return Err(Error::new(ErrorKind::Invalid, message));
    }
    Ok(touched)
}

/// Reads a CloudEvent in JSON.
fn structured(event: Value) -> Result<Vec<Touched>> {
    let Value::Object(mut event) = event else {
        return Err(invalid("a CloudEvent is an object"));
    };
    let Some(Value::String(kind)) = event.remove("type") else {
        return Err(invalid("the CloudEvent has no `type`"));
    };
    match event.remove("data") {
        Some(payload) => data(payload, Some(&kind)),
        None => Err(invalid("the CloudEvent has no `data`")),
    }
}

/// Reads the data of an event whose type is `kind`, or a notification without one.
fn data(payload: Value, kind: Option<&str>) -> Result<Vec<Touched>> {
    let wrong = |error| {
        invalid("the event is neither an S3 notification nor about an object").with_source(error)
    };
    if let Some(records) = payload.get("Records") {
        let records: Vec<Record> = Deserialize::deserialize(records).map_err(wrong)?;
        return Ok(records.into_iter().filter_map(of_record).collect());
    }
    // What AWS sends once when a notification is set up.
    if payload.get("Event").and_then(Value::as_str) == Some("s3:TestEvent") {
        return Ok(Vec::new());
    }
    if payload.get("s3").is_some() {
        let record: Record = serde_json::from_value(payload).map_err(wrong)?;
        let event_name = match record.event_name.as_str() {
            "" => kind.unwrap_or_default().to_owned(),
            name => name.to_owned(),
        };
        return Ok(of_record(Record { event_name, ..record }).into_iter().collect());
    }
    let detail = payload.get("detail").cloned().unwrap_or(payload);
    let Detail { bucket, object } = serde_json::from_value(detail).map_err(wrong)?;
    let about = kind.is_none_or(changes_a_document);
    Ok(about.then_some(Touched { bucket: bucket.name, key: object.key }).into_iter().collect())
}

fn of_record(record: Record) -> Option<Touched> {
    let key = record.s3.object.key.replace('+', " ");
    let key = percent_decode_str(&key).decode_utf8_lossy().into_owned();
    changes_a_document(&record.event_name).then_some(Touched { bucket: record.s3.bucket.name, key })
}

/// Whether an event of this name may change what a document says: not one that tells of a read or a tag.
fn changes_a_document(name: &str) -> bool {
    let name = name.replace([' ', '-', '_'], "").to_lowercase();
    let parts =
        ["objectcreated", "objectremoved", "objectdeleted", "objectrestore", "lifecycleexpiration"];
    name.is_empty() || parts.iter().any(|part| name.contains(part))
}

fn invalid(message: &str) -> Error {
    Error::new(ErrorKind::Invalid, message)
        .with_hint("send S3 event notifications or CloudEvents that hold one")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(media_type: &str, ce_type: Option<&str>, body: &str) -> Vec<String> {
        let touched = touched(media_type, ce_type, body.as_bytes()).unwrap();
        touched.into_iter().map(|it| format!("{} {}", it.bucket, it.key)).collect()
    }

    /// As MinIO's webhook target sends it (`EventName`, `Key` and `Records`).
    const MINIO: &str = r#"{"EventName":"s3:ObjectCreated:Put","Key":"docs/a%20b%2Bc.pdf","Records":[
        {"eventVersion":"2.0","eventSource":"minio:s3","eventName":"s3:ObjectCreated:Put",
         "s3":{"bucket":{"name":"docs","arn":"arn:aws:s3:::docs"},
               "object":{"key":"reports/a+b%2Bc+%E6%97%A5.pdf","size":5,"eTag":"x"}}}]}"#;

    #[test]
    fn each_shape() {
        let json = "application/json";
        assert_eq!(keys(json, None, MINIO), ["docs reports/a b+c 日.pdf"]);
        let record = r#"{"eventName":"ObjectRemoved:Delete","s3":{"bucket":{"name":"b"},"object":{"key":"x%2Fy"}}}"#;
        assert_eq!(keys(json, Some("com.amazonaws.s3.ObjectRemoved:Delete"), record), ["b x/y"]);
        let nameless = r#"{"s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}"#;
        assert_eq!(keys(json, Some("com.amazonaws.s3.ObjectCreated:Put"), nameless), ["b k"]);
        let structured = format!(
            r#"{{"specversion":"1.0","id":"1","source":"aws:s3","type":"com.amazonaws.s3.ObjectCreated:Put","data":{record}}}"#
        );
        assert_eq!(
            keys("application/cloudevents+json; charset=utf-8", None, &structured),
            ["b x/y"]
        );
        let batch = format!("[{structured},{structured}]");
        assert_eq!(keys("application/cloudevents-batch+json", None, &batch).len(), 2);
        let bridge = r#"{"detail-type":"Object Created","detail":{"bucket":{"name":"b"},"object":{"key":"a+b"}}}"#;
        assert_eq!(keys(json, None, bridge), ["b a+b"], "not encoded");
        assert_eq!(
            keys(json, Some("Object Created"), r#"{"bucket":{"name":"b"},"object":{"key":"k"}}"#),
            ["b k"]
        );
    }

    #[test]
    fn reads_and_tests_are_passed_over() {
        let get = MINIO.replace("s3:ObjectCreated:Put", "s3:ObjectAccessed:Get");
        assert_eq!(keys("application/json", None, &get), [""; 0]);
        let test = r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"docs"}"#;
        assert_eq!(keys("application/json", None, test), [""; 0]);
    }

    #[test]
    fn what_is_no_event_is_named() {
        for (media_type, body) in [
            ("application/json", "no json"),
            ("application/json", "{}"),
            ("application/json", r#"{"Records":[{"eventName":"x"}]}"#),
            ("application/cloudevents+json", "[]"),
            ("application/cloudevents+json", r#"{"type":"x"}"#),
            ("application/cloudevents-batch+json", "{}"),
        ] {
            let error = touched(media_type, None, body.as_bytes()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{body}");
            assert!(error.hint().is_some());
        }
    }
}
