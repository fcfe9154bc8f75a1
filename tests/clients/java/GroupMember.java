// A process that is a member of several groups: GroupMember BOOTSTRAP RANK java:KIND ..., which tells what it owns and
// has seen as ../group_member.py does.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.CommitFailedException;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.FencedInstanceIdException;
import org.apache.kafka.common.errors.RebalanceInProgressException;
import org.apache.kafka.common.serialization.StringDeserializer;

public class GroupMember {
    static volatile boolean stopped;
    static final Map<String, String> ASSIGNORS = Map.of(
            "range", "RangeAssignor", "roundrobin", "RoundRobinAssignor", "sticky", "StickyAssignor",
            "cooperative-sticky", "CooperativeStickyAssignor", "static", "CooperativeStickyAssignor");

    public static void main(String[] arguments) throws Exception {
        List<Thread> threads = new ArrayList<>();
        for (int i = 2; i < arguments.length; i++) {
            String[] parts = arguments[i].split(":");
            Thread thread = new Thread(() -> consume(arguments[0], arguments[1], parts[0] + "-" + parts[1], parts[1]));
            thread.start();
            threads.add(thread);
        }
        while (System.in.read() >= 0) {
            // Until the end.
        }
        stopped = true;
        for (Thread thread : threads) {
            thread.join();
        }
    }

    static void tell(String group, String what) {
        System.out.println("{\"group\": \"" + group + "\", " + what + "}");
        System.out.flush();
    }

    static final class Ownership implements ConsumerRebalanceListener {
        private final String group;
        private final TreeSet<Integer> partitions = new TreeSet<>();

        Ownership(String group) {
            this.group = group;
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> gained) {
            gained.forEach(one -> partitions.add(one.partition()));
            told();
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> lost) {
            lost.forEach(one -> partitions.remove(one.partition()));
            told();
        }

        private void told() {
            tell(group, "\"owned\": " + partitions + ", \"at\": " + System.currentTimeMillis() / 1000.0);
        }
    }

    static void consume(String bootstrap, String rank, String group, String kind) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("group.id", group);
        properties.put("enable.auto.commit", "false");
        properties.put("auto.offset.reset", "earliest");
        properties.put("fetch.max.wait.ms", "100");
        if (kind.equals("consumer")) {
            properties.put("group.protocol", "consumer");
        } else {
            properties.put("session.timeout.ms", "6000");
            properties.put("heartbeat.interval.ms", "500");
            properties.put("partition.assignment.strategy", "org.apache.kafka.clients.consumer." + ASSIGNORS.get(kind));
        }
        if (kind.equals("static")) {
            properties.put("group.instance.id", rank);
        }
        while (!stopped) {
            try (KafkaConsumer<String, String> consumer =
                    new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer())) {
                consumer.subscribe(List.of(group), new Ownership(group));
                while (!stopped) {
                    ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
                    if (records.isEmpty()) {
                        continue;
                    }
                    List<String> values = new ArrayList<>();
                    for (ConsumerRecord<String, String> record : records) {
                        values.add(record.value());
                    }
                    tell(group, "\"seen\": [" + values.stream().collect(Collectors.joining(",")) + "]");
                    try {
                        consumer.commitSync();
                    } catch (CommitFailedException | RebalanceInProgressException error) {
                        // Another member has the partitions now.
                    }
                }
            } catch (FencedInstanceIdException error) {
                // It was paused for so long that another one came in its place: only a new member can go on.
                System.err.println(group + ": " + error);
            }
        }
    }
}
