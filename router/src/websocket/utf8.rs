//! UTF-8 that comes in pieces.

/// Checks text as it comes, wherever it was cut.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// The start of a character, of which the rest is to come.
    open: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// Whether `bytes` go on well.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) -> bool {
        while self.length > 0 {
            let Some((next, rest)) = bytes.split_first() else {
                return true;
            };
            bytes = rest;
            self.open[self.length] = *next;
            self.length += 1;
            match std::str::from_utf8(&self.open[..self.length]) {
                Ok(_) => self.length = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return false,
            }
        }
        match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) if error.error_len().is_none() => {
                let open = &bytes[error.valid_up_to()..];
                self.open[..open.len()].copy_from_slice(open);
                self.length = open.len();
                true
            }
            Err(_) => false,
        }
    }

    /// Whether it ends well here.
    pub(super) fn is_whole(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cuts_do_not_matter(bytes in prop::collection::vec(any::<u8>(), 0..12), text in ".{0,6}", cut in 1_usize..5) {
            for whole in [bytes.as_slice(), text.as_bytes()] {
                let mut utf8 = Utf8::default();
                let is_sound = whole.chunks(cut).all(|piece| utf8.advance(piece));
                prop_assert_eq!(is_sound && utf8.is_whole(), std::str::from_utf8(whole).is_ok());
            }
        }
    }

    #[test]
    fn what_cannot_become_text_is_found_at_once() {
        assert!(!Utf8::default().advance(b"\xed\xa0"));
        assert!(!Utf8::default().advance(b"\xf4\x90"));
        let mut utf8 = Utf8::default();
        assert!(utf8.advance(b"a\xf0\x9f"));
        assert!(!utf8.advance(b"a"));
    }
}
