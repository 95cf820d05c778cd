//! Bytes that Kafka 4.1.1 wrote.

use uuid::Uuid;

use super::super::{
    BatchHeader, Batches, ControlType, EndTransactionMarker, HEADER_LEN, KRaftVersion, KRaftVoters,
    LeaderChange, Records, SnapshotFooter, SnapshotHeader, Voter, VoterEndpoint, VoterId, control_batch,
    crc_matches, end_transaction_batch,
};
use super::hex;

#[test]
fn commit_marker() {
    let kafka =
        hex("0000000000000006 00000042 00000000 02 dbdb5fcb 0030 00000000 000001a2041b96ca 000001a2041b96ca
        0000000000000006 0001 ffffffff 00000001 | 20 00 00 00 08 00000001 0c 0000 00000000 00");
    let marker = EndTransactionMarker { commit: true, coordinator_epoch: 0 };
    let ours = end_transaction_batch(6, 0, 0x1a2_041b_96ca, 6, 1, marker);
    assert_eq!(ours.len(), 78);
    assert_eq!(ours[..], kafka);
    assert!(crc_matches(&kafka));
    let record = Records::new(&kafka[HEADER_LEN..], 1).next().unwrap().unwrap();
    assert_eq!(EndTransactionMarker::read(record.key.unwrap(), record.value.unwrap()), Ok(Some(marker)));
}

#[test]
fn abort_marker_differs_in_the_key() {
    let marker = EndTransactionMarker { commit: false, coordinator_epoch: 77 };
    let batch = end_transaction_batch(0, 1, 2, 3, 4, marker);
    assert!(crc_matches(&batch));
    let record = Records::new(&batch[HEADER_LEN..], 1).next().unwrap().unwrap();
    assert_eq!(record.key, Some(&[0, 0, 0, 0][..]));
    assert_eq!(EndTransactionMarker::read(record.key.unwrap(), record.value.unwrap()), Ok(Some(marker)));
    let other = ControlType::LeaderChange.key();
    assert_eq!(EndTransactionMarker::read(&other, &[]), Ok(None));
}

#[test]
fn leader_change() {
    let kafka =
        hex("0000000000000000 0000004f 00000003 02 c6888519 0020 00000000 000001a2041b7108 000001a2041b7108
        ffffffffffffffff ffff ffffffff 00000001
        3a 00 00 00 08 00000002 26 | 0000 00000001 02 00000001 00 02 00000001 00 00 | 00");
    let voter = VoterId { id: 1, directory_id: None };
    let message = LeaderChange { leader_id: 1, voters: vec![voter], granting_voters: vec![voter] };
    let value = message.value();
    let ours = control_batch(0, 3, 0x1a2_041b_7108, [(ControlType::LeaderChange, &value[..])]).unwrap();
    assert_eq!(ours.len(), 91);
    assert_eq!(ours, kafka);
    assert_eq!(LeaderChange::read(&value), Ok(message));
}

#[test]
fn snapshot_header_and_footer() {
    let timestamp = 0x1a2_041b_7108;
    let header =
        hex("0000000000000000 00000047 00000003 02 1b3bc51d 0020 00000000 000001a2041b7108 000001a2041b7108
        ffffffffffffffff ffff ffffffff 00000001  2a 00 00 00 08 00000003 16 0000 000001a2041b7108 00 00");
    let footer =
        hex("0000000000000005 0000003f 00000003 02 d6a2f150 0020 00000000 000001a2041b7108 000001a2041b7108
        ffffffffffffffff ffff ffffffff 00000001  1a 00 00 00 08 00000004 06 0000 00 00");
    let value = SnapshotHeader { last_contained_log_timestamp: timestamp }.value();
    assert_eq!(control_batch(0, 3, timestamp, [(ControlType::SnapshotHeader, &value[..])]).unwrap(), header);
    assert_eq!(SnapshotHeader::read(&value).unwrap().last_contained_log_timestamp, timestamp);
    let value = SnapshotFooter.value();
    assert_eq!(control_batch(5, 3, timestamp, [(ControlType::SnapshotFooter, &value[..])]).unwrap(), footer);
    assert_eq!(SnapshotFooter::read(&value), Ok(SnapshotFooter));

    let snapshot = [header, footer].concat();
    let types: Vec<_> = Batches::new(&snapshot)
        .map(|batch| {
            let (header, whole) = batch.unwrap();
            assert!(header.attributes.is_control() && !header.attributes.is_transactional());
            let record = Records::new(&whole[HEADER_LEN..], header.record_count).next().unwrap().unwrap();
            ControlType::from_key(record.key.unwrap()).unwrap()
        })
        .collect();
    assert_eq!(types, [ControlType::SnapshotHeader, ControlType::SnapshotFooter]);
}

#[test]
fn voters_round_trip() {
    let directory_id = Uuid::from_u128(0x0e2a_de72_da2b_c8e7_cc8a_57a7_6bed_7ffc);
    let endpoint = VoterEndpoint { name: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 19093 };
    let voter =
        Voter { id: 1, directory_id, endpoints: vec![endpoint], min_kraft_version: 0, max_kraft_version: 1 };
    let voters = KRaftVoters { voters: vec![voter] };
    assert_eq!(KRaftVoters::read(&voters.value()), Ok(voters));
    let version = KRaftVersion { kraft_version: 1 };
    assert_eq!(version.value(), hex("0000 0001 00"));
    assert_eq!(KRaftVersion::read(&version.value()), Ok(version));
    let voter = VoterId { id: 1, directory_id: Some(directory_id) };
    for (voters, granting_voters) in [(vec![voter], vec![]), (vec![], vec![voter]), (vec![], vec![])] {
        let message = LeaderChange { leader_id: 1, voters, granting_voters };
        assert_eq!(LeaderChange::read(&message.value()), Ok(message));
    }
}

/// First batch of the snapshot that `kafka-storage format --standalone` writes.
#[test]
fn snapshot_of_a_dynamic_quorum() {
    let kafka =
        hex("0000000000000000 0000009a 00000000 02 36cede07 0020 00000002 000001a204e6be63 000001a204e6be63
        ffffffffffffffff ffff ffffffff 00000003
        2a 00 00 00 08 00000003 16 0000 000001a204e6be5a 00 | 00
        1e 00 00 02 08 00000005 0a 0000 0001 00 | 00
        820100 00 04 08 00000006 6e 0000 02 00000001 18583e3d20334e94a7c835aca31be911
        02 0b 434f4e54524f4c4c4552 0a 3132372e302e302e31 72d1 00 0000 0001 00 00 00 | 00");
    let directory_id = Uuid::from_u128(0x1858_3e3d_2033_4e94_a7c8_35ac_a31b_e911);
    let endpoint = VoterEndpoint { name: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 29393 };
    let voter =
        Voter { id: 1, directory_id, endpoints: vec![endpoint], min_kraft_version: 0, max_kraft_version: 1 };
    let header = SnapshotHeader { last_contained_log_timestamp: 0x1a2_04e6_be5a }.value();
    let version = KRaftVersion { kraft_version: 1 }.value();
    let voters = KRaftVoters { voters: vec![voter] }.value();
    let records = [
        (ControlType::SnapshotHeader, &header[..]),
        (ControlType::KRaftVersion, &version[..]),
        (ControlType::KRaftVoters, &voters[..]),
    ];
    assert_eq!(control_batch(0, 0, 0x1a2_04e6_be63, records).unwrap(), kafka);
}

#[test]
fn header_fields_survive() {
    let bytes: Vec<u8> = hex("0102030405060708 00000042 11121314 02 21222324 0035 31323334 4142434445464748
        5152535455565758 6162636465666768 7172 01727374 01828384");
    let header = BatchHeader::read(&bytes).unwrap();
    assert_eq!(header.to_bytes()[..], bytes);
    assert_eq!(header.base_offset, 0x0102_0304_0506_0708);
    assert_eq!(header.size(), 78);
    assert_eq!(
        (header.producer_epoch, header.base_sequence, header.record_count),
        (0x7172, 0x0172_7374, 0x0182_8384)
    );
    assert_eq!(header.last_offset(), 0x0102_0304_0506_0708 + 0x3132_3334);
}
