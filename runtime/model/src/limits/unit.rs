//! Durations and sizes as people write them.
//!
//! A value always names its unit: `cpu = 50` would leave the reader to guess, so a plain number
//! is refused with the line to write instead. Sizes are binary (`MiB`); `MB` is refused too,
//! because half of its readers take it for 10⁶ and half for 2²⁰.

use std::time::Duration;

/// Why a text is no duration or size. `Display` names the fault; [`UnitError::fix`] the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Nothing there.
    #[error("the value is empty")]
    Empty {
        /// A value of the right kind.
        example: &'static str,
    },
    /// A number alone.
    #[error("`{number}` does not say its unit")]
    NoUnit {
        /// The number as written.
        number: String,
        /// The units to choose from.
        units: &'static str,
        /// The unit most likely meant.
        likely: &'static str,
    },
    /// A unit that is not one of ours.
    #[error("`{unit}` is not a unit of this limit")]
    UnknownUnit {
        /// The number as written.
        number: String,
        /// The unit as written.
        unit: String,
        /// The units to choose from.
        units: &'static str,
        /// The unit most likely meant, if there is one.
        likely: Option<&'static str>,
    },
    /// The part before the unit is not a number that we take.
    #[error("`{number}` is not a positive decimal number")]
    NotANumber {
        /// What stands where the number belongs.
        number: String,
        /// A value of the right kind.
        example: &'static str,
    },
    /// The value has more digits than the unit can hold.
    #[error("`{text}` is too large to count")]
    TooLarge {
        /// The value as written.
        text: String,
    },
    /// A part of the smallest unit.
    #[error("`{text}` is not a whole number of {smallest}")]
    TooFine {
        /// The value as written.
        text: String,
        /// Name of the smallest unit.
        smallest: &'static str,
    },
}

impl UnitError {
    /// What to write instead.
    pub fn fix(&self) -> String {
        match self {
            Self::Empty { example } | Self::NotANumber { example, .. } => {
                format!("write a number and its unit, like \"{example}\"")
            }
            Self::NoUnit {
                number,
                units,
                likely,
            } => {
                format!("name the unit: \"{number}{likely}\" perhaps? Units: {units}")
            }
            Self::UnknownUnit {
                number,
                units,
                likely: Some(likely),
                ..
            } => format!("did you mean \"{number}{likely}\"? Units: {units}"),
            Self::UnknownUnit { units, .. } => format!("units: {units}"),
            Self::TooLarge { .. } => "write a smaller value".to_owned(),
            Self::TooFine { smallest, .. } => format!("round it to whole {smallest}"),
        }
    }
}

/// A kind of measure: its units, smallest first, each as a multiple of the first.
struct Measure {
    units: &'static [(&'static str, u64)],
    listed: &'static str,
    example: &'static str,
    smallest: &'static str,
    /// Spellings that are not taken, and the unit meant by each.
    meant: &'static [(&'static str, &'static str)],
}

const DURATION: Measure = Measure {
    units: &[
        ("ns", 1),
        ("us", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("min", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ],
    listed: "ns, us, ms, s, min, h",
    example: "50ms",
    smallest: "nanoseconds",
    meant: &[
        ("µs", "us"),
        ("μs", "us"),
        ("msec", "ms"),
        ("millis", "ms"),
        ("milliseconds", "ms"),
        ("sec", "s"),
        ("secs", "s"),
        ("second", "s"),
        ("seconds", "s"),
        ("m", "min"),
        ("mins", "min"),
        ("minute", "min"),
        ("minutes", "min"),
        ("hr", "h"),
        ("hour", "h"),
        ("hours", "h"),
    ],
};

const SIZE: Measure = Measure {
    units: &[
        ("B", 1),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
    ],
    listed: "B, KiB, MiB, GiB",
    example: "128MiB",
    smallest: "bytes",
    meant: &[
        ("bytes", "B"),
        ("k", "KiB"),
        ("kb", "KiB"),
        ("m", "MiB"),
        ("mb", "MiB"),
        ("g", "GiB"),
        ("gb", "GiB"),
    ],
};

/// Reads a duration like "50ms", "1.5s" or "15min".
///
/// `usual` is the unit to suggest to whoever leaves it out.
///
/// # Errors
/// When the text has no number, no unit, a unit other than ns, us, ms, s, min and h, or a value
/// beyond 584 years.
pub fn parse_duration(text: &str, usual: &'static str) -> Result<Duration, UnitError> {
    DURATION.parse(text, usual).map(Duration::from_nanos)
}

/// Reads a size in bytes like "128MiB" or "1GiB".
///
/// `usual` is the unit to suggest to whoever leaves it out.
///
/// # Errors
/// When the text has no number, no unit, a unit other than B, KiB, MiB and GiB, or a value
/// beyond 2⁶⁴ bytes.
pub fn parse_bytes(text: &str, usual: &'static str) -> Result<u64, UnitError> {
    SIZE.parse(text, usual)
}

/// A duration in the largest unit that shows it whole: "90s", "15min", "1500us".
pub fn show_duration(duration: Duration) -> String {
    // Beyond 584 years: never parsed, and still shown in full.
    u64::try_from(duration.as_nanos())
        .map_or_else(|_| format!("{}s", duration.as_secs()), |n| DURATION.show(n))
}

/// A size in the largest unit that shows it whole: "128MiB", "1000KiB".
pub fn show_bytes(bytes: u64) -> String {
    SIZE.show(bytes)
}

impl Measure {
    fn parse(&self, text: &str, usual: &'static str) -> Result<u64, UnitError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(UnitError::Empty {
                example: self.example,
            });
        }
        let split = text
            .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_'))
            .unwrap_or(text.len());
        let (number, unit) = (&text[..split], text[split..].trim());
        if number.is_empty() {
            return Err(self.not_a_number(text));
        }
        if unit.is_empty() {
            return Err(UnitError::NoUnit {
                number: number.to_owned(),
                units: self.listed,
                likely: usual,
            });
        }
        let factor = self.factor(unit).ok_or_else(|| UnitError::UnknownUnit {
            number: number.to_owned(),
            unit: unit.to_owned(),
            units: self.listed,
            likely: self.likely(unit),
        })?;
        self.scale(text, number, factor)
    }

    fn factor(&self, unit: &str) -> Option<u64> {
        self.units
            .iter()
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor)
    }

    fn likely(&self, unit: &str) -> Option<&'static str> {
        let lower = unit.to_lowercase();
        let other_case = self.units.iter().map(|(name, _)| (*name, *name));
        other_case
            .chain(self.meant.iter().copied())
            .find(|(spelling, _)| spelling.to_lowercase() == lower)
            .map(|(_, unit)| unit)
    }

    /// `number` × `factor`, in integers: floats would turn "0.3s" into 299,999,999 ns.
    fn scale(&self, text: &str, number: &str, factor: u64) -> Result<u64, UnitError> {
        let too_large = || UnitError::TooLarge {
            text: text.to_owned(),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| {
            let plain = part.replace('_', "");
            let sound = !plain.is_empty() && plain.bytes().all(|b| b.is_ascii_digit());
            sound.then_some(plain)
        };
        let whole = digits(whole).ok_or_else(|| self.not_a_number(number))?;
        let fraction = digits(fraction).ok_or_else(|| self.not_a_number(number))?;
        let whole: u64 = whole.parse().map_err(|_| too_large())?;
        let mut total = whole.checked_mul(factor).ok_or_else(too_large)?;

        let mut unit = u128::from(factor);
        let mut part: u128 = 0;
        let mut denominator: u128 = 1;
        for digit in fraction.trim_end_matches('0').bytes() {
            // The largest factor is below 2^42, so 20 digits keep everything in 128 bits; a
            // value with more is finer than the smallest unit anyway.
            denominator = match denominator.checked_mul(10) {
                Some(denominator) if denominator < 1 << 66 => denominator,
                _ => return Err(self.too_fine(text)),
            };
            part = part * 10 + u128::from(digit - b'0');
        }
        unit *= part;
        if !unit.is_multiple_of(denominator) {
            return Err(self.too_fine(text));
        }
        let part = u64::try_from(unit / denominator).map_err(|_| too_large())?;
        total = total.checked_add(part).ok_or_else(too_large)?;
        Ok(total)
    }

    fn not_a_number(&self, number: &str) -> UnitError {
        UnitError::NotANumber {
            number: number.to_owned(),
            example: self.example,
        }
    }

    fn too_fine(&self, text: &str) -> UnitError {
        UnitError::TooFine {
            text: text.to_owned(),
            smallest: self.smallest,
        }
    }

    fn show(&self, value: u64) -> String {
        let (name, factor) = self
            .units
            .iter()
            .rev()
            .find(|(_, factor)| value.is_multiple_of(*factor) && value != 0)
            .unwrap_or(&self.units[0]);
        format!("{}{name}", value / factor)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{UnitError, parse_bytes, parse_duration, show_bytes, show_duration};

    #[test]
    fn durations() {
        for (text, nanos) in [
            ("50ms", 50_000_000),
            ("50 ms", 50_000_000),
            ("0.3s", 300_000_000),
            ("1.5s", 1_500_000_000),
            ("15min", 900_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1_000us", 1_000_000),
            ("0ms", 0),
        ] {
            assert_eq!(
                parse_duration(text, "ms"),
                Ok(Duration::from_nanos(nanos)),
                "{text}"
            );
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("128MiB", 128 << 20),
            ("1GiB", 1 << 30),
            ("0.5KiB", 512),
            ("7B", 7),
        ] {
            assert_eq!(parse_bytes(text, "MiB"), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn faults_come_with_a_fix() {
        let shown = |result: Result<Duration, UnitError>| {
            result.map_err(|error| format!("{error}; {}", error.fix()))
        };
        for (text, expected) in [
            (
                "50",
                "`50` does not say its unit; name the unit: \"50ms\" perhaps? Units: ns, us, ms, s, min, h",
            ),
            (
                "5 seconds",
                "`seconds` is not a unit of this limit; did you mean \"5s\"? Units: ns, us, ms, s, min, h",
            ),
            (
                "5 MS",
                "`MS` is not a unit of this limit; did you mean \"5ms\"? Units: ns, us, ms, s, min, h",
            ),
            (
                "5 moons",
                "`moons` is not a unit of this limit; units: ns, us, ms, s, min, h",
            ),
            (
                "-5ms",
                "`-5ms` is not a positive decimal number; write a number and its unit, like \"50ms\"",
            ),
            (
                "1.2.3s",
                "`1.2.3` is not a positive decimal number; write a number and its unit, like \"50ms\"",
            ),
            (
                "",
                "the value is empty; write a number and its unit, like \"50ms\"",
            ),
            (
                "99999999999999999999h",
                "`99999999999999999999h` is too large to count; write a smaller value",
            ),
            (
                "0.5ns",
                "`0.5ns` is not a whole number of nanoseconds; round it to whole nanoseconds",
            ),
        ] {
            assert_eq!(
                shown(parse_duration(text, "ms")),
                Err(expected.to_owned()),
                "{text}"
            );
        }
        let megabytes = parse_bytes("128MB", "MiB").expect_err("MB means two things");
        assert_eq!(
            megabytes.fix(),
            "did you mean \"128MiB\"? Units: B, KiB, MiB, GiB"
        );
    }

    #[test]
    fn long_fractions_do_not_overflow() {
        let long = format!("0.{}1s", "0".repeat(60));
        assert!(matches!(
            parse_duration(&long, "ms"),
            Err(UnitError::TooFine { .. })
        ));
        let padded = format!("0.5{}s", "0".repeat(60));
        assert_eq!(
            parse_duration(&padded, "ms"),
            Ok(Duration::from_millis(500))
        );
    }

    #[test]
    fn shown_in_the_largest_whole_unit() {
        assert_eq!(show_duration(Duration::from_millis(1_500)), "1500ms");
        assert_eq!(show_duration(Duration::from_secs(120)), "2min");
        assert_eq!(show_duration(Duration::ZERO), "0ns");
        assert_eq!(show_bytes(1 << 30), "1GiB");
        assert_eq!(show_bytes(1_025), "1025B");
    }
}
