//! A workload as it is written down: one level, with the fields of its kind.

use serde::{Deserialize, Serialize};

use super::{Content, Workload};
use crate::dataset::Kind;

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fields {
    name: String,
    #[serde(default)]
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    authors: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logs: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operations: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    services: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated: Option<u64>,
    #[serde(default)]
    initiator_lacks: u64,
    #[serde(default)]
    acceptor_lacks: u64,
}

impl TryFrom<Fields> for Workload {
    type Error = String;

    fn try_from(fields: Fields) -> Result<Self, String> {
        let Fields { name, kind, authors, logs, operations, body, services, keys, value, updated, .. } = fields;
        let of_logs = [
            ("authors", authors.is_some()),
            ("logs", logs.is_some()),
            ("operations", operations.is_some()),
            ("body", body.is_some()),
        ];
        let of_keys = [
            ("services", services.is_some()),
            ("keys", keys.is_some()),
            ("value", value.is_some()),
            ("updated", updated.is_some()),
        ];
        let (word, others) = match kind {
            Kind::Log => ("log", of_keys),
            Kind::Kv => ("kv", of_logs),
        };
        if let Some((field, _)) = others.into_iter().find(|(_, is_there)| *is_there) {
            return Err(format!("a workload of the kind {word} has no {field}"));
        }
        let missing = |field: &str| format!("a workload of the kind {word} has {field}");
        let content = match kind {
            Kind::Log => Content::Log {
                authors: authors.ok_or_else(|| missing("authors"))?,
                logs: logs.ok_or_else(|| missing("logs"))?,
                operations: operations.ok_or_else(|| missing("operations"))?,
                body: body.ok_or_else(|| missing("body"))?,
            },
            Kind::Kv => Content::Kv {
                services: services.ok_or_else(|| missing("services"))?,
                keys: keys.ok_or_else(|| missing("keys"))?,
                value: value.ok_or_else(|| missing("value"))?,
                updated: updated.unwrap_or_default(),
            },
        };
        let Fields { initiator_lacks, acceptor_lacks, .. } = fields;
        Ok(Self { name, content, initiator_lacks, acceptor_lacks })
    }
}

impl From<Workload> for Fields {
    fn from(workload: Workload) -> Self {
        let kind = workload.kind();
        let Workload { name, content, initiator_lacks, acceptor_lacks } = workload;
        let fields = Self { name, kind, initiator_lacks, acceptor_lacks, ..Self::default() };
        match content {
            Content::Log { authors, logs, operations, body } => Self {
                authors: Some(authors),
                logs: Some(logs),
                operations: Some(operations),
                body: Some(body),
                ..fields
            },
            Content::Kv { services, keys, value, updated } => Self {
                services: Some(services),
                keys: Some(keys),
                value: Some(value),
                updated: Some(updated),
                ..fields
            },
        }
    }
}
