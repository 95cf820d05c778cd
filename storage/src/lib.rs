//! Partition logs on disk, in the file formats of Apache Kafka 4.1. Blocking; knows no requests and no error codes.
