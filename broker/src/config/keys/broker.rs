//! Who this broker is, and how topics come into being.

use crate::config::key::{Key, Valid, boolean, class, int, list, long, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    class("alter.config.policy.class.name", None)
        .doc("Java class that judges config changes; not loaded."),
    boolean("auto.create.topics.enable", Some("true")).honoured()
        .doc("Whether a topic that a client asks for is created."),
    int("broker.heartbeat.interval.ms", Some("2000"))
        .doc("Milliseconds between heartbeats of a broker to the controller."),
    int("broker.id", Some("-1")).honoured()
        .doc("Older name of node.id, used when node.id is not set; -1 leaves it unset."),
    string("broker.rack", None).honoured()
        .doc("Rack or zone of this broker, handed to clients that prefer near replicas."),
    int("broker.session.timeout.ms", Some("9000"))
        .doc("Milliseconds without a heartbeat after which a broker is fenced."),
    string("controller.listener.names", None).honoured()
        .doc("Comma-separated names of the listeners for clients that ask the controller."),
    list("controller.quorum.bootstrap.servers", Some("")).valid(Valid::Servers).honoured()
        .doc("host:port addresses of controllers. Without controller.quorum.voters, a new cluster keeps its voters in the metadata log."),
    list("controller.quorum.voters", Some("")).valid(Valid::Voters).honoured()
        .doc("id@host:port of every controller; milena accepts itself as the only voter."),
    class("create.topic.policy.class.name", None)
        .doc("Java class that judges new topics; not loaded."),
    int("default.replication.factor", Some("1")).honoured()
        .doc("Replicas of a topic created without saying how many."),
    boolean("delete.topic.enable", Some("true")).honoured()
        .doc("Whether topics may be deleted."),
    string("early.start.listeners", None).honoured()
        .doc("Names of listeners that open before the authorizer is ready; all open at once."),
    int("initial.broker.registration.timeout.ms", Some("60000"))
        .doc("Milliseconds a broker waits to be registered before it gives up."),
    int("node.id", None).at_least(0).honoured()
        .doc("Number of this node in the cluster, 0 or more."),
    int("num.partitions", Some("1")).at_least(1).honoured()
        .doc("Partitions of a topic created without saying how many, at least 1."),
    list("process.roles", None).valid(Valid::EachOf(&["broker", "controller"])).honoured()
        .doc("Roles of this process: broker, controller or both."),
    long("server.max.startup.time.ms", Some("9223372036854775807")).at_least(0).internal()
        .doc("Most milliseconds a start may take."),
];
