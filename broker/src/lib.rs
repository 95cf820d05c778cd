//! milena: an Apache Kafka compatible broker.
