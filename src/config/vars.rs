//! `vars`: TOML values as the JSON values that a function finds in `env`.

use serde_json::{Map, Number, Value};
use toml::Spanned;
use toml::de::{DeFloat, DeInteger, DeTable, DeValue};

use super::fields::{FromToml, wrong_type};
use super::problem::{Findings, Problem};
use super::raw::Vars;

/// The largest integer that a JavaScript number holds without rounding its neighbours to it
/// (`Number.MAX_SAFE_INTEGER`).
const MAX_SAFE_INTEGER: i64 = (1 << 53) - 1;

impl FromToml for Vars {
    fn from_toml(
        value: &Spanned<DeValue<'_>>,
        name: &str,
        findings: &mut Findings,
    ) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            let problem = wrong_type(value, name, "a table");
            findings.report(problem.help("write it like vars = { GREETING = \"hi\" }"));
            return None;
        };
        Some(Self(object(table, name, findings)))
    }
}

fn object(table: &DeTable<'_>, name: &str, findings: &mut Findings) -> Map<String, Value> {
    let mut object = Map::new();
    for (key, value) in table {
        let name = format!("{name}.{}", key.get_ref());
        if key.get_ref() == "__proto__" {
            findings.report(
                Problem::new("a variable cannot be called `__proto__`")
                    .at(key.span(), "means something else in JavaScript")
                    .help("choose another name"),
            );
        }
        if let Some(value) = json(value, &name, findings) {
            object.insert(key.get_ref().to_string(), value);
        }
    }
    object
}

/// The parser bounds the depth of a document, and so that of this recursion.
fn json(value: &Spanned<DeValue<'_>>, name: &str, findings: &mut Findings) -> Option<Value> {
    let problem = match value.get_ref() {
        DeValue::String(text) => return Some(Value::String(text.to_string())),
        DeValue::Boolean(truth) => return Some(Value::Bool(*truth)),
        DeValue::Integer(typed) => match integer(typed) {
            Some(number) => return Some(number),
            None => Problem::new(format!(
                "`{name}` is more than a JavaScript number can hold"
            ))
            .at(value.span(), "would be rounded")
            .help(format!("write it as a string: \"{typed}\"")),
        },
        DeValue::Float(typed) => match float(typed) {
            Some(number) => return Some(number),
            None => Problem::new(format!("`{name}` is not a finite number"))
                .at(value.span(), "JSON has no such number")
                .help(format!("write it as a string: \"{}\"", typed.as_str())),
        },
        DeValue::Datetime(typed) => Problem::new(format!("`{name}` is a date or time"))
            .at(value.span(), "JSON has no such type")
            .help(format!("write it as a string: \"{typed}\"")),
        DeValue::Array(array) => {
            let items = array.iter().filter_map(|item| json(item, name, findings));
            return Some(Value::Array(items.collect()));
        }
        DeValue::Table(table) => return Some(Value::Object(object(table, name, findings))),
    };
    findings.report(problem);
    None
}

fn integer(typed: &DeInteger<'_>) -> Option<Value> {
    let number = i64::from_str_radix(typed.as_str(), typed.radix()).ok()?;
    let exact = (-MAX_SAFE_INTEGER..=MAX_SAFE_INTEGER).contains(&number);
    exact.then(|| Value::Number(number.into()))
}

fn float(typed: &DeFloat<'_>) -> Option<Value> {
    let number = typed.as_str().parse().ok()?;
    Number::from_f64(number).map(Value::Number)
}
