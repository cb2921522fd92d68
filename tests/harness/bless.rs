//! `BLESS=1`: writes what was seen into the case file, in place, comments kept.

use std::path::Path;

use anyhow::{Context as _, bail};
use serde_json::Value;
use toml_edit::{DocumentMut, Item, Table, TableLike};

use super::compare::Mismatch;

/// Where a mismatch of a case stands.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// In `[step.expect]` of the step with this index.
    Step(usize),
    /// In the `[[run]]` with this index.
    Run(usize),
}

/// Rewrites the equalities among `found` in the file and returns what cannot be rewritten.
///
/// `names` are the values that stand for `${NAME}`: they are written back as names.
pub(crate) fn rewrite(
    file: &Path,
    place: Place,
    found: Vec<Mismatch>,
    names: &[(&str, String)],
) -> anyhow::Result<Vec<Mismatch>> {
    let mut document: DocumentMut = std::fs::read_to_string(file)?.parse()?;
    let (rewritable, rest): (Vec<_>, Vec<_>) = found
        .into_iter()
        .partition(|mismatch| mismatch.seen.is_some());
    let table = table_at(&mut document, place)?;
    for mismatch in rewritable {
        let Some(mut seen) = mismatch.seen else {
            continue;
        };
        restore_names(&mut seen, names);
        let value = to_toml(&seen).with_context(|| mismatch.text.clone())?;
        put(table, &mismatch.key, value)?;
    }
    std::fs::write(file, document.to_string())?;
    Ok(rest)
}

fn table_at(document: &mut DocumentMut, place: Place) -> anyhow::Result<&mut dyn TableLike> {
    let (list, index) = match place {
        Place::Step(index) => ("step", index),
        Place::Run(index) => ("run", index),
    };
    let entry = document
        .get_mut(list)
        .and_then(Item::as_array_of_tables_mut)
        .and_then(|tables| tables.get_mut(index))
        .with_context(|| format!("no [[{list}]] number {index}"))?;
    match place {
        Place::Run(_) => Ok(entry),
        Place::Step(_) => entry
            .entry("expect")
            .or_insert_with(|| Item::Table(Table::new()))
            .as_table_like_mut()
            .context("`expect` is no table"),
    }
}

fn put(table: &mut dyn TableLike, key: &[String], value: toml_edit::Value) -> anyhow::Result<()> {
    match key {
        [key] => {
            table.insert(key, Item::Value(value));
        }
        [outer, inner] => {
            let inner_table = table
                .get_mut(outer)
                .and_then(Item::as_table_like_mut)
                .with_context(|| format!("`{outer}` is no table"))?;
            inner_table.insert(inner, Item::Value(value));
        }
        _ => bail!("no place for {}", key.join(".")),
    }
    Ok(())
}

fn restore_names(value: &mut Value, names: &[(&str, String)]) {
    match value {
        Value::String(text) => {
            for (name, meaning) in names {
                *text = text.replace(meaning.as_str(), &format!("${{{name}}}"));
            }
        }
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| restore_names(value, names)),
        Value::Object(fields) => {
            fields
                .values_mut()
                .for_each(|value| restore_names(value, names));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn to_toml(value: &Value) -> anyhow::Result<toml_edit::Value> {
    Ok(match value {
        Value::Null => bail!("TOML has no null; this one needs a hand"),
        Value::Bool(value) => (*value).into(),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => integer.into(),
            None => number.as_f64().context("a number out of range")?.into(),
        },
        Value::String(text) => text.as_str().into(),
        Value::Array(values) => {
            let values = values
                .iter()
                .map(to_toml)
                .collect::<anyhow::Result<Vec<_>>>()?;
            toml_edit::Value::Array(values.into_iter().collect())
        }
        Value::Object(fields) => {
            let mut table = toml_edit::InlineTable::new();
            for (key, value) in fields {
                table.insert(key, to_toml(value)?);
            }
            toml_edit::Value::InlineTable(table)
        }
    })
}
