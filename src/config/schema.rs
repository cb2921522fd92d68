//! The file's format as a JSON Schema, for editors that complete and check TOML.

use std::fmt::Display;

use holm_model::limits::Limit;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::raw::RawConfig;
use super::wrap;

/// What a function may be called: a DNS label, because `holm dev` serves it at NAME.localhost.
pub(super) const NAME: &str = "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";

/// A JSON Schema (draft 2020-12) of the configuration file.
pub(crate) fn schema() -> String {
    let schema = SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(without_null))
        .into_generator()
        .into_root_schema_for::<RawConfig>();
    serde_json::to_string_pretty(&schema).expect("a schema has string keys only")
}

/// TOML has no null: a key that may be left out is not one that may be null.
fn without_null(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    let Some(Value::Array(choices)) = schema.get_mut("anyOf") else {
        return;
    };
    choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
    if let [Value::Object(only)] = choices.as_slice() {
        let only = only.clone();
        schema.remove("anyOf");
        let schema = schema.ensure_object();
        for (key, value) in only {
            schema.entry(key).or_insert(value);
        }
    }
}

/// Columns of a description, about as many as doc comments have.
const WIDTH: usize = 90;

/// A quantity, as the schema shows a limit of it.
pub(super) trait InSchema: Display + PartialEq + Sized {
    /// What its values look like, without words.
    fn form(row: &Limit<Self>, generator: &mut SchemaGenerator) -> Schema;
}

/// The key of a limit: its words, its default, its ceiling, and how it is written.
pub(super) fn of_limit<T: InSchema>(row: &Limit<T>, generator: &mut SchemaGenerator) -> Schema {
    let form = T::form(row, generator);
    // A word among numbers stands in quotes, too.
    let quote = match form.get("type") {
        Some(Value::String(kind)) if kind == "string" => "\"",
        None => "\"",
        Some(_) => "",
    };
    let (words, default, most) = (row.doc, &row.default, &row.ceiling);
    let most = if default == most {
        String::new()
    } else {
        format!(", at most {quote}{most}{quote}")
    };
    let words = format!("{words} Default: {quote}{default}{quote}{most}.");
    let words = wrap::lines(words.split(' '), WIDTH).join("\n");
    // The description comes first, as in all that is derived.
    let mut schema = Map::from_iter([("description".to_owned(), Value::String(words))]);
    if let Value::Object(form) = form.to_value() {
        schema.extend(form);
    }
    schema.into()
}

/// Strings with a form of their own, as the schema describes them.
macro_rules! text {
    ($($(#[$doc:meta])* $name:ident = $schema:expr;)*) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> Schema {
                let value: Value = $schema;
                Schema::try_from(value).expect("an object, three lines up")
            }
        }
    )*};
}

text! {
    /// The only version there is.
    FormatVersion = json!({ "const": 1 });
    /// A duration with its unit.
    Time = json!({
        "type": "string",
        "pattern": "^\\s*[0-9][0-9_]*(\\.[0-9_]+)?\\s*(ns|us|ms|s|min|h)\\s*$",
        "examples": ["50ms", "2s", "15min"],
    });
    /// A size with its unit.
    Size = json!({
        "type": "string",
        "pattern": "^\\s*[0-9][0-9_]*(\\.[0-9_]+)?\\s*(B|KiB|MiB|GiB)\\s*$",
        "examples": ["64KiB", "128MiB", "1GiB"],
    });
    /// An IP address and a port.
    Address = json!({
        "type": "string",
        "pattern": "^(\\[[0-9A-Fa-f:.%]+\\]|[0-9.]+):[0-9]{1,5}$",
        "default": "127.0.0.1:8080",
        "examples": ["127.0.0.1:8080", "0.0.0.0:80", "[::]:8080"],
    });
    /// An IP address and a port, or a path.
    AdminAddress = json!({
        "type": "string",
        "pattern": "^((\\[[0-9A-Fa-f:.%]+\\]|[0-9.]+):[0-9]{1,5}|unix:.+)$",
        "examples": ["127.0.0.1:9090", "unix:/run/holm/admin.sock"],
    });
    /// Where a secret stands.
    SecretSource = json!({
        "type": "string",
        "pattern": "^(env:[^=]+|file:.+)$",
        "examples": ["env:HOLM_ADMIN_TOKEN", "file:/etc/holm/admin-token"],
    });
    /// A name that a certificate can be for.
    TlsHost = json!({
        "type": "string",
        "minLength": 1,
        "examples": ["example.com", "*.example.com"],
    });
    /// A network, an address, or every address.
    Cidr = json!({
        "type": "string",
        "examples": ["10.1.0.0/16", "127.0.0.1", "fd00::/8", "*"],
    });
    /// A network, or an address.
    Network = json!({
        "type": "string",
        "examples": ["10.1.0.0/16", "192.0.2.7", "2001:db8::/32"],
    });
    /// The name of a header.
    FieldName = json!({
        "type": "string",
        "pattern": "^([Xx]-[A-Za-z0-9-]+|[A-Za-z0-9-]+-[Ii][Dd])$",
        "examples": ["x-request-id"],
    });
    /// A route.
    Route = json!({
        "type": "string",
        "minLength": 1,
        "examples": [
            "hello.localhost", "*.example.com", "**.example.com/api/*", "example.com/exact", "*",
        ],
    });
}
