//! Drives the Kafka modules of Testcontainers for Rust, with a client of the same language.

use rskafka::chrono::DateTime;
use rskafka::client::ClientBuilder;
use rskafka::client::partition::{Compression, UnknownTopicHandling};
use rskafka::record::Record;
use std::collections::BTreeMap;
use std::error::Error;
use testcontainers_modules::kafka::{apache, confluent};
use testcontainers_modules::testcontainers::core::ContainerPort;
use testcontainers_modules::testcontainers::runners::AsyncRunner;
use testcontainers_modules::testcontainers::{ContainerAsync, Image};

type Outcome = Result<(), Box<dyn Error>>;

#[tokio::main]
async fn main() -> Outcome {
    drive("apache", apache::Kafka::default().with_jvm_image(), apache::KAFKA_PORT).await?;
    drive("apache-native", apache::Kafka::default(), apache::KAFKA_PORT).await?;
    drive("confluent", confluent::Kafka::default(), confluent::KAFKA_PORT).await
}

async fn drive<I: Image>(name: &str, image: I, port: ContainerPort) -> Outcome {
    let container: ContainerAsync<I> = image.start().await?;
    let port = container.get_host_port_ipv4(port).await?;
    if let Err(error) = exchange(&format!("127.0.0.1:{port}")).await {
        eprintln!("{}", String::from_utf8_lossy(&container.stdout_to_vec().await?));
        return Err(error);
    }
    container.stop().await?;
    println!("ok {name}");
    Ok(())
}

/// What is produced is consumed. The client knows no groups.
async fn exchange(bootstrap: &str) -> Outcome {
    let client = ClientBuilder::new(vec![bootstrap.to_owned()]).build().await?;
    client.controller_client()?.create_topic("orders", 1, 1, 5_000).await?;
    let partition = client.partition_client("orders", 0, UnknownTopicHandling::Retry).await?;
    let record = |number| Record {
        key: None,
        value: Some(format!("order {number}").into_bytes()),
        headers: BTreeMap::new(),
        timestamp: DateTime::UNIX_EPOCH,
    };
    let written: Vec<_> = (0..10).map(record).collect();
    partition.produce(written.clone(), Compression::NoCompression).await?;
    let (read, end) = partition.fetch_records(0, 1..1_000_000, 5_000).await?;
    let values = |records: Vec<Record>| records.into_iter().map(|record| record.value).collect::<Vec<_>>();
    if end != 10 || values(read.into_iter().map(|read| read.record).collect()) != values(written) {
        return Err(format!("what is read up to {end} is not what was written").into());
    }
    Ok(())
}
