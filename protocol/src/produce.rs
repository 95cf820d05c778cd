//! Produce requests, versions 3 to 13, borrowed from the frame: the one request whose bytes are worth a decoder of
//! its own. The records stay where the socket put them until they are copied into the log.

use crate::wire::{Wire, WireError};
use uuid::Uuid;

/// First version with compact lengths and tags.
const FLEXIBLE: i16 = 9;
/// First version that names topics by id (KIP-516).
const TOPIC_IDS: i16 = 13;

/// A decoded Produce request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProduceRequest<'a> {
    /// Set by transactional producers.
    pub transactional_id: Option<&'a [u8]>,
    /// -1 all, 0 no response, 1 leader.
    pub acks: i16,
    /// Bound on the wait for acknowledgements, in milliseconds.
    pub timeout_ms: i32,
    /// The topics.
    pub topics: Vec<TopicData<'a>>,
}

/// A topic by name (up to version 12) or by id (from 13).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TopicKey<'a> {
    /// Its name, as received.
    Name(&'a [u8]),
    /// Its id.
    Id(Uuid),
}

/// The records for one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicData<'a> {
    /// Which topic.
    pub key: TopicKey<'a>,
    /// Partition index and records field (`None` is null).
    pub partitions: Vec<(i32, Option<&'a [u8]>)>,
}

/// Decodes a request body.
///
/// # Errors
/// [`WireError`] if it is malformed; trailing bytes are tolerated, as Kafka does.
pub fn read(body: &[u8], version: i16) -> Result<ProduceRequest<'_>, WireError> {
    let mut wire = Wire::new(body, version >= FLEXIBLE);
    let transactional_id = wire.string("transactional id")?;
    let acks = wire.i16("acks")?;
    let timeout_ms = wire.i32("timeout")?;
    let count = wire.length("topics")?.ok_or(WireError("topics"))?;
    let mut topics = Vec::new();
    for _ in 0..count {
        let key = if version >= TOPIC_IDS {
            let id = wire.take(16, "topic id")?;
            TopicKey::Id(Uuid::from_slice(id).map_err(|_| WireError("topic id"))?)
        } else {
            TopicKey::Name(wire.string("topic name")?.ok_or(WireError("topic name"))?)
        };
        let count = wire.length("partitions")?.ok_or(WireError("partitions"))?;
        let mut partitions = Vec::new();
        for _ in 0..count {
            let index = wire.i32("partition")?;
            let records = match wire.length("records")? {
                Some(n) => Some(wire.take(n, "records")?),
                None => None,
            };
            wire.tags()?;
            partitions.push((index, records));
        }
        wire.tags()?;
        topics.push(TopicData { key, partitions });
    }
    wire.tags()?;
    Ok(ProduceRequest { transactional_id, acks, timeout_ms, topics })
}

#[cfg(test)]
mod tests {
    use super::{TopicKey, read};
    use bytes::{Bytes, BytesMut};
    use kafka_protocol::messages::produce_request::{PartitionProduceData, ProduceRequest, TopicProduceData};
    use kafka_protocol::messages::{TopicName, TransactionalId};
    use kafka_protocol::protocol::{Encodable, StrBytes};
    use uuid::Uuid;

    fn request(version: i16) -> ProduceRequest {
        let topic = |i: u32| {
            let partition = |p: i32| {
                let records = (p != 2).then(|| Bytes::from(vec![p as u8; 200 * p as usize]));
                PartitionProduceData::default().with_index(p).with_records(records)
            };
            let data = TopicProduceData::default().with_partition_data((0..3).map(partition).collect());
            if version >= 13 {
                data.with_topic_id(Uuid::from_u128(u128::from(i) + 7))
            } else {
                data.with_name(TopicName(StrBytes::from_string(format!("topic-{i}"))))
            }
        };
        ProduceRequest::default()
            .with_transactional_id(
                (version % 2 == 0).then(|| TransactionalId(StrBytes::from_static_str("tx"))),
            )
            .with_acks(-1)
            .with_timeout_ms(1500)
            .with_topic_data((0..3).map(topic).collect())
    }

    #[test]
    fn equals_the_crate_in_every_version_and_never_panics() {
        for version in 3..=13 {
            let expected = request(version);
            let mut bytes = BytesMut::new();
            expected.encode(&mut bytes, version).unwrap();
            let got = read(&bytes, version).unwrap();
            assert_eq!(got.transactional_id, expected.transactional_id.as_ref().map(|t| t.as_bytes()));
            assert_eq!((got.acks, got.timeout_ms), (-1, 1500));
            assert_eq!(got.topics.len(), 3);
            for (got, expected) in got.topics.iter().zip(&expected.topic_data) {
                match got.key {
                    TopicKey::Name(name) => assert_eq!(name, expected.name.0.as_bytes()),
                    TopicKey::Id(id) => assert_eq!(id, expected.topic_id),
                }
                for (got, expected) in got.partitions.iter().zip(&expected.partition_data) {
                    assert_eq!(*got, (expected.index, expected.records.as_deref()));
                }
            }
            for n in 0..bytes.len() {
                assert!(read(&bytes[..n], version).is_err(), "version {version}, {n} bytes");
            }
        }
    }

    #[test]
    fn announced_lengths_reserve_nothing() {
        for (version, body) in [
            (3, &b"\xff\xff\0\x01\0\0\0\0\x7f\xff\xff\xff"[..]),
            (9, &b"\0\0\x01\0\0\0\0\xff\xff\xff\xff\x0f"[..]),
            (9, &b"\0\0\x01\0\0\0\0\x02\x02a\xff\xff\xff\xff\x0f"[..]),
        ] {
            assert!(read(body, version).is_err());
        }
    }
}
