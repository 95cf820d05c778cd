import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import java.util.stream.IntStream;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.testcontainers.containers.GenericContainer;
import org.testcontainers.kafka.ConfluentKafkaContainer;
import org.testcontainers.kafka.KafkaContainer;
import org.testcontainers.redpanda.RedpandaContainer;
import org.testcontainers.utility.DockerImageName;

/** Drives the Kafka modules of Testcontainers for Java, with a client of the same language: Modules [MODULE..] */
class Modules {
    public static void main(String[] names) throws Exception {
        Map<String, Runnable> modules = new LinkedHashMap<>();
        modules.put("apache", () -> drive(new KafkaContainer("apache/kafka:4.1.1"), KafkaContainer::getBootstrapServers));
        modules.put("native", () -> drive(new KafkaContainer("apache/kafka-native:4.1.1"), KafkaContainer::getBootstrapServers));
        modules.put("confluent", () ->
            drive(new ConfluentKafkaContainer("confluentinc/cp-kafka:8.0.0"), ConfluentKafkaContainer::getBootstrapServers));
        modules.put("substitute", () ->
            drive(new KafkaContainer(DockerImageName.parse("milena-kafka:1").asCompatibleSubstituteFor("apache/kafka"))
                .withListener("kafka:19092"), KafkaContainer::getBootstrapServers));
        modules.put("deprecated-zookeeper", () ->
            drive(old("confluentinc/cp-kafka:6.2.1"), org.testcontainers.containers.KafkaContainer::getBootstrapServers));
        modules.put("deprecated-kraft", () ->
            drive(old("confluentinc/cp-kafka:7.4.0").withKraft(), org.testcontainers.containers.KafkaContainer::getBootstrapServers));
        modules.put("redpanda", () ->
            drive(new RedpandaContainer("docker.redpanda.com/redpandadata/redpanda:v23.1.2"), RedpandaContainer::getBootstrapServers));
        for (String name : names.length == 0 ? modules.keySet() : List.of(names)) {
            modules.get(name).run();
            System.out.println("ok " + name);
        }
    }

    @SuppressWarnings("deprecation")
    private static org.testcontainers.containers.KafkaContainer old(String image) {
        return new org.testcontainers.containers.KafkaContainer(DockerImageName.parse(image));
    }

    private static <C extends GenericContainer<?>> void drive(C container, Function<C, String> bootstrap) {
        try (container) {
            container.start();
            exchange(bootstrap.apply(container));
        } catch (RuntimeException | Error failure) {
            System.err.println(container.getContainerId() == null ? "" : container.getLogs());
            throw failure;
        }
    }

    /** What is produced is consumed, by a group. */
    private static void exchange(String bootstrap) {
        List<String> written = IntStream.range(0, 10).mapToObj(number -> "order " + number).toList();
        Map<String, Object> to = Map.of("bootstrap.servers", bootstrap, "delivery.timeout.ms", 20000, "request.timeout.ms", 10000,
            "linger.ms", 0);
        try (var producer = new KafkaProducer<>(to, new StringSerializer(), new StringSerializer())) {
            var sent = written.stream().map(value -> producer.send(new ProducerRecord<>("orders", "key", value))).toList();
            for (var record : sent) record.get();
        } catch (Exception failure) {
            throw new AssertionError(failure);
        }
        Map<String, Object> from = Map.of("bootstrap.servers", bootstrap, "group.id", "readers", "auto.offset.reset", "earliest");
        List<String> read = new ArrayList<>();
        try (var consumer = new KafkaConsumer<>(from, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("orders"));
            while (read.size() < written.size()) {
                var records = consumer.poll(Duration.ofSeconds(20));
                if (records.isEmpty()) throw new AssertionError("nothing more after " + read);
                records.forEach(record -> read.add(record.value()));
            }
        }
        if (!read.equals(written)) throw new AssertionError(read);
    }
}
