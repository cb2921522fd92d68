//! Header fields on their way.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde_bytes::Bytes;

use super::Garbled;

/// Header fields: a map that goes out, or names and values that came.
#[derive(Clone, Debug)]
pub enum Fields<'a> {
    /// To be sent.
    Map(&'a HeaderMap),
    /// As they came. Nothing has been checked.
    Came(Vec<(&'a Bytes, &'a Bytes)>),
}

impl Fields<'_> {
    /// As a map.
    ///
    /// # Errors
    /// A name or a value that HTTP does not allow, or too many.
    pub fn to_map(&self) -> Result<HeaderMap, Garbled> {
        let came = match self {
            Self::Map(map) => return Ok((*map).clone()),
            Self::Came(came) => came,
        };
        let mut map = HeaderMap::try_with_capacity(came.len()).map_err(|_| Garbled)?;
        for (name, value) in came {
            let name = HeaderName::from_bytes(name).map_err(|_| Garbled)?;
            let value = HeaderValue::from_bytes(value).map_err(|_| Garbled)?;
            map.try_append(name, value).map_err(|_| Garbled)?;
        }
        Ok(map)
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Map(map) => serializer.collect_seq(Sized(map)),
            Self::Came(came) => came.serialize(serializer),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Deserialize::deserialize(deserializer).map(Self::Came)
    }
}

/// A map's fields, with their number: its own iterator does not know it, and postcard has to.
struct Sized<'a>(&'a HeaderMap);

impl<'a> IntoIterator for Sized<'a> {
    type Item = (&'a Bytes, &'a Bytes);
    type IntoIter = Counted<'a>;

    fn into_iter(self) -> Counted<'a> {
        Counted {
            left: self.0.len(),
            fields: self.0.iter(),
        }
    }
}

struct Counted<'a> {
    left: usize,
    fields: http::header::Iter<'a, HeaderValue>,
}

impl<'a> Iterator for Counted<'a> {
    type Item = (&'a Bytes, &'a Bytes);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.fields.next()?;
        self.left = self.left.saturating_sub(1);
        let name = Bytes::new(name.as_str().as_bytes());
        Some((name, Bytes::new(value.as_bytes())))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}
