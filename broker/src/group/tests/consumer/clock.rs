//! A wall clock that is set, while sessions and rebalances run.

use super::{Script, assigned, holding};
use crate::group::tests::{Harness, Join, REBALANCE_MS, SESSION_MS, code, now, waiting};
use kafka_protocol::ResponseError;

const JUMPS: [i64; 4] = [-86_400_000, -1000, 1000, 86_400_000];

#[test]
fn sessions_of_classic_members_end_when_their_time_has_passed() {
    for jump in JUMPS {
        let harness = Harness::new();
        let id = harness.stable("a");
        harness.pass(i64::from(SESSION_MS) - 1);
        harness.clock.jump(jump);
        harness.pass(0);
        assert_eq!(harness.state(), "Stable", "{jump}");
        // A heartbeat after the jump counts from the jump on.
        assert_eq!(harness.heartbeat(&id, 1), 0, "{jump}");
        harness.pass(i64::from(SESSION_MS) - 1);
        assert_eq!(harness.state(), "Stable", "{jump}");
        harness.clock.jump(-2 * jump);
        harness.pass(1);
        assert_eq!(harness.state(), "Empty", "{jump}");
        assert_eq!(harness.heartbeat(&id, 1), code(ResponseError::UnknownMemberId), "{jump}");
    }
}

#[test]
fn a_rebalance_waits_as_long_as_it_would_have() {
    for jump in JUMPS {
        let harness = Harness::new();
        let first = now(harness.join(Join { version: 3, session_ms: 1_000_000, ..Join::default() }));
        now(harness.sync(&first.member_id, 1, &[]));
        let joining = waiting(harness.join(Join { version: 3, session_ms: 1_000_000, ..Join::default() }));
        harness.pass(1);
        harness.clock.jump(jump);
        harness.pass(i64::from(REBALANCE_MS) - 2);
        let joining = waiting(joining);
        harness.pass(1);
        assert_eq!(now(joining).generation_id, 2, "{jump}");
    }
}

#[test]
fn members_of_consumer_groups_have_their_session_and_their_time_to_give_up() {
    for jump in JUMPS {
        let script = Script::new();
        script.join("a", &["t"]);
        script.join("b", &["t"]);
        // It is told to give up half, and has 30 seconds for it.
        assert_eq!(assigned(&script.beat("a", 1, None)), Some(holding(1, 0..3)));
        script.harness.clock.jump(jump);
        script.harness.pass(29_999);
        assert_eq!(script.describe().members.len(), 2, "{jump}");
        script.beat("b", 2, None);
        script.harness.pass(1);
        assert_eq!(script.describe().members.len(), 1, "{jump}");
        script.harness.clock.jump(-jump);
        script.harness.pass(44_998);
        assert_eq!(script.state(), "Assigning", "{jump}");
        script.harness.pass(1);
        assert_eq!(script.state(), "Empty", "{jump}");
    }
}
