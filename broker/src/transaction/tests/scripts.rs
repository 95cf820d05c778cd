//! What clients, time and failures do to a transactional id.

use super::Harness;

/// A name, and lines of `input -> answer`.
#[rustfmt::skip] // a table
const SCRIPTS: &[(&str, &str)] = &[
    ("a transaction of a client with one epoch", "
        init t -> 0 0
        state t -> Empty 0 0
        add1 t 0 0 orders-1
        add1 t 0 0 orders-0 pays-2
        state t -> Ongoing 0 0 orders-0 orders-1 pays-2
        end1 t 0 0 commit -> 0 0
        markers -> orders-0 commit 0 0, orders-1 commit 0 0, pays-2 commit 0 0
        state t -> CompleteCommit 0 0
        end1 t 0 0 commit -> 0 0
        end1 t 0 0 abort -> InvalidTxnState
        add1 t 0 0 orders-1
        end1 t 0 0 abort -> 0 0
        markers -> orders-1 abort 0 0
        end1 t 0 0 abort -> 0 0
        end1 t 0 0 commit -> InvalidTxnState"),
    ("without a transaction a client with one epoch has nothing to end", "
        init t -> 0 0
        end1 t 0 0 commit -> InvalidTxnState
        end1 t 0 0 abort -> InvalidTxnState"),
    ("every transaction has its own epoch", "
        init t -> 0 0
        add2 t 0 0 orders-1
        end2 t 0 0 commit -> 0 1
        markers -> orders-1 commit 0 1
        state t -> CompleteCommit 0 1
        end2 t 0 0 commit -> 0 1
        end2 t 0 0 abort -> InvalidTxnState
        end2 t 0 1 commit -> InvalidTxnState
        add2 t 0 0 orders-1 -> ProducerFenced
        add2 t 0 1 orders-1
        end2 t 0 0 commit -> ProducerFenced
        end2 t 0 1 abort -> 0 2
        markers -> orders-1 abort 0 2
        end2 t 0 1 abort -> 0 2
        end2 t 0 1 commit -> InvalidTxnState"),
    ("an abort without a transaction bumps the epoch all the same", "
        init t -> 0 0
        end2 t 0 0 commit -> InvalidTxnState
        end2 t 0 0 abort -> 0 1
        state t -> CompleteAbort 0 1
        end2 t 0 0 abort -> 0 1
        end2 t 0 0 commit -> InvalidTxnState
        end2 t 0 1 commit -> InvalidTxnState
        end2 t 0 1 abort -> 0 2
        add2 t 0 2 orders-0
        end2 t 0 2 commit -> 0 3
        end2 t 0 3 abort -> 0 4
        markers -> orders-0 commit 0 3"),
    ("what another client has ended with one epoch is nobody's retry", "
        init t -> 0 0
        add2 t 0 0 orders-0
        end2 t 0 0 commit -> 0 1
        init t -> 0 2
        add1 t 0 2 orders-0
        end1 t 0 2 commit -> 0 2
        end2 t 0 1 commit -> ProducerFenced
        add1 t 0 2 orders-0
        end1 t 0 2 abort -> 0 2
        end2 t 0 1 abort -> ProducerFenced
        add2 t 0 2 orders-0
        end2 t 0 2 commit -> 0 3
        restart
        end2 t 0 2 commit -> 0 3"),
    ("who is not the producer", "
        init t -> 0 0
        add1 t 7 0 orders-0 -> InvalidProducerIdMapping
        add1 t 0 1 orders-0 -> ProducerFenced
        add1 other 0 0 orders-0 -> InvalidProducerIdMapping
        end1 t 7 0 commit -> InvalidProducerIdMapping
        end2 t 0 1 abort -> ProducerFenced
        end2 other 0 0 abort -> InvalidProducerIdMapping
        verify t 7 0 orders-0 -> InvalidProducerIdMapping
        verify t 0 1 orders-0 -> ProducerFenced
        state other -> TransactionalIdNotFound"),
    ("only what was added is part of the transaction", "
        init t -> 0 0
        verify t 0 0 orders-0 ->  
        add1 t 0 0 orders-0
        verify t 0 0 orders-0 orders-1 pays-0 -> orders-0
        end1 t 0 0 commit -> 0 0
        verify t 0 0 orders-0 -> "),
    ("a second producer fences the first", "
        init t -> 0 0
        add1 t 0 0 orders-0
        init t -> ConcurrentTransactions
        markers -> orders-0 abort 0 1
        add1 t 0 0 orders-1 -> ProducerFenced
        end1 t 0 0 commit -> ProducerFenced
        end2 t 0 0 commit -> InvalidTxnState
        init t -> 0 2
        add1 t 0 2 orders-0
        end1 t 0 2 commit -> 0 2"),
    ("a second producer fences the first where all have one epoch", "
        epochs off
        init t -> 0 0
        add1 t 0 0 orders-0
        init t -> ConcurrentTransactions
        markers -> orders-0 abort 0 1
        state t -> CompleteAbort 0 1
        init t -> 0 2"),
    ("a producer that names itself goes on, once", "
        init t -> 0 0
        init t 0 0 -> 0 1
        init t 0 0 -> 0 1
        init t 0 1 -> 0 2
        init t 0 0 -> ProducerFenced
        init t -> 0 3
        init t 0 2 -> ProducerFenced
        init t 5 3 -> ProducerFenced
        init t 0 3 -> 0 4"),
    ("a producer that names itself has its transaction aborted", "
        init t -> 0 0
        add2 t 0 0 orders-0
        init t 5 0 -> ProducerFenced
        init t 0 0 -> ConcurrentTransactions
        markers -> orders-0 abort 0 1
        init t 0 0 -> 0 1
        state t -> Empty 0 1"),
    ("a transaction that is open for too long is aborted and its producer fenced", "
        init t -> 0 0
        add1 t 0 0 orders-0
        at 59999
        state t -> Ongoing 0 0 orders-0
        at 60000
        state t -> Ongoing 0 0 orders-0
        at 70000
        state t -> CompleteAbort 0 1
        markers -> orders-0 abort 0 1
        end1 t 0 0 commit -> ProducerFenced
        init t 0 0 -> 0 1"),
    ("the timeout counts from the first partition, also after a restart", "
        init t -> 0 0
        at 100000
        add1 t 0 0 orders-0
        at 150000
        add1 t 0 0 orders-1
        restart
        at 160000
        state t -> Ongoing 0 0 orders-0 orders-1
        at 170000
        state t -> CompleteAbort 0 1
        markers -> orders-0 abort 0 1, orders-1 abort 0 1"),
    ("a clock that is set ahead ends no transaction", "
        init t -> 0 0
        add1 t 0 0 orders-0
        pass 50000
        jump 3600000
        pass 10000
        state t -> Ongoing 0 0 orders-0
        pass 10000
        state t -> CompleteAbort 0 1"),
    ("a clock that is set back keeps none", "
        init t -> 0 0
        add1 t 0 0 orders-0
        pass 50000
        jump -3600000
        pass 10000
        state t -> Ongoing 0 0 orders-0
        pass 10000
        state t -> CompleteAbort 0 1"),
    ("a clock that was set back before the start keeps a transaction no longer than its timeout", "
        init t -> 0 0
        add1 t 0 0 orders-0
        jump -3600000
        restart
        pass 50000
        state t -> Ongoing 0 0 orders-0
        pass 20000
        state t -> CompleteAbort 0 1"),
    ("markers that cannot be written are tried again, and others wait", "
        init t -> 0 0
        add2 t 0 0 orders-0 pays-0
        orders off
        end2 t 0 0 commit -> 0 1
        state t -> PrepareCommit 0 1 orders-0
        markers -> pays-0 commit 0 1
        add2 t 0 1 orders-0 -> ConcurrentTransactions
        verify t 0 1 orders-0 -> ConcurrentTransactions
        init t -> ConcurrentTransactions
        end2 t 0 0 commit -> ConcurrentTransactions
        end2 t 0 0 abort -> ConcurrentTransactions
        end2 t 0 1 commit -> ConcurrentTransactions
        end2 t 0 1 abort -> ConcurrentTransactions
        end1 t 0 1 commit -> ConcurrentTransactions
        end1 t 0 1 abort -> ConcurrentTransactions
        orders on
        at 500
        markers -> orders-0 commit 0 1
        state t -> CompleteCommit 0 1
        add2 t 0 1 orders-0"),
    ("while others wait it does not matter who they are, but to a client with one epoch", "
        init t -> 0 0
        add2 t 0 0 orders-0
        orders off
        end2 t 0 0 commit -> 0 1
        add2 t 7 0 orders-0 -> ConcurrentTransactions
        add1 t 0 0 orders-0 -> ConcurrentTransactions
        init t 7 0 -> ConcurrentTransactions
        end2 t 7 0 abort -> ConcurrentTransactions
        end1 t 7 1 commit -> InvalidProducerIdMapping
        end1 t 0 0 commit -> ProducerFenced
        verify t 7 1 orders-0 -> InvalidProducerIdMapping
        verify t 0 0 orders-0 -> ProducerFenced
        orders on
        at 500
        end2 t 0 1 abort -> 0 2"),
    ("a decision that was stored outlives the process, and its markers follow", "
        init t -> 0 0
        add2 t 0 0 orders-0
        kill
        end2 t 0 0 commit -> 0 1
        restart
        markers -> orders-0 commit 0 1
        state t -> CompleteCommit 0 1
        end2 t 0 0 commit -> 0 1"),
    ("what is not stored has not happened", "
        init t -> 0 0
        log off
        add1 t 0 0 orders-0 -> NotCoordinator
        state t -> Empty 0 0
        init t -> NotCoordinator
        init u -> NotCoordinator
        state u -> TransactionalIdNotFound
        log on
        add1 t 0 0 orders-0
        log off
        end1 t 0 0 commit -> NotCoordinator
        state t -> Ongoing 0 0 orders-0
        init t -> NotCoordinator
        at 70000
        state t -> Ongoing 0 0 orders-0
        log on
        at 80000
        state t -> CompleteAbort 0 1
        markers -> orders-0 abort 0 1"),
    ("an id that nobody uses is forgotten", "
        init t -> 0 0
        init u -> 1 0
        add1 u 1 0 orders-0
        end1 u 1 0 commit -> 1 0
        at 604799999
        state t -> Empty 0 0
        at 604800000
        at 608400000
        state t -> TransactionalIdNotFound
        state u -> TransactionalIdNotFound
        restart
        state t -> TransactionalIdNotFound
        init t -> 2 0"),
    ("an id whose end is not stored is still there, and goes later", "
        init t -> 0 0
        log off
        at 604800000
        state t -> Empty 0 0
        log on
        at 604803599
        state t -> Empty 0 0
        at 608400000
        state t -> TransactionalIdNotFound"),
    ("an id whose transaction is not done is not forgotten", "
        init t -> 0 0
        add2 t 0 0 orders-0
        orders off
        end2 t 0 0 commit -> 0 1
        at 604800000
        at 608400000
        state t -> PrepareCommit 0 1 orders-0
        orders on
        at 608400500
        state t -> CompleteCommit 0 1"),
    ("a transaction without partitions", "
        init t -> 0 0
        add1 t 0 0
        state t -> Ongoing 0 0
        end1 t 0 0 commit -> 0 0
        markers -> 
        state t -> CompleteCommit 0 0"),
    ("nothing is known before the topic is there", "
        add1 t 0 0 orders-0 -> NotCoordinator
        end1 t 0 0 commit -> NotCoordinator
        state t -> NotCoordinator
        init t -> 0 0"),
];

#[test]
fn scripts() {
    for (name, script) in SCRIPTS {
        Harness::new().script(name, script);
    }
}

#[test]
fn timeouts_and_names_are_checked() {
    let harness = Harness::new();
    for (id, timeout_ms, expected) in [
        ("", 1000, Err("InvalidRequest")),
        ("t", 0, Err("InvalidTransactionTimeout")),
        ("t", -1, Err("InvalidTransactionTimeout")),
        ("t", 900_001, Err("InvalidTransactionTimeout")),
        ("t", i32::MAX, Err("InvalidTransactionTimeout")),
        ("t", 1, Ok(())),
        ("t", 900_000, Ok(())),
    ] {
        let answer = harness.coordinator.init(id, timeout_ms, None).map(|_| ());
        assert_eq!(answer.map_err(|error| format!("{error:?}")), expected.map_err(str::to_owned));
    }
}

/// Transactions until the epochs of a producer id are nearly used up.
fn exhausted(epoch: i16) -> Harness {
    let harness = Harness::new();
    assert_eq!(harness.play("init t"), "0 0");
    for epoch in 0..epoch {
        let next = format!("0 {}", epoch + 1);
        assert_eq!(harness.play(&format!("end2 t 0 {epoch} abort")), next);
    }
    harness
}

#[test]
fn when_the_epochs_are_used_up_there_is_a_new_producer_id() {
    let last = i16::MAX - 1;
    exhausted(last).script(
        "a commit takes the last epoch",
        &format!(
            "
            add2 t 0 {last} orders-0
            end2 t 0 {last} commit -> 1 0
            markers -> orders-0 commit 0 32767
            state t -> CompleteCommit 1 0
            end2 t 0 {last} commit -> 1 0
            end2 t 0 {last} abort -> InvalidTxnState
            restart
            end2 t 0 {last} commit -> 1 0
            add2 t 1 0 orders-0
            end2 t 0 {last} commit -> InvalidProducerIdMapping
            end2 t 1 0 commit -> 1 1"
        ),
    );
    exhausted(last).script(
        "the new producer id waits for the end of the last transaction of the old one",
        &format!(
            "
            add2 t 0 {last} orders-0
            orders off
            end2 t 0 {last} commit -> 1 0
            add2 t 1 0 orders-1 -> ConcurrentTransactions
            init t 1 0 -> ConcurrentTransactions
            end2 t 1 0 abort -> ConcurrentTransactions
            end2 t 0 {last} commit -> ConcurrentTransactions
            orders on
            at 500
            end2 t 0 {last} commit -> 1 0
            add2 t 1 0 orders-1
            end2 t 1 0 commit -> 1 1"
        ),
    );
    exhausted(last).script(
        "a producer that has not heard of its new id",
        &format!(
            "
            add2 t 0 {last} orders-0
            end2 t 0 {last} commit -> 1 0
            init t 0 {last} -> 1 0
            init t 1 0 -> 1 1
            init t 0 {last} -> ProducerFenced"
        ),
    );
    exhausted(last).script("a new producer", "init t -> 1 0");
    exhausted(last).script(
        "the same producer",
        &format!(
            "
        init t 0 {last} -> 1 0
        init t 0 {last} -> 1 0
        init t 1 0 -> 1 1
        init t 0 {last} -> ProducerFenced"
        ),
    );
    exhausted(last).script(
        "a timeout",
        &format!(
            "
        add2 t 0 {last} orders-0
        at 70000
        markers -> orders-0 abort 0 32767
        state t -> CompleteAbort 1 0"
        ),
    );
    exhausted(last).script(
        "a process that dies in between",
        &format!(
            "
        add2 t 0 {last} orders-0
        kill
        end2 t 0 {last} commit -> 1 0
        restart
        markers -> orders-0 commit 0 32767
        state t -> CompleteCommit 1 0"
        ),
    );
    exhausted(last - 1).script(
        "one epoch less",
        &format!(
            "
        add2 t 0 {} orders-0
        end2 t 0 {} commit -> 0 {last}",
            last - 1,
            last - 1
        ),
    );
}

#[test]
fn deadlines_are_told() {
    let harness = Harness::new();
    assert_eq!(harness.at(0), None);
    harness.play("init t");
    assert_eq!(harness.at(0), Some(3_600_000), "an id may expire");
    harness.play("add1 t 0 0 orders-0");
    assert_eq!(harness.at(0), Some(10_000), "a transaction may time out");
    harness.play("orders off");
    harness.play("end1 t 0 0 commit");
    assert_eq!(harness.at(1), Some(501), "markers are missing");
    harness.play("orders on");
    harness.at(501);
    assert_eq!(harness.at(10_000), Some(3_600_000), "nothing is open");
}
