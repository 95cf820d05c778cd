//! One row per field: a schema is written down as Kafka's own definitions are, and reading, writing and
//! defaults derive from the rows.

use bytes::Bytes;
use uuid::Uuid;

use super::error::StoredError;
use super::wire::{Format, Reader, WireError, Writer};

/// A type that can be a field of a stored structure.
pub(crate) trait Codec: Sized {
    fn read(reader: &mut Reader<'_>, format: Format) -> Result<Self, WireError>;
    fn write(&self, writer: &mut Writer, format: Format);
}

/// Declares stored structures.
///
/// ```text
/// pub struct Name {
///     field: Type [versions that have it] = default;      versions and default may be left out
///     @tags {
///         @number field: Type [versions] = default, absent value;
///     }
/// }
/// ```
/// A tagged field is left out when it has the value that its absence stands for: its default, if nothing else
/// is said.
macro_rules! schema {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $(
                $(#[$field_meta:meta])*
                $field:ident: $type:ty $([$versions:expr])? $(= $default:expr)?;
            )*
            $(@tags {
                $(
                    $(#[$tag_meta:meta])*
                    @$tag:literal $tag_field:ident: $tag_type:ty $([$tag_versions:expr])? $(= $tag_default:expr)?
                        $(, absent $tag_absent:expr)?;
                )*
            })?
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
            $($( $(#[$tag_meta])* pub $tag_field: $tag_type, )*)?
            /// Tagged fields that this build does not know; written back in flexible versions.
            pub unknown_tags: Vec<$crate::stored::TaggedField>,
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $( $field: $crate::stored::schema::schema!(@default $($default)?), )*
                    $($( $tag_field: $crate::stored::schema::schema!(@default $($tag_default)?), )*)?
                    unknown_tags: Vec::new(),
                }
            }
        }

        impl $crate::stored::schema::Codec for $name {
            fn read(
                reader: &mut $crate::stored::wire::Reader<'_>,
                format: $crate::stored::wire::Format,
            ) -> Result<Self, $crate::stored::WireError> {
                let mut value = Self::default();
                $(
                    if $crate::stored::schema::schema!(@present format $(, $versions)?) {
                        value.$field = $crate::stored::schema::Codec::read(reader, format)?;
                    }
                )*
                if format.flexible {
                    $($( value.$tag_field = $crate::stored::schema::schema!(
                        @absent [$($tag_absent)?] [$($tag_default)?]
                    ); )*)?
                    value.unknown_tags = reader.tags(|tag, _field| match tag {
                        $($(
                            $tag => {
                                if !$crate::stored::schema::schema!(@present format $(, $tag_versions)?) {
                                    return Err($crate::stored::WireError::TagVersion { tag });
                                }
                                value.$tag_field = $crate::stored::schema::Codec::read(_field, format)?;
                                Ok(true)
                            }
                        )*)?
                        _ => Ok(false),
                    })?;
                }
                Ok(value)
            }

            fn write(&self, writer: &mut $crate::stored::wire::Writer, format: $crate::stored::wire::Format) {
                $(
                    if $crate::stored::schema::schema!(@present format $(, $versions)?) {
                        self.$field.write(writer, format);
                    }
                )*
                if format.flexible {
                    let tags = $crate::stored::wire::TagWriter::new(&self.unknown_tags);
                    $($(
                        let absent: $tag_type = $crate::stored::schema::schema!(
                            @absent [$($tag_absent)?] [$($tag_default)?]
                        );
                        let present = $crate::stored::schema::schema!(@present format $(, $tag_versions)?);
                        let tags = if present && self.$tag_field != absent {
                            tags.with($tag, |field| self.$tag_field.write(field, format))
                        } else {
                            tags
                        };
                    )*)?
                    tags.finish(writer);
                }
            }
        }
    )*};
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
    (@absent [$absent:expr] [$($default:expr)?]) => { $absent };
    (@absent [] [$($default:expr)?]) => { $crate::stored::schema::schema!(@default $($default)?) };
    (@present $format:ident) => { true };
    (@present $format:ident, $versions:expr) => { ($versions).contains(&$format.version) };
}
pub(crate) use schema;

/// Declares the key of a coordinator record: fields in the classic encoding, without versions and tags.
macro_rules! key_schema {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* $field:ident: $type:ty; )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
        }

        impl $crate::stored::schema::Codec for $name {
            fn read(
                reader: &mut $crate::stored::wire::Reader<'_>,
                format: $crate::stored::wire::Format,
            ) -> Result<Self, $crate::stored::WireError> {
                Ok(Self { $( $field: $crate::stored::schema::Codec::read(reader, format)?, )* })
            }

            fn write(&self, writer: &mut $crate::stored::wire::Writer, format: $crate::stored::wire::Format) {
                $( self.$field.write(writer, format); )*
            }
        }
    )*};
}
pub(crate) use key_schema;

/// Reads a whole structure; `fault` gives an error its context.
pub(crate) fn read_whole<T: Codec>(
    reader: &mut Reader<'_>,
    format: Format,
    schema: &'static str,
) -> Result<T, StoredError> {
    let malformed = |fault| StoredError::Malformed { schema, version: format.version, fault };
    let value = T::read(reader, format).map_err(malformed)?;
    reader.expect_end().map_err(malformed)?;
    Ok(value)
}

macro_rules! primitive {
    ($($type:ty: $method:ident),*) => {$(
        impl Codec for $type {
            fn read(reader: &mut Reader<'_>, _: Format) -> Result<Self, WireError> {
                reader.$method()
            }

            fn write(&self, writer: &mut Writer, _: Format) {
                writer.$method(*self);
            }
        }
    )*};
}

primitive!(i8: i8, i16: i16, u16: u16, i32: i32, i64: i64, f64: f64, Uuid: uuid);

/// Kafka takes any byte but 0 for true, and writes 1.
impl Codec for bool {
    fn read(reader: &mut Reader<'_>, _: Format) -> Result<Self, WireError> {
        Ok(reader.i8()? != 0)
    }

    fn write(&self, writer: &mut Writer, _: Format) {
        writer.i8(i8::from(*self));
    }
}

impl Codec for String {
    fn read(reader: &mut Reader<'_>, format: Format) -> Result<Self, WireError> {
        reader.string(format.flexible)
    }

    fn write(&self, writer: &mut Writer, format: Format) {
        writer.string(format.flexible, self);
    }
}

impl Codec for Option<String> {
    fn read(reader: &mut Reader<'_>, format: Format) -> Result<Self, WireError> {
        reader.nullable_string(format.flexible)
    }

    fn write(&self, writer: &mut Writer, format: Format) {
        writer.nullable_string(format.flexible, self.as_deref());
    }
}

impl Codec for Bytes {
    fn read(reader: &mut Reader<'_>, format: Format) -> Result<Self, WireError> {
        reader.bytes(format.flexible)
    }

    fn write(&self, writer: &mut Writer, format: Format) {
        writer.bytes(format.flexible, self);
    }
}

impl<T: Codec> Codec for Vec<T> {
    fn read(reader: &mut Reader<'_>, format: Format) -> Result<Self, WireError> {
        let count = reader.count(format.flexible)?;
        read_elements(reader, format, count)
    }

    fn write(&self, writer: &mut Writer, format: Format) {
        writer.count(format.flexible, Some(self.len()));
        self.iter().for_each(|element| element.write(writer, format));
    }
}

impl<T: Codec> Codec for Option<Vec<T>> {
    fn read(reader: &mut Reader<'_>, format: Format) -> Result<Self, WireError> {
        match reader.nullable_count(format.flexible)? {
            Some(count) => read_elements(reader, format, count).map(Some),
            None => Ok(None),
        }
    }

    fn write(&self, writer: &mut Writer, format: Format) {
        match self {
            Some(elements) => elements.write(writer, format),
            None => writer.count(format.flexible, None),
        }
    }
}

/// An optional number exists as a tagged field only: its absence is the absence of the tag.
macro_rules! optional_tag {
    ($($type:ty),*) => {$(
        impl Codec for Option<$type> {
            fn read(reader: &mut Reader<'_>, format: Format) -> Result<Self, WireError> {
                <$type>::read(reader, format).map(Some)
            }

            fn write(&self, writer: &mut Writer, format: Format) {
                if let Some(value) = self {
                    value.write(writer, format);
                }
            }
        }
    )*};
}

optional_tag!(i8, i32);

fn read_elements<T: Codec>(
    reader: &mut Reader<'_>,
    format: Format,
    count: usize,
) -> Result<Vec<T>, WireError> {
    let mut elements = Vec::with_capacity(count.min(reader.remaining() / size_of::<T>().max(1)));
    for _ in 0..count {
        elements.push(T::read(reader, format)?);
    }
    Ok(elements)
}
