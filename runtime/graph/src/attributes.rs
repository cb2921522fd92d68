//! What the attributes of an import ask for: `with { type: "json" }`.

use std::ops::Range;

use super::ImportType;
use super::imports::Import;
use super::problem::ProblemKind;
use super::resolve::Refusal;

/// The `type` that an import's attributes ask for.
pub(super) fn type_of(
    import: &Import,
    text: &str,
    as_written: bool,
) -> Result<ImportType, (Box<Refusal>, Option<Range<usize>>)> {
    let mut ty = ImportType::Default;
    for attribute in &import.attributes {
        let place = attribute.place.clone();
        let refuse = |kind, help: &str| {
            let help = Some(help.to_owned());
            Err((Box::new(Refusal { kind, help }), place.clone()))
        };
        let between = import
            .place
            .clone()
            .zip(place.clone())
            .and_then(|(specifier, attribute)| text.get(specifier.end..attribute.start));
        if as_written && !import.dynamic && between.is_some_and(|text| text.contains("assert")) {
            return refuse(ProblemKind::Assertion, "write `with` in place of `assert`");
        }
        let value = attribute.value.as_deref();
        match value
            .filter(|_| attribute.key == "type")
            .and_then(ImportType::parse)
        {
            Some(known) => ty = known,
            None => {
                let attribute = format!(
                    "{}: {}",
                    attribute.key,
                    value.map_or_else(|| "…".to_owned(), |value| format!("{value:?}"))
                );
                let kind = ProblemKind::Attribute { attribute };
                return refuse(kind, "Holm knows type: \"json\", \"text\" and \"bytes\"");
            }
        }
    }
    Ok(ty)
}
