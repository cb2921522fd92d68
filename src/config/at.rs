//! A value and where it stands in the file.

use std::borrow::Cow;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// A value and its place: bytes of the file, quotes included.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    /// The value.
    pub(super) value: T,
    /// Its bytes in the file.
    pub(super) span: Range<usize>,
}

/// An array of which every sound item is kept, so that one bad item does not hide problems of the
/// others.
#[derive(Clone, Debug)]
pub(super) struct List<T> {
    /// The sound items.
    pub(super) items: Vec<At<T>>,
    /// Whether there were others. They have been reported.
    pub(super) flawed: bool,
    /// The bytes of the whole array in the file.
    pub(super) span: Range<usize>,
}

// A place is no part of what people write, so the schema does not see it.
impl<T: JsonSchema> JsonSchema for At<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }

    fn inline_schema() -> bool {
        T::inline_schema()
    }
}

impl<T: JsonSchema> JsonSchema for List<T> {
    fn schema_name() -> Cow<'static, str> {
        <Vec<T>>::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        <Vec<T>>::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        <Vec<T>>::json_schema(generator)
    }

    fn inline_schema() -> bool {
        <Vec<T>>::inline_schema()
    }
}
