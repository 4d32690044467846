//! Rows of named values, as text in columns and as JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

/// A table: its columns, and rows with a value for each.
pub(super) struct Table {
    pub(super) columns: &'static [&'static str],
    pub(super) rows: Vec<Vec<Value>>,
}

impl Table {
    /// An array of objects.
    pub(super) fn json(self) -> String {
        let objects = self.rows.into_iter().map(|row| {
            let fields = self.columns.iter().map(|column| (*column).to_owned()).zip(row);
            Value::Object(fields.collect::<Map<_, _>>())
        });
        let mut text = serde_json::to_string_pretty(&Value::Array(objects.collect())).unwrap_or_default();
        text.push('\n');
        text
    }

    /// For counters: an object of groups, each an object of numbers.
    pub(super) fn nested_json(self) -> String {
        let mut groups = Map::new();
        for row in self.rows {
            if let [Value::String(group), Value::String(name), value, ..] = &row[..]
                && let Value::Object(group) = groups.entry(group.clone()).or_insert_with(|| json!({}))
            {
                group.insert(name.clone(), value.clone());
            }
        }
        let mut text = serde_json::to_string_pretty(&Value::Object(groups)).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Columns under their names.
    pub(super) fn text(self) -> String {
        let cell = |value: &Value| match value {
            Value::Null => "-".to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(items) if items.is_empty() => "-".to_owned(),
            Value::Array(items) => items
                .iter()
                .map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned))
                .collect::<Vec<_>>()
                .join(","),
            other => other.to_string(),
        };
        let rows: Vec<Vec<String>> = self.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
        let widths: Vec<usize> = (0..self.columns.len())
            .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0).max(self.columns[at].len()))
            .collect();
        // Numbers stand to the right, as their digits compare.
        let right: Vec<bool> = (0..self.columns.len())
            .map(|at| !self.rows.is_empty() && self.rows.iter().all(|row| row[at].is_number()))
            .collect();
        let mut text = String::new();
        let mut line = |cells: &mut dyn Iterator<Item = String>| {
            let mut line = String::new();
            for (at, cell) in cells.enumerate() {
                let _ = match right[at] {
                    true => write!(line, "{cell:>width$}  ", width = widths[at]),
                    false => write!(line, "{cell:<width$}  ", width = widths[at]),
                };
            }
            text.push_str(line.trim_end());
            text.push('\n');
        };
        line(&mut self.columns.iter().map(|column| column.replace('_', "-").to_uppercase()));
        for row in rows {
            line(&mut row.into_iter());
        }
        text
    }
}
