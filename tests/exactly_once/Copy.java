// A consume-transform-produce application on the Java client: Copy BOOTSTRAP GROUP INPUT OUTPUT.
// It copies until it is killed, in transactions that also commit its position.

import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Copy {
    public static void main(String[] arguments) {
        while (true) {
            try (KafkaConsumer<byte[], byte[]> consumer = consumer(arguments[0], arguments[1]);
                    KafkaProducer<byte[], byte[]> producer = producer(arguments[0], arguments[1])) {
                retried(producer::initTransactions);
                consumer.subscribe(List.of(arguments[2]));
                while (true) {
                    copy(consumer, producer, arguments[3]);
                }
            } catch (KafkaException error) {
                // A new producer fences whatever the old one left behind.
                System.err.println("starting over: " + error);
            }
        }
    }

    static void copy(KafkaConsumer<byte[], byte[]> consumer, KafkaProducer<byte[], byte[]> producer, String target) {
        ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(500));
        if (records.isEmpty()) {
            return;
        }
        producer.beginTransaction();
        Map<TopicPartition, OffsetAndMetadata> ends = new HashMap<>();
        for (ConsumerRecord<byte[], byte[]> record : records) {
            producer.send(new ProducerRecord<>(target, record.partition(), record.key(), record.value()));
            ends.put(
                    new TopicPartition(record.topic(), record.partition()),
                    new OffsetAndMetadata(record.offset() + 1));
        }
        retried(() -> producer.sendOffsetsToTransaction(ends, consumer.groupMetadata()));
        retried(producer::commitTransaction);
    }

    // These calls may be repeated after a timeout; anything else ends the producer.
    static void retried(Runnable action) {
        while (true) {
            try {
                action.run();
                return;
            } catch (TimeoutException error) {
                System.err.println("again: " + error);
            }
        }
    }

    static KafkaConsumer<byte[], byte[]> consumer(String bootstrap, String group) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("group.id", group);
        properties.put("enable.auto.commit", "false");
        properties.put("isolation.level", "read_committed");
        properties.put("auto.offset.reset", "earliest");
        properties.put("max.poll.records", "100");
        properties.put("session.timeout.ms", "6000");
        properties.put("heartbeat.interval.ms", "1000");
        properties.put("reconnect.backoff.max.ms", "500");
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static KafkaProducer<byte[], byte[]> producer(String bootstrap, String group) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("transactional.id", group);
        properties.put("transaction.timeout.ms", "20000");
        properties.put("max.block.ms", "10000");
        properties.put("reconnect.backoff.max.ms", "500");
        return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }
}
