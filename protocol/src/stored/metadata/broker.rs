//! Brokers and controllers.

use uuid::Uuid;

use crate::stored::schema::schema;

schema! {
    /// `RegisterBrokerRecord`, versions 0 to 4, written as 3.
    pub struct RegisterBrokerRecord {
        /// Node id of the broker.
        broker_id: i32;
        /// Whether the broker still ran on ZooKeeper.
        is_migrating_zk_broker: bool [2..];
        /// Drawn anew at each start of the process.
        incarnation_id: Uuid;
        /// Offset of this record in the metadata log.
        broker_epoch: i64;
        /// Listeners, each with its advertised address.
        end_points: Vec<BrokerEndpoint>;
        /// Feature levels that the broker can run.
        features: Vec<BrokerFeature>;
        /// Rack of the broker.
        rack: Option<String>;
        /// Whether the broker is fenced: registered, but not yet in service.
        fenced: bool = true;
        /// Whether the broker is about to leave.
        in_controlled_shutdown: bool [1..];
        @tags {
            /// Ids of its log directories that are online.
            @0 log_dirs: Vec<Uuid> [3..];
            /// Ids of its log directories that take no new partitions (Kafka 4.3).
            @1 cordoned_log_dirs: Option<Vec<Uuid>> [4..];
        }
    }

    /// A listener of a broker or a controller.
    pub struct BrokerEndpoint {
        /// Name of the listener.
        name: String;
        /// Advertised host.
        host: String;
        /// Advertised port.
        port: u16;
        /// 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
        security_protocol: i16;
    }

    /// A range of feature levels.
    pub struct BrokerFeature {
        /// Name of the feature.
        name: String;
        /// Lowest level that the node can run.
        min_supported_version: i16;
        /// Highest level that the node can run.
        max_supported_version: i16;
    }

    /// `UnregisterBrokerRecord`, version 0.
    pub struct UnregisterBrokerRecord {
        /// Node id of the broker.
        broker_id: i32;
        /// Epoch of its registration.
        broker_epoch: i64;
    }

    /// `FenceBrokerRecord`, version 0.
    pub struct FenceBrokerRecord {
        /// Node id of the broker.
        id: i32;
        /// Epoch of its registration.
        epoch: i64;
    }

    /// `UnfenceBrokerRecord`, version 0.
    pub struct UnfenceBrokerRecord {
        /// Node id of the broker.
        id: i32;
        /// Epoch of its registration.
        epoch: i64;
    }

    /// `BrokerRegistrationChangeRecord`, versions 0 to 3, written in the oldest that can hold it.
    pub struct BrokerRegistrationChangeRecord {
        /// Node id of the broker.
        broker_id: i32;
        /// Epoch of its registration.
        broker_epoch: i64;
        @tags {
            /// 1 the broker is fenced, -1 it is unfenced, 0 no change.
            @0 fenced: i8;
            /// 1 the broker begins a controlled shutdown, 0 no change.
            @1 in_controlled_shutdown: i8 [1..];
            /// Ids of all its log directories that are online; empty for no change.
            @2 log_dirs: Vec<Uuid> [2..];
            /// Ids of its log directories that take no new partitions (Kafka 4.3); none for no change.
            @3 cordoned_log_dirs: Option<Vec<Uuid>> [3..];
        }
    }

    /// `RegisterControllerRecord`, version 0.
    pub struct RegisterControllerRecord {
        /// Node id of the controller.
        controller_id: i32;
        /// Drawn anew at each start of the process.
        incarnation_id: Uuid;
        /// Whether the controller is set up to migrate from ZooKeeper.
        zk_migration_ready: bool;
        /// Listeners, each with its advertised address.
        end_points: Vec<BrokerEndpoint>;
        /// Feature levels that the controller can run.
        features: Vec<BrokerFeature>;
    }
}
