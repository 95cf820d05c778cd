//! The cluster as a whole: features, quotas, producer ids, transactions of the metadata log itself.

use crate::stored::schema::schema;

schema! {
    /// `FeatureLevelRecord`, version 0.
    pub struct FeatureLevelRecord {
        /// Name of the feature.
        name: String;
        /// Its level; 0 removes the feature.
        feature_level: i16;
    }

    /// `ClientQuotaRecord`, version 0.
    pub struct ClientQuotaRecord {
        /// Whom the quota is for; all parts must match.
        entity: Vec<ClientQuotaEntity>;
        /// Name of the quota, such as `producer_byte_rate`.
        key: String;
        /// The limit.
        value: f64;
        /// Whether the quota is removed rather than set.
        remove: bool;
    }

    /// One part of the entity that a quota is for.
    pub struct ClientQuotaEntity {
        /// `user`, `client-id` or `ip`.
        entity_type: String;
        /// Its name; none for the default.
        entity_name: Option<String>;
    }

    /// `ProducerIdsRecord`, version 0.
    pub struct ProducerIdsRecord {
        /// Broker that gets the block.
        broker_id: i32;
        /// Epoch of its registration.
        broker_epoch: i64 = -1;
        /// First id of the next block.
        next_producer_id: i64;
    }

    /// `NoOpRecord`, version 0.
    pub struct NoOpRecord {}

    /// `ZkMigrationStateRecord`, version 0.
    pub struct ZkMigrationStateRecord {
        /// 0 none, 1 pre-migration, 2 migrating, 3 post-migration.
        zk_migration_state: i8;
    }

    /// `BeginTransactionRecord`, version 0.
    pub struct BeginTransactionRecord {
        @tags {
            /// What the transaction is for.
            @0 name: Option<String>;
        }
    }

    /// `EndTransactionRecord`, version 0.
    pub struct EndTransactionRecord {}

    /// `AbortTransactionRecord`, version 0.
    pub struct AbortTransactionRecord {
        @tags {
            /// Why the transaction is void.
            @0 reason: Option<String>;
        }
    }
}
