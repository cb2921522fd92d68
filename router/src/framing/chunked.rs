//! A chunked body (RFC 9112, 7.1), to know where it ends.

use super::head::{is_field_byte, is_token};

/// Bytes of chunk extensions and trailer fields that one body may have. They mean nothing here.
const MAX_EXTRA: usize = 16 << 10;

/// Where in a chunked body the next byte belongs.
#[derive(Debug, Default)]
pub(super) struct Chunked {
    place: Place,
    /// Of the current chunk: what is left of it.
    left: u64,
    extra: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// In front of a chunk's size.
    #[default]
    Size,
    /// Behind this many digits of it.
    Digits(u8),
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer line.
    Trailer,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

impl Chunked {
    /// Reads on. Returns how many bytes belong to the body, and whether it ended with them; as an
    /// error if the byte behind them cannot be part of a chunked body.
    pub(super) fn advance(&mut self, input: &[u8]) -> Result<(usize, bool), usize> {
        let mut at = 0;
        while at < input.len() && self.place != Place::End {
            if self.place == Place::Data {
                let rest = input.len() - at;
                let here = usize::try_from(self.left).map_or(rest, |left| left.min(rest));
                at += here;
                self.left -= here as u64;
                if self.left == 0 {
                    self.place = Place::DataCr;
                }
            } else {
                self.place = self.step(input[at]).ok_or(at)?;
                at += 1;
            }
        }
        Ok((at, self.place == Place::End))
    }

    fn step(&mut self, byte: u8) -> Option<Place> {
        Some(match (self.place, byte) {
            (Place::Size, _) => {
                self.left = digit(byte)?;
                Place::Digits(1)
            }
            (Place::Digits(_), b'\r') => Place::SizeLf,
            (Place::Digits(_), b';') => Place::Extension,
            // Fifteen digits are 2^60, and leave no room to overflow.
            (Place::Digits(count @ ..15), _) => {
                self.left = self.left << 4 | digit(byte)?;
                Place::Digits(count + 1)
            }
            (Place::Extension, b'\r') => Place::SizeLf,
            (Place::Extension, _) => self.extra(byte, is_field_byte, Place::Extension)?,
            (Place::SizeLf, b'\n') if self.left == 0 => Place::Trailer,
            (Place::SizeLf, b'\n') => Place::Data,
            (Place::DataCr, b'\r') => Place::DataLf,
            (Place::DataLf, b'\n') => Place::Size,
            (Place::Trailer, b'\r') => Place::EndLf,
            (Place::Trailer, _) => self.extra(byte, is_token, Place::TrailerName)?,
            (Place::TrailerName, b':') => Place::TrailerValue,
            (Place::TrailerName, _) => self.extra(byte, is_token, Place::TrailerName)?,
            (Place::TrailerValue, b'\r') => Place::TrailerLf,
            (Place::TrailerValue, _) => self.extra(byte, is_field_byte, Place::TrailerValue)?,
            (Place::TrailerLf, b'\n') => Place::Trailer,
            (Place::EndLf, b'\n') => Place::End,
            (
                Place::Digits(_)
                | Place::SizeLf
                | Place::Data
                | Place::DataCr
                | Place::DataLf
                | Place::TrailerLf
                | Place::EndLf
                | Place::End,
                _,
            ) => return None,
        })
    }

    fn extra(&mut self, byte: u8, is_allowed: fn(u8) -> bool, next: Place) -> Option<Place> {
        self.extra += 1;
        (is_allowed(byte) && self.extra <= MAX_EXTRA).then_some(next)
    }
}

fn digit(byte: u8) -> Option<u64> {
    char::from(byte).to_digit(16).map(u64::from)
}
