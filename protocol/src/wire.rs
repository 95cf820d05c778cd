//! A cursor over a request body for the hand-written decoders of the hot path.
//!
//! Nothing is reserved for an announced length, and nothing is copied: strings and blobs are slices of the frame.

/// The body is shorter than its fields say, or a length is negative where it may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the request body ends in the middle of {0}, or has an impossible length there")]
pub struct WireError(pub &'static str);

/// Reads primitive types off the front of a body; `flexible` says which form lengths have.
#[derive(Clone, Debug)]
pub struct Wire<'a> {
    bytes: &'a [u8],
    flexible: bool,
}

impl<'a> Wire<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8], flexible: bool) -> Self {
        Self { bytes, flexible }
    }

    /// Takes `n` bytes.
    ///
    /// # Errors
    /// [`WireError`] if there are fewer.
    #[inline]
    pub fn take(&mut self, n: usize, field: &'static str) -> Result<&'a [u8], WireError> {
        let (taken, rest) = self.bytes.split_at_checked(n).ok_or(WireError(field))?;
        self.bytes = rest;
        Ok(taken)
    }

    /// Takes an i16.
    ///
    /// # Errors
    /// [`WireError`] if the body ends before.
    #[inline]
    pub fn i16(&mut self, field: &'static str) -> Result<i16, WireError> {
        let b = self.take(2, field)?;
        Ok(i16::from_be_bytes([b[0], b[1]]))
    }

    /// Takes an i32.
    ///
    /// # Errors
    /// [`WireError`] if the body ends before.
    #[inline]
    pub fn i32(&mut self, field: &'static str) -> Result<i32, WireError> {
        let b = self.take(4, field)?;
        Ok(i32::from_be_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// Takes an unsigned varint of up to five bytes.
    ///
    /// # Errors
    /// [`WireError`] if the body ends before, or it does not end.
    #[inline]
    pub fn uvarint(&mut self, field: &'static str) -> Result<u32, WireError> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let (&byte, rest) = self.bytes.split_first().ok_or(WireError(field))?;
            self.bytes = rest;
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError(field))
    }

    /// Takes the length of an array or blob; `None` is null.
    ///
    /// # Errors
    /// [`WireError`] if the body ends before.
    #[inline]
    pub fn length(&mut self, field: &'static str) -> Result<Option<usize>, WireError> {
        if self.flexible {
            return Ok((self.uvarint(field)? as usize).checked_sub(1));
        }
        Ok(usize::try_from(self.i32(field)?).ok())
    }

    /// Takes a nullable string.
    ///
    /// # Errors
    /// [`WireError`] if the body ends before.
    #[inline]
    pub fn string(&mut self, field: &'static str) -> Result<Option<&'a [u8]>, WireError> {
        let length = if self.flexible { self.length(field)? } else { usize::try_from(self.i16(field)?).ok() };
        length.map(|n| self.take(n, field)).transpose()
    }

    /// Skips a tag section, if the form has one.
    ///
    /// # Errors
    /// [`WireError`] if the body ends before.
    #[inline]
    pub fn tags(&mut self) -> Result<(), WireError> {
        if !self.flexible {
            return Ok(());
        }
        for _ in 0..self.uvarint("tags")? {
            self.uvarint("tag")?;
            let size = self.uvarint("tag size")? as usize;
            self.take(size, "tag")?;
        }
        Ok(())
    }
}
