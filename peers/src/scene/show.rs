//! What a node shows of itself, as values to compare.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Scene;

impl Scene {
    /// What `sockeye show TABLE --json` says.
    pub fn show(&self, table: &str) -> Value {
        let shown = self.sockeye(&["show", table, "--json"]).success();
        serde_json::from_slice(&shown.stdout).unwrap_or_else(|error| panic!("{error} in the JSON of {shown}"))
    }

    /// The node's sockets.
    pub fn sockets(&self) -> Vec<Socket> {
        let shown = self.show("sockets");
        let list = shown.as_array().or_else(|| shown["sockets"].as_array());
        let list = list.unwrap_or_else(|| panic!("no list of sockets in {shown}"));
        let word = |socket: &Value, name: &str| match &socket[name] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        let number = |socket: &Value, name: &str| socket[name].as_u64();
        list.iter()
            .map(|socket| Socket {
                protocol: word(socket, "protocol").to_lowercase(),
                state: word(socket, "state").to_uppercase(),
                local: word(socket, "local"),
                peer: word(socket, "peer"),
                receive_queue: number(socket, "receive_queue"),
                send_queue: number(socket, "send_queue"),
            })
            .collect()
    }

    /// The node's counters by name; a nested one has its path with dots.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let mut counters = BTreeMap::new();
        flatten("", &self.show("counters"), &mut counters);
        counters
    }
}

/// A line of `sockeye show sockets`. The words are upper or lower case as `ss` has them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Socket {
    /// `tcp` or `udp`.
    pub protocol: String,
    /// `LISTEN`, `ESTAB`, ...
    pub state: String,
    /// Address and port.
    pub local: String,
    /// Address and port.
    pub peer: String,
    /// Bytes that the program has not read.
    pub receive_queue: Option<u64>,
    /// Bytes that the peer has not acknowledged.
    pub send_queue: Option<u64>,
}

fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, u64>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                flatten(&if path.is_empty() { name.clone() } else { format!("{path}.{name}") }, member, into);
            }
        }
        // A list of `{name: ..., value: ...}`, or of objects that have a name.
        Value::Array(members) => {
            for member in members {
                let name = member["name"].as_str().unwrap_or_default();
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                flatten(&path, member, into);
            }
        }
        Value::Number(number) => *into.entry(path.to_owned()).or_default() += number.as_u64().unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
