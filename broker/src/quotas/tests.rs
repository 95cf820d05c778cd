use super::{Quotas, Resource, Window};
use crate::metadata::{Image, QuotaEntity};
use milena_protocol::stored::metadata::{ClientQuotaEntity, ClientQuotaRecord};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;

const WINDOW: Window = Window { sample_ms: 1000, samples: 11 };
const NOW: i64 = 1_700_000_000_000;

/// Quotas that are written as `kind=name kind=name`, `-` being the default.
fn quotas(rules: &[(&str, &str, f64)]) -> Quotas {
    let quotas = Quotas::new(WINDOW, WINDOW);
    let mut all: BTreeMap<QuotaEntity, BTreeMap<String, f64>> = BTreeMap::new();
    for (entity, key, value) in rules {
        let part = |part: &str| {
            let (kind, name) = part.split_once('=').unwrap();
            (kind.to_owned(), (name != "-").then(|| name.to_owned()))
        };
        all.entry(entity.split(' ').map(part).collect()).or_default().insert((*key).to_owned(), *value);
    }
    quotas.adopt(&all);
    quotas
}

#[test]
fn the_most_special_quota_counts() {
    const RATE: &str = "consumer_byte_rate";
    // From the least special to the most: each that is added takes over.
    let rules = [
        ("client-id=-", RATE, 1.0),
        ("client-id=c", RATE, 2.0),
        ("user=-", RATE, 3.0),
        ("client-id=- user=-", RATE, 4.0),
        ("client-id=c user=-", RATE, 5.0),
        ("user=u", RATE, 6.0),
        ("client-id=- user=u", RATE, 7.0),
        ("client-id=c user=u", RATE, 8.0),
    ];
    assert_eq!(quotas(&[]).fetch_max("u", "c"), usize::MAX);
    assert!(!quotas(&[]).is_active());
    for n in 1..=rules.len() {
        let quotas = quotas(&rules[..n]);
        assert!(quotas.is_active());
        // The bytes of ten seconds.
        assert_eq!(quotas.fetch_max("u", "c"), n * 10, "{:?}", rules[n - 1]);
    }
    assert_eq!(quotas(&[("user=other", RATE, 1.0)]).fetch_max("u", "c"), usize::MAX);
    assert_eq!(quotas(&[("client-id=c", "producer_byte_rate", 1.0)]).fetch_max("u", "c"), usize::MAX);
}

#[test]
fn a_burst_is_paid_for_with_silence() {
    let quotas = quotas(&[("client-id=-", "producer_byte_rate", 1000.0)]);
    let used = |bytes, at| quotas.record(Resource::Produce, "u", "c", bytes, NOW + at);
    // 10,000 bytes are the quota of the ten seconds that a new rate is taken over.
    assert_eq!(used(10_000.0, 0), 0);
    assert_eq!(used(5_000.0, 0), 5000);
    assert_eq!(quotas.throttle(Resource::Produce, "u", "c", NOW + 5_000), 5000);
    // Eleven samples later nothing is left of it.
    assert_eq!(quotas.throttle(Resource::Produce, "u", "c", NOW + 11_000), 0);
    assert_eq!(used(1.0, 11_000), 0);
    // Who has another name has a quota of its own.
    assert_eq!(quotas.record(Resource::Produce, "u", "other", 10_000.0, NOW), 0);
    assert_eq!(quotas.record(Resource::Fetch, "u", "c", 1e9, NOW), 0);
}

#[test]
fn users_share_what_is_not_told_apart() {
    let quotas = quotas(&[("user=-", "producer_byte_rate", 1000.0)]);
    assert_eq!(quotas.record(Resource::Produce, "u", "a", 10_000.0, NOW), 0);
    assert_eq!(quotas.record(Resource::Produce, "u", "b", 1_000.0, NOW), 1000);
    assert_eq!(quotas.record(Resource::Produce, "v", "b", 10_000.0, NOW), 0);
}

#[test]
fn time_silences_for_no_longer_than_a_sample() {
    let quotas = quotas(&[("client-id=-", "request_percentage", 10.0)]);
    // 100 percent of a second are the quota of ten seconds.
    assert_eq!(quotas.record(Resource::Request, "u", "c", 100.0, NOW), 0);
    assert_eq!(quotas.record(Resource::Request, "u", "c", 5.0, NOW), 500);
    assert_eq!(quotas.record(Resource::Request, "u", "c", 500.0, NOW), 1000);
}

#[test]
fn changes_of_metadata_come_from_a_bucket() {
    let quotas = quotas(&[("client-id=-", "controller_mutation_rate", 2.0)]);
    let may = |changes, strict, at| quotas.may_change(("u", "c"), changes, strict, NOW + at);
    // 22 tokens, of which one request may take more than there are.
    assert_eq!(may(20, true, 0), Ok(0));
    assert_eq!(may(8, true, 0), Ok(0), "who takes too much is not told");
    assert_eq!(may(1, true, 0), Err(3000), "who comes next is");
    assert_eq!(may(2, false, 2000), Ok(2000));
    assert_eq!(may(1, true, 3999), Err(1));
    assert_eq!(may(1, true, 3000), Err(1), "a clock that is set back pays no debt");
    assert_eq!(may(1, true, 4000), Ok(0));
    assert_eq!(quotas.may_change(("u", "other"), 1, true, NOW), Ok(0));
}

#[test]
fn of_two_changes_at_once_the_later_one_stays() {
    let image = |rate| {
        let mut image = Image::default();
        let entity =
            ClientQuotaEntity { entity_type: "client-id".to_owned(), ..ClientQuotaEntity::default() };
        let record = ClientQuotaRecord {
            entity: vec![entity],
            key: "consumer_byte_rate".to_owned(),
            value: rate,
            ..ClientQuotaRecord::default()
        };
        image.apply(0, &record.into()).unwrap();
        Arc::new(image)
    };
    let (older, newer) = (image(1.0), image(2.0));
    let quotas = quotas(&[]);
    // The newer one is stored, and adopted by whoever has stored it, between the first look and the second.
    let looks = Cell::new(0);
    quotas.adopt_newest(|| {
        looks.set(looks.get() + 1);
        Arc::clone(if looks.get() == 1 { &older } else { &newer })
    });
    assert_eq!((quotas.fetch_max("u", "c"), looks.get()), (20, 4));
}

#[test]
fn idle_clients_are_forgotten() {
    let quotas = quotas(&[("client-id=-", "producer_byte_rate", 1.0)]);
    for n in 0..super::REMEMBERED {
        quotas.record(Resource::Produce, "u", &n.to_string(), 1.0, NOW);
    }
    quotas.record(Resource::Produce, "u", "late", 1.0, NOW + 11_000);
    assert_eq!(quotas.measured.lock().rates.len(), 1);
}
