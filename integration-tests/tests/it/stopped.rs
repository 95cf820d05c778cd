//! The process is stopped and continued, as by a debugger, a frozen container or a machine that was suspended.

use crate::rd::{Sending, held, member, poll, wait_until};
use crate::shortage::assert_holds;
use crate::transactions::{Raw, committed};
use kafka_protocol::messages::{EndTxnRequest, ProduceRequest};
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::raw::{Connection, PATIENCE};
use milena_integration_tests::records::{Batch, batches};
use milena_integration_tests::requests::{PRODUCE, create_topic, look_up, produce, read_all};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rdkafka::consumer::BaseConsumer;
use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

const CONCURRENT_TRANSACTIONS: i16 = 51;
/// Of a producer whose transaction was aborted when its time was up: INVALID_PRODUCER_EPOCH, PRODUCER_FENCED.
const FENCED: [i16; 2] = [47, 90];

fn signal(broker: &Broker, signal: Signal) {
    let pid = i32::try_from(broker.pid().expect("it runs")).expect("a process id");
    kill(Pid::from_raw(pid), signal).expect("it is there");
}

fn stop(broker: &Broker) {
    signal(broker, Signal::SIGSTOP);
    let status = format!("/proc/{}/status", broker.pid().expect("it runs"));
    wait_until("the process to stop", || {
        fs::read_to_string(&status).is_ok_and(|status| status.contains("State:\tT"))
    });
}

/// A stopped process looks to its clients like a slow network.
#[test]
fn a_broker_that_was_stopped_goes_on_where_it_was() {
    let Some(broker) = Broker::milena(&[]) else { return };
    let mut connection = broker.connect();
    let topic = unique("stopped");
    create_topic(&mut connection, &topic, 1, &[]);
    let mut values = Vec::new();
    for n in 0..5 {
        stop(&broker);
        let value = vec![n; 1000];
        // Sent into the socket of a process that does not run.
        let batch = Batch::of([&value]).encode();
        let request = produce(&topic, 0, -1, batch);
        connection.send(PRODUCE, &request);
        connection.patience(Duration::from_millis(100));
        assert!(connection.receive_frame().is_err(), "it is stopped");
        connection.patience(PATIENCE);
        signal(&broker, Signal::SIGCONT);
        let (_, answer) = connection.receive::<ProduceRequest>(PRODUCE);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
        values.push(value);
    }
    assert_holds(&broker, &topic, &values);
}

/// A group of two, and the values that it has seen.
struct Group {
    members: [BaseConsumer; 2],
    seen: BTreeSet<u32>,
}

impl Group {
    fn join(broker: &Broker, topic: &str, settings: &[(&str, &str)]) -> Self {
        let group = unique("stopped");
        let members = [(); 2].map(|()| member(broker.address(), &group, topic, settings));
        Self { members, seen: BTreeSet::new() }
    }

    /// Polls until each has one of the two partitions, and `count` values were seen.
    fn wait_for(&mut self, what: &str, count: u32) {
        wait_until(what, || {
            for member in &self.members {
                self.seen.extend(std::iter::from_fn(|| poll(member)).map(|seen| number(&seen.value)));
            }
            self.members.iter().all(|member| held(member) == 1) && self.seen == (0..count).collect()
        });
    }
}

fn number(value: &[u8]) -> u32 {
    String::from_utf8_lossy(value).parse().expect("a number")
}

/// A producer with an open transaction of one record, on a connection of its own.
struct Deal {
    connection: Connection,
    producer: Raw,
}

impl Deal {
    fn open(broker: &Broker, topic: &str, timeout_ms: i32) -> Self {
        let mut connection = broker.connect();
        let mut producer = Raw::init_with(&mut connection, unique("deal"), timeout_ms);
        assert_eq!(producer.add(&mut connection, topic), 0);
        assert_eq!(producer.append(&mut connection, topic, &producer.id.clone()), 0);
        Self { connection, producer }
    }

    /// Sent into the socket of a process that does not run.
    fn send_end(&mut self, commit: bool) {
        self.connection.send(3, &self.producer.end_request(commit));
    }

    /// What became of it by the broker's word, and that this stays.
    fn is_committed(&mut self, first: i16, commit: bool) -> bool {
        let mut code = first;
        while code == CONCURRENT_TRANSACTIONS {
            code = self.producer.end(&mut self.connection, commit);
        }
        assert!(code == 0 || FENCED.contains(&code), "{code}");
        let is_over = |deal: &mut Self| deal.producer.state(&mut deal.connection).starts_with("Complete");
        wait_until("the end of the transaction", || is_over(self));
        let again = self.producer.end(&mut self.connection, commit);
        assert_eq!(again == 0, code == 0, "{again} after {code}");
        code == 0 && commit
    }
}

/// Sessions and transactions whose time passes meanwhile may end, as in Kafka, or be met in time by what waits in the
/// sockets: nothing that was acknowledged is lost, groups come back, and a transaction has one outcome.
fn stopped_for(time: Duration, session_ms: &str, transaction_ms: i32) {
    let options = [
        ("group.consumer.min.session.timeout.ms", "1000"),
        ("group.consumer.session.timeout.ms", session_ms),
        ("group.consumer.min.heartbeat.interval.ms", "100"),
        ("group.consumer.heartbeat.interval.ms", "500"),
        ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "100"),
    ];
    let Some(broker) = Broker::own(&options) else { return };
    let mut connection = broker.connect();
    let (flow, deals) = (unique("flow"), unique("deals"));
    create_topic(&mut connection, &flow, 2, &[]);
    create_topic(&mut connection, &deals, 1, &[]);
    let classic = [("session.timeout.ms", session_ms), ("heartbeat.interval.ms", "500")];
    let mut groups = [
        Group::join(&broker, &flow, &classic),
        Group::join(&broker, &flow, &[("group.protocol", "consumer")]),
    ];
    let sending = Sending::new(broker.address(), &[("enable.idempotence", "true")]);
    let send = |numbers: std::ops::Range<u32>| {
        numbers.for_each(|n| sending.send(&flow, None, n.to_string().as_bytes()));
    };
    send(0..100);
    groups.iter_mut().for_each(|group| group.wait_for("the groups", 100));
    // Told in time to commit and to abort, too late, and with time enough.
    let short: Vec<Deal> = (0..9).map(|_| Deal::open(&broker, &deals, transaction_ms)).collect();
    let mut long = Deal::open(&broker, &deals, 10 * transaction_ms);

    // Half of them are on their way.
    send(100..200);
    stop(&broker);
    let mut short = short.into_iter().enumerate().map(|(n, deal)| (n % 3, deal)).collect::<Vec<_>>();
    for (how, deal) in &mut short {
        if *how < 2 {
            deal.send_end(*how == 0);
        }
    }
    send(200..300);
    // The steady clock runs on: this is what is tested.
    std::thread::sleep(time);
    signal(&broker, Signal::SIGCONT);

    let mut expected = BTreeSet::new();
    for (how, mut deal) in short {
        let (first, commit) = match how {
            2 => {
                let is_over = |deal: &mut Deal| deal.producer.state(&mut deal.connection) == "CompleteAbort";
                wait_until("the abort of what nobody ends", || is_over(&mut deal));
                let first = deal.producer.end(&mut deal.connection, true);
                assert!(FENCED.contains(&first), "{first}");
                (first, true)
            }
            how => (deal.connection.receive::<EndTxnRequest>(3).1.error_code, how == 0),
        };
        if deal.is_committed(first, commit) {
            expected.insert(deal.producer.id);
        }
    }
    assert_eq!(long.producer.state(&mut long.connection), "Ongoing");
    assert_eq!(long.producer.end(&mut long.connection, true), 0);
    assert!(long.is_committed(0, true));
    expected.insert(long.producer.id);
    let mut found = (Vec::new(), 0);
    wait_until("all markers", || {
        found = committed(&mut connection, &deals);
        found.1 == look_up(&mut connection, &deals, 0, -1).offset
    });
    assert_eq!(found.0.len(), expected.len(), "each of them once");
    assert_eq!(found.0.into_iter().collect::<BTreeSet<_>>(), expected);

    send(300..400);
    sending.finish();
    groups.iter_mut().for_each(|group| group.wait_for("the groups again", 400));
    let mut all = Vec::new();
    for partition in 0..2 {
        let stored = read_all(&mut connection, &flow, partition);
        let batches = batches(&stored);
        let numbers: Vec<u32> = batches.iter().flat_map(|batch| batch.values()).map(number).collect();
        assert!(numbers.is_sorted(), "{numbers:?}");
        all.extend(numbers);
    }
    all.sort_unstable();
    assert_eq!(all, (0..400).collect::<Vec<_>>(), "each record once");
}

#[test]
fn a_stop_longer_than_every_timeout_loses_nothing_and_decides_once() {
    stopped_for(Duration::from_secs(4), "2000", 2000);
}

#[test]
#[ignore = "takes more than a minute"]
fn a_stop_of_a_minute_with_the_timeouts_of_clients_loses_nothing_and_decides_once() {
    stopped_for(Duration::from_secs(65), "45000", 60_000);
}
