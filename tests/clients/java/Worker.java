// A worker of tests/checker on the Java client: the operations of ../../checker/programs.md.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerGroupMetadata;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.AuthorizationException;
import org.apache.kafka.common.errors.OutOfOrderSequenceException;
import org.apache.kafka.common.errors.ProducerFencedException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Worker {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final List<Object> delivered = new ArrayList<>();
    private static final List<Object> rebalanced = new ArrayList<>();
    private static KafkaProducer<String, String> producer;
    private static KafkaConsumer<String, String> consumer;

    public static void main(String[] ignored) throws Exception {
        PrintStream answers = System.out;
        System.setOut(System.err);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        String line;
        while ((line = requests.readLine()) != null) {
            ObjectNode answer = JSON.createObjectNode();
            answer.putNull("value");
            try {
                answer.set("value", JSON.valueToTree(run(JSON.readTree(line))));
            } catch (KafkaException | IllegalStateException error) {
                answer.put("failed", String.valueOf(error));
                answer.put("retriable", error instanceof TimeoutException);
                answer.put("abortable", error instanceof KafkaException && !(error instanceof TimeoutException
                        || error instanceof ProducerFencedException || error instanceof OutOfOrderSequenceException
                        || error instanceof AuthorizationException));
            }
            synchronized (delivered) {
                answer.set("delivered", JSON.valueToTree(delivered));
                delivered.clear();
            }
            answer.set("rebalanced", JSON.valueToTree(rebalanced));
            rebalanced.clear();
            answers.println("{\"result\": " + JSON.writeValueAsString(answer) + "}");
            answers.flush();
        }
        Runtime.getRuntime().halt(0);
    }

    private static Object run(JsonNode request) {
        switch (request.get("op").asText()) {
            case "open":
                open(request);
                return null;
            case "init":
                producer.initTransactions();
                return null;
            case "begin":
                producer.beginTransaction();
                return null;
            case "send": {
                int number = request.get("number").asInt();
                producer.send(
                        new ProducerRecord<>(request.get("topic").asText(), request.get("partition").asInt(), null,
                                request.get("value").asText()),
                        (metadata, error) -> {
                            if (error == null) {
                                synchronized (delivered) {
                                    delivered.add(List.of(number, metadata.offset()));
                                }
                            } else {
                                System.err.println("not delivered: " + error);
                            }
                        });
                return null;
            }
            case "flush":
                producer.flush();
                return null;
            case "poll": {
                List<Object> records = new ArrayList<>();
                for (ConsumerRecord<String, String> one : consumer.poll(Duration.ofMillis(request.get("ms").asInt()))) {
                    records.add(List.of(one.topic(), one.partition(), one.offset(), Integer.parseInt(one.value())));
                }
                return records;
            }
            case "assign": {
                Map<TopicPartition, Long> offsets = positions(request);
                consumer.assign(offsets.keySet());
                offsets.forEach((partition, offset) -> {
                    if (offset >= 0) {
                        consumer.seek(partition, offset);
                    }
                });
                return null;
            }
            case "subscribe": {
                List<String> topics = new ArrayList<>();
                request.get("topics").forEach(topic -> topics.add(topic.asText()));
                consumer.subscribe(topics, new ConsumerRebalanceListener() {
                    @Override
                    public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
                        changed(partitions);
                    }

                    @Override
                    public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
                        changed(partitions);
                    }
                });
                return null;
            }
            case "unsubscribe":
                consumer.unsubscribe();
                return null;
            case "position": {
                List<Object> found = new ArrayList<>();
                for (TopicPartition partition : positions(request).keySet()) {
                    long offset = -1;
                    try {
                        offset = consumer.position(partition, Duration.ofMillis(500));
                    } catch (TimeoutException unknown) {
                        // It starts where the group is.
                    }
                    found.add(Map.of("topic", partition.topic(), "partition", partition.partition(), "offset", offset));
                }
                return found;
            }
            case "seek":
                positions(request).forEach(consumer::seek);
                return null;
            case "commit_positions":
                consumer.commitSync(committed(request));
                return null;
            case "offsets":
                // After it has left, the consumer still tells what it was as a member.
                producer.sendOffsetsToTransaction(committed(request), consumer.subscription().isEmpty()
                        ? new ConsumerGroupMetadata("workers")
                        : consumer.groupMetadata());
                return null;
            case "commit":
                producer.commitTransaction();
                return null;
            case "abort":
                producer.abortTransaction();
                return null;
            default:
                throw new IllegalArgumentException(request.toString());
        }
    }

    private static void changed(Collection<TopicPartition> partitions) {
        partitions.forEach(one -> rebalanced.add(Map.of("topic", one.topic(), "partition", one.partition())));
    }

    private static Map<TopicPartition, Long> positions(JsonNode request) {
        Map<TopicPartition, Long> found = new HashMap<>();
        for (JsonNode one : request.get("positions")) {
            found.put(new TopicPartition(one.get("topic").asText(), one.get("partition").asInt()),
                    one.get("offset").asLong());
        }
        return found;
    }

    private static Map<TopicPartition, OffsetAndMetadata> committed(JsonNode request) {
        Map<TopicPartition, OffsetAndMetadata> found = new HashMap<>();
        positions(request).forEach((partition, offset) -> found.put(partition, new OffsetAndMetadata(offset)));
        return found;
    }

    private static void open(JsonNode request) {
        Properties shared = new Properties();
        shared.put("bootstrap.servers", request.get("bootstrap").asText());
        shared.put("reconnect.backoff.max.ms", "300");
        shared.put("request.timeout.ms", "3000");
        shared.put("default.api.timeout.ms", "8000");
        Properties ofProducer = new Properties();
        ofProducer.putAll(shared);
        ofProducer.put("acks", "all");
        ofProducer.put("enable.idempotence", "true");
        ofProducer.put("linger.ms", "0");
        ofProducer.put("delivery.timeout.ms", "6000");
        ofProducer.put("max.block.ms", "8000");
        String id = request.get("transactional").asText();
        if (!id.isEmpty()) {
            ofProducer.put("transactional.id", id);
            ofProducer.put("transaction.timeout.ms", "6000");
        }
        producer = new KafkaProducer<>(ofProducer, new StringSerializer(), new StringSerializer());
        Properties ofConsumer = new Properties();
        ofConsumer.putAll(shared);
        ofConsumer.put("group.id", "workers");
        ofConsumer.put("enable.auto.commit", "false");
        ofConsumer.put("isolation.level", "read_committed");
        ofConsumer.put("auto.offset.reset", "earliest");
        ofConsumer.put("session.timeout.ms", "3000");
        ofConsumer.put("heartbeat.interval.ms", "500");
        ofConsumer.put("max.poll.interval.ms", "30000");
        ofConsumer.put("max.poll.records", "50");
        ofConsumer.put("fetch.max.wait.ms", "50");
        consumer = new KafkaConsumer<>(ofConsumer, new StringDeserializer(), new StringDeserializer());
    }
}
