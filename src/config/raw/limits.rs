//! The keys of `[limits]`, made from the table of limits: one for each row.

use std::borrow::Cow;

use holm_model::limits::ROWS;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Map;

use crate::config::at::At;
use crate::config::fields::{Fields, Table};
use crate::config::schema;

macro_rules! raw_limits {
    ($($key:ident: $quantity:ty),*) => {
        /// What is typed of each limit.
        #[derive(Debug, Default)]
        pub(in crate::config) struct RawLimits {
            $(pub(in crate::config) $key: Option<At<$quantity>>,)*
        }

        impl RawLimits {
            /// Reads the keys of limits; the table may have others.
            pub(super) fn read(fields: &mut Fields<'_, '_>) -> Self {
                Self { $($key: fields.optional(ROWS.$key.key),)* }
            }
        }

        // Not derived, because what it says of a key is in the key's row, not in a doc comment.
        impl JsonSchema for RawLimits {
            fn schema_name() -> Cow<'static, str> {
                "Limits".into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let mut properties = Map::new();
                $(properties.insert(
                    ROWS.$key.key.to_owned(),
                    schema::of_limit(&ROWS.$key, generator).into(),
                );)*
                json_schema!({
                    "description": "`[limits.max]`, and a function's `limits`",
                    "type": "object",
                    "properties": properties,
                    "additionalProperties": false,
                })
            }
        }
    };
}

holm_model::for_each_limit!(raw_limits);

impl Table for RawLimits {
    fn of_fields(fields: &mut Fields<'_, '_>) -> Self {
        Self::read(fields)
    }
}
