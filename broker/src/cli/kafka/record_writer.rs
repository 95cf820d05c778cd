//! Records as lines: what `kafka-console-consumer` makes of them (`DefaultMessageFormatter`).

use crate::cli::connect::Properties;
use crate::cli::failure::Failure;
use crate::client::TopicPartition;
use crate::client::fetcher::Fetched;
use milena_protocol::records::TimestampType;
use std::io::Write;

/// Which parts of a record to write, and what between them.
#[derive(Clone, Debug)]
pub(super) struct RecordWriter {
    is_silent: bool,
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    separator: Vec<u8>,
    line_end: Vec<u8>,
    headers_separator: Vec<u8>,
    null: Vec<u8>,
    key_as: Form,
    value_as: Form,
    headers_as: Form,
}

/// What bytes stand for (`org.apache.kafka.common.serialization`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Bytes,
    Text,
    Short,
    Int,
    Long,
    Float,
    Double,
    Boolean,
    Uuid,
}

const FORMS: [(&str, Form); 10] = [
    ("ByteArrayDeserializer", Form::Bytes),
    ("BytesDeserializer", Form::Bytes),
    ("StringDeserializer", Form::Text),
    ("ShortDeserializer", Form::Short),
    ("IntegerDeserializer", Form::Int),
    ("LongDeserializer", Form::Long),
    ("FloatDeserializer", Form::Float),
    ("DoubleDeserializer", Form::Double),
    ("BooleanDeserializer", Form::Boolean),
    ("UUIDDeserializer", Form::Uuid),
];

impl RecordWriter {
    /// Reads `--formatter` and the properties of it.
    ///
    /// # Errors
    /// A class that is none of Kafka's own for this.
    pub(super) fn new(class: Option<&str>, properties: &Properties) -> Result<Self, Failure> {
        let class = class.and_then(|class| class.rsplit('.').next()).unwrap_or("DefaultMessageFormatter");
        let is_silent = class == "NoOpMessageFormatter";
        if !is_silent && class != "DefaultMessageFormatter" {
            let text = format!(
                "{class} is a Java class; there are DefaultMessageFormatter and NoOpMessageFormatter"
            );
            return Err(Failure::Usage(text));
        }
        let flag = |key: &str, default: bool| {
            properties.get(key).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"))
        };
        let bytes = |key: &str, default: &str| {
            properties.get(key).map_or(default, String::as_str).as_bytes().to_vec()
        };
        let form = |key: &str| properties.get(key).map_or(Ok(Form::Bytes), |class| form_of(class));
        Ok(Self {
            is_silent,
            timestamp: flag("print.timestamp", false),
            partition: flag("print.partition", false),
            offset: flag("print.offset", false),
            delivery: flag("print.delivery", false),
            epoch: flag("print.epoch", false),
            headers: flag("print.headers", false),
            key: flag("print.key", false),
            value: flag("print.value", true),
            separator: bytes("key.separator", "\t"),
            line_end: bytes("line.separator", "\n"),
            headers_separator: bytes("headers.separator", ","),
            null: bytes("null.literal", "null"),
            key_as: form("key.deserializer")?,
            value_as: form("value.deserializer")?,
            headers_as: form("headers.deserializer")?,
        })
    }

    /// Writes one record.
    ///
    /// # Errors
    /// Bytes that are not what they are said to be.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        tp: &TopicPartition,
        fetched: &Fetched<'_>,
    ) -> Result<(), String> {
        if self.is_silent {
            return Ok(());
        }
        let record = &fetched.record;
        let mut columns: Vec<Vec<u8>> = Vec::new();
        if self.timestamp {
            columns.push(timestamp(fetched).into_bytes());
        }
        if self.partition {
            columns.push(format!("Partition:{}", tp.partition).into_bytes());
        }
        if self.offset {
            columns.push(format!("Offset:{}", fetched.offset).into_bytes());
        }
        if self.delivery {
            columns.push(b"Delivery:NOT_PRESENT".to_vec());
        }
        if self.epoch {
            // Kafka's tool drops it on the way here.
            columns.push(b"Epoch:NOT_PRESENT".to_vec());
        }
        if self.headers {
            columns.push(self.headers(fetched)?);
        }
        if self.key {
            columns.push(self.field(self.key_as, record.key)?);
        }
        if self.value {
            columns.push(self.field(self.value_as, record.value)?);
        }
        for (index, column) in columns.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(&self.separator);
            }
            out.extend_from_slice(column);
        }
        if !columns.is_empty() {
            out.extend_from_slice(&self.line_end);
        }
        Ok(())
    }

    fn headers(&self, fetched: &Fetched<'_>) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        for (index, header) in fetched.record.headers().enumerate() {
            if index > 0 {
                out.extend_from_slice(&self.headers_separator);
            }
            out.extend_from_slice(header.key);
            out.push(b':');
            out.extend(self.field(self.headers_as, header.value)?);
        }
        if out.is_empty() { Ok(b"NO_HEADERS".to_vec()) } else { Ok(out) }
    }

    fn field(&self, form: Form, bytes: Option<&[u8]>) -> Result<Vec<u8>, String> {
        decode(form, bytes.unwrap_or(&self.null))
    }
}

fn timestamp(fetched: &Fetched<'_>) -> String {
    match fetched.timestamp_type {
        _ if fetched.timestamp < 0 => "NO_TIMESTAMP".to_owned(),
        TimestampType::CreateTime => format!("CreateTime:{}", fetched.timestamp),
        TimestampType::LogAppendTime => format!("LogAppendTime:{}", fetched.timestamp),
    }
}

fn form_of(class: &str) -> Result<Form, Failure> {
    let name = class.rsplit('.').next().unwrap_or_default();
    FORMS.iter().find(|(known, _)| *known == name).map(|(_, form)| *form).ok_or_else(|| {
        let names: Vec<&str> = FORMS.iter().map(|(name, _)| *name).collect();
        Failure::Usage(format!(
            "{class} is a Java class that is not known here; there are {}",
            names.join(", ")
        ))
    })
}

fn decode(form: Form, bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let written = match form {
        Form::Bytes => return Ok(bytes.to_vec()),
        Form::Text => return Ok(String::from_utf8_lossy(bytes).into_owned().into_bytes()),
        Form::Short => write!(out, "{}", i16::from_be_bytes(sized(bytes, "Short")?)),
        Form::Int => write!(out, "{}", i32::from_be_bytes(sized(bytes, "Integer")?)),
        Form::Long => write!(out, "{}", i64::from_be_bytes(sized(bytes, "Long")?)),
        Form::Float => write!(out, "{:?}", f32::from_be_bytes(sized(bytes, "Float")?)),
        Form::Double => write!(out, "{:?}", f64::from_be_bytes(sized(bytes, "Double")?)),
        Form::Boolean => match sized::<1>(bytes, "Boolean")? {
            [0] => write!(out, "false"),
            [1] => write!(out, "true"),
            [other] => return Err(format!("Unexpected byte received by BooleanDeserializer: {other}")),
        },
        Form::Uuid => {
            let text = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<uuid::Uuid>().ok());
            let uuid = text.ok_or_else(|| "Error parsing data into UUID".to_owned())?;
            write!(out, "{uuid}")
        }
    };
    // Writing to memory does not fail.
    written.map_err(|error| error.to_string())?;
    Ok(out)
}

fn sized<const N: usize>(bytes: &[u8], name: &str) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("Size of data received by {name}Deserializer is not {N}"))
}

#[cfg(test)]
mod tests {
    use super::RecordWriter;
    use crate::cli::connect::{Properties, add_pairs};
    use crate::client::TopicPartition;
    use crate::client::fetcher::Fetched;
    use milena_protocol::records::{BatchBuilder, HEADER_LEN, Header, Record, TimestampType};

    fn line(pairs: &[&str], key: Option<&[u8]>, value: Option<&[u8]>, with_headers: bool) -> String {
        let headers = [Header { key: b"h", value: Some(b"1") }, Header { key: b"i", value: None }];
        let mut builder = BatchBuilder::new();
        builder.append(7, key, value, if with_headers { &headers } else { &[] });
        let batch = builder.build().expect("a batch");
        let record = Record::read(&mut &batch[HEADER_LEN..]).expect("a record");
        let fetched = Fetched { offset: 5, timestamp: 7, timestamp_type: TimestampType::CreateTime, record };
        let mut properties = Properties::new();
        add_pairs(&mut properties, pairs.iter().copied());
        let writer = RecordWriter::new(None, &properties).expect("a writer");
        let mut out = Vec::new();
        writer.write(&mut out, &TopicPartition::new("t", 3), &fetched).expect("a line");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn columns_are_those_of_kafka() {
        let all = [
            "print.timestamp=true",
            "print.partition=true",
            "print.offset=true",
            "print.headers=true",
            "print.key=true",
        ];
        assert_eq!(line(&[], None, Some(b"v"), false), "v\n");
        assert_eq!(line(&[], None, None, false), "null\n");
        assert_eq!(
            line(&all, Some(b"k"), Some(b"v"), false),
            "CreateTime:7\tPartition:3\tOffset:5\tNO_HEADERS\tk\tv\n"
        );
        assert_eq!(line(&["print.headers=true"], None, Some(b"v"), true), "h:1,i:null\tv\n");
        assert_eq!(line(&["print.key=true", "key.separator=-"], None, Some(b"v"), false), "null-v\n");
        assert_eq!(line(&["print.key=true", "print.value=false"], Some(b"k"), Some(b"v"), false), "k\n");
        assert_eq!(line(&["null.literal=~"], None, None, false), "~\n");
        let long = "value.deserializer=org.apache.kafka.common.serialization.LongDeserializer";
        assert_eq!(line(&[long], None, Some(&9_i64.to_be_bytes()), false), "9\n");
    }

    #[test]
    fn classes_that_are_not_known() {
        assert!(RecordWriter::new(Some("my.Formatter"), &Properties::new()).is_err());
        assert!(
            RecordWriter::new(
                Some("org.apache.kafka.tools.consumer.NoOpMessageFormatter"),
                &Properties::new()
            )
            .is_ok()
        );
        let avro = Properties::from([("value.deserializer".into(), "io.x.KafkaAvroDeserializer".into())]);
        assert!(RecordWriter::new(None, &avro).is_err());
    }
}
