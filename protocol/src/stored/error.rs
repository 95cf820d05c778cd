use super::wire::WireError;

/// Why stored bytes were refused, or why a value cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoredError {
    /// The bytes do not follow the schema, or the value does not fit it.
    #[error("{schema} version {version}: {fault}")]
    Malformed {
        /// Kafka's name of the schema.
        schema: &'static str,
        /// Version of the schema that the bytes announce.
        version: i16,
        /// What is wrong, and at which byte after the version.
        fault: WireError,
    },
    /// The bytes end, or are wrong, before schema and version are known.
    #[error("{schema}: {fault}")]
    Unframed {
        /// What was to be read.
        schema: &'static str,
        /// What is wrong, and at which byte.
        fault: WireError,
    },
    /// The bytes, or a request to write, name a version that Kafka 4.1 does not define.
    #[error("{schema} version {version} is not supported (supported: {oldest} to {newest})")]
    UnsupportedVersion {
        /// Kafka's name of the schema.
        schema: &'static str,
        /// The version that was found or asked for.
        version: i64,
        /// Oldest supported version.
        oldest: i16,
        /// Newest supported version.
        newest: i16,
    },
    /// A field is set that the version asked for cannot carry.
    #[error("{schema} version {version} cannot carry {field}")]
    FieldNotInVersion {
        /// Kafka's name of the schema.
        schema: &'static str,
        /// The version that was asked for.
        version: i16,
        /// Kafka's name of the field.
        field: &'static str,
    },
    /// The checksum of a file does not match its contents.
    #[error("{schema}: CRC-32C of the contents is {computed:08x}, stored is {stored:08x}")]
    WrongCrc {
        /// Kafka's name of the schema.
        schema: &'static str,
        /// Checksum found in the bytes.
        stored: u32,
        /// Checksum of the bytes.
        computed: u32,
    },
    /// A file has another length than its contents announce.
    #[error("{schema}: {length} bytes, but {expected} are announced")]
    WrongLength {
        /// Kafka's name of the schema.
        schema: &'static str,
        /// Bytes found.
        length: usize,
        /// Bytes that the contents announce.
        expected: i64,
    },
    /// A text file does not follow its format.
    #[error("{file}, line {line}: {fault}")]
    MalformedText {
        /// Kind of the file.
        file: &'static str,
        /// Line number, from 1.
        line: usize,
        /// What is wrong there.
        fault: TextFault,
    },
    /// A text is not a UUID in Kafka's base64 form.
    #[error("'{0}' is not a base64 UUID")]
    NotAUuid(String),
}

/// What is wrong with a line of a text file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TextFault {
    /// The bytes are not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
    /// The file ends before this line, or within it.
    #[error("the file ends early")]
    Truncated,
    /// The file goes on after its last entry.
    #[error("unexpected text after the end")]
    Trailing,
    /// The format version is not one that Kafka 4.1 reads.
    #[error("version '{0}' is not supported")]
    Version(String),
    /// A number is malformed or out of range.
    #[error("'{0}' is not a number in range")]
    NotANumber(String),
    /// A line has another number of words than its format.
    #[error("{found} words where {expected} belong")]
    Words {
        /// Words of a well-formed line.
        expected: usize,
        /// Words found, at most one more than expected.
        found: usize,
    },
    /// The announced number of entries is not the number of lines.
    #[error("{announced} entries announced, {found} found")]
    Entries {
        /// Number in the second line.
        announced: i32,
        /// Entries found.
        found: usize,
    },
    /// A required key is missing.
    #[error("'{0}' is missing")]
    Missing(&'static str),
    /// A value is not of the kind that belongs to its key.
    #[error("the value of '{0}' is malformed")]
    Value(&'static str),
    /// The text breaks the syntax of the file.
    #[error("{0}")]
    Syntax(&'static str),
}
