//! DescribeTransactions and ListTransactions.

use super::{Harness, START};
use crate::transaction::ListFilter;
use kafka_protocol::ResponseError;

/// States, producer ids, duration and pattern; what is found.
type Row<'a> = (&'a [&'a str], &'a [i64], i64, Option<&'a str>, &'a str);

fn listed(harness: &Harness, filter: &ListFilter) -> String {
    let mut ids: Vec<_> = harness.coordinator.list(filter).unwrap().into_iter().map(|one| one.id).collect();
    ids.sort();
    ids.join(" ")
}

#[test]
fn filters() {
    let harness = Harness::new().script(
        "some ids",
        "
        init empty -> 0 0
        init open -> 1 0
        add1 open 1 0 orders-0
        at 5000
        init late -> 2 0
        add1 late 2 0 orders-0
        init done -> 3 0
        add1 done 3 0 orders-0
        end1 done 3 0 commit -> 3 0
        at 10000",
    );
    #[rustfmt::skip]
    let rows: [Row<'_>; 12] = [
        (&[],                        &[],     -1,    None,           "done empty late open"),
        (&["Ongoing"],               &[],     -1,    None,           "late open"),
        (&["CompleteCommit", "no"],  &[],     -1,    None,           "done"),
        (&["Dead"],                  &[],     -1,    None,           ""),
        (&["ongoing"],               &[],     -1,    None,           ""),
        (&[],                        &[1, 3], -1,    None,           "done open"),
        (&["Ongoing"],               &[],     5000,  None,           "open"),
        (&["Ongoing"],               &[],     4999,  None,           "late open"),
        (&[],                        &[],     -1,    Some(""),       "done empty late open"),
        (&[],                        &[],     -1,    Some("o"),      ""),
        (&[],                        &[],     -1,    Some(".*e.*"),  "done empty late open"),
        (&["Ongoing"],               &[2, 0], 1,     Some("l.t|x"),  ""),
    ];
    for (states, ids, longer, pattern, expected) in rows {
        let filter = ListFilter::new(states.iter().copied(), ids.iter().copied(), longer, pattern).unwrap();
        assert_eq!(listed(&harness, &filter), expected, "{states:?} {ids:?} {longer} {pattern:?}");
    }
    let filter = ListFilter::new(["Ongoing", "no", "Dead"], [], -1, Some("l.te|open")).unwrap();
    assert_eq!(
        (listed(&harness, &filter), filter.unknown_states),
        ("late open".into(), vec!["no".to_owned()])
    );
}

#[test]
fn a_pattern_must_be_one() {
    for pattern in ["(", "a)(b", "[", "(?P<n"] {
        let error = ListFilter::new([], [], -1, Some(pattern)).err();
        assert_eq!(error, Some(ResponseError::InvalidRegularExpression), "{pattern}");
    }
    for pattern in ["a".repeat(1 << 20), "(?x)".to_owned() + &" ".repeat(1 << 20), "((a{99}){99}){99}".into()]
    {
        let error = ListFilter::new([], [], -1, Some(&pattern)).err();
        assert_eq!(error, Some(ResponseError::InvalidRegularExpression), "{} bytes", pattern.len());
    }
}

#[test]
fn a_description_says_since_when() {
    let harness = Harness::new().script("open", "init t -> 0 0\nat 7\nadd1 t 0 0 orders-0");
    let described = harness.coordinator.describe("t").unwrap();
    assert_eq!((described.started, described.timeout_ms), (START + 7, super::TIMEOUT_MS));
    assert_eq!(harness.coordinator.describe(""), Err(ResponseError::InvalidRequest));
}
