//! Members of gzip, one after another.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;

/// What every member begins with.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Unpacks member by member.
pub(super) struct GzipReader<'a> {
    member: Option<GzDecoder<&'a [u8]>>,
}

impl<'a> GzipReader<'a> {
    pub(super) fn new(packed: &'a [u8]) -> Self {
        Self { member: Some(GzDecoder::new(packed)) }
    }
}

impl Read for GzipReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let n = member.read(out)?;
            if n > 0 || out.is_empty() {
                return Ok(n);
            }
            let rest = *member.get_ref();
            self.member = rest.starts_with(&MAGIC).then(|| GzDecoder::new(rest));
        }
        Ok(0)
    }
}
