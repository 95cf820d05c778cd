//! Every schema in every version, against an encoder that shares no code with this crate.

use super::{assert_no_prefix_decodes, hex};
use crate::stored::group::GroupRecord;
use crate::stored::metadata::MetadataRecord;
use crate::stored::transaction::TransactionRecord;

/// Bytes that follow from Kafka's schema definitions, one line a record: kind, schema, version, values, key,
/// value. They were made by a program that read those definitions and knows nothing of this crate.
const VECTORS: &str = include_str!("../../../tests/fixtures/schema-vectors.txt");

#[test]
fn every_schema_in_every_version() {
    let mut checked = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [kind, schema, version, _, key, value] =
            <[&str; 6]>::try_from(line.split(' ').collect::<Vec<_>>()).unwrap();
        let (version, key, value) = (version.parse::<i16>().unwrap(), hex(key), hex(value));
        match kind {
            "metadata" => {
                let record = MetadataRecord::decode(&value).unwrap_or_else(|error| panic!("{line}: {error}"));
                assert!(!matches!(record, MetadataRecord::Other { .. }), "{line}");
                assert_eq!(record.write(version).into_bytes(), value, "{line}");
                assert_eq!(MetadataRecord::decode(&record.encode()).unwrap(), record, "{line}");
                assert_no_prefix_decodes(&value, MetadataRecord::decode);
            }
            "group" => {
                let record =
                    GroupRecord::decode(&key, Some(&value)).unwrap_or_else(|error| panic!("{line}: {error}"));
                assert!(!matches!(record, GroupRecord::Other(_)), "{line}");
                assert_eq!(
                    record.encode_as(Some(version)).unwrap(),
                    (key.clone(), Some(value.clone())),
                    "{line}"
                );
                assert_no_prefix_decodes(&key, |key| GroupRecord::decode(key, None));
                assert_no_prefix_decodes(&value, |value| GroupRecord::decode(&key, Some(value)));
            }
            "transaction" => {
                let record = TransactionRecord::decode(&key, Some(&value)).unwrap();
                assert_eq!(record.encode_as(version).unwrap(), (key.clone(), Some(value.clone())), "{line}");
                assert_no_prefix_decodes(&value, |value| TransactionRecord::decode(&key, Some(value)));
            }
            other => panic!("{other} {schema}"),
        }
        checked += 1;
    }
    assert_eq!(checked, EXPECTED_VECTORS);
}

const EXPECTED_VECTORS: usize = 218;
