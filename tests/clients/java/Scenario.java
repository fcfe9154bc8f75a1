// The Java client, and Kafka's command-line tools in this one JVM, behind the interface of ../programs.md.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.lang.reflect.InvocationTargetException;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeClusterResult;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndTimestamp;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.Exit;
import org.apache.kafka.image.MetadataDelta;
import org.apache.kafka.image.MetadataImage;
import org.apache.kafka.image.loader.LoaderManifest;
import org.apache.kafka.image.loader.MetadataLoader;
import org.apache.kafka.image.publisher.MetadataPublisher;
import org.apache.kafka.metadata.util.SnapshotFileReader;
import org.apache.kafka.server.config.DefaultSupportedConfigChecker;
import org.apache.kafka.server.fault.FaultHandler;
import org.apache.kafka.shell.command.Commands;
import org.apache.kafka.shell.state.MetadataShellPublisher;
import org.apache.kafka.shell.state.MetadataShellState;

public class Scenario {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final int LIMIT = 16 * 1024 * 1024;
    private static final Map<String, Admin> ADMINS = new HashMap<>();

    public static void main(String[] ignored) throws Exception {
        PrintStream answers = new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8), 1 << 20);
        Tools.install();
        String line;
        while ((line = requests.readLine()) != null) {
            ObjectNode answer = JSON.createObjectNode();
            try {
                JsonNode request = JSON.readTree(line);
                answer.set("result", JSON.valueToTree(run(request)));
            } catch (Throwable error) {
                answer.put("error", String.valueOf(error));
                error.printStackTrace(Tools.realErr);
            }
            answers.println(JSON.writeValueAsString(answer));
            answers.flush();
        }
        for (Admin admin : ADMINS.values()) {
            admin.close(Duration.ofSeconds(1));
        }
        // Tools leave threads behind, which would keep the JVM alive.
        Runtime.getRuntime().halt(0);
    }

    private static Object run(JsonNode request) throws Exception {
        String op = request.get("op").asText();
        if (op.equals("tool")) {
            return Tools.run(request);
        }
        String topic = request.path("topic").asText();
        TopicPartition partition = new TopicPartition(topic, request.path("partition").asInt());
        switch (op) {
            case "create_topic":
                admin(request).createTopics(List.of(new NewTopic(topic, request.get("partitions").asInt(), (short) 1)
                        .configs(strings(request.get("configs"))))).all().get();
                return null;
            case "list_topics":
                return admin(request).listTopics().names().get();
            case "describe_topic": {
                List<Object> partitions = new ArrayList<>();
                for (TopicPartitionInfo info
                        : admin(request).describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions()) {
                    partitions.add(Map.of("partition", info.partition(), "leader", info.leader().id(),
                            "replicas", ids(info.replicas()), "isr", ids(info.isr())));
                }
                return partitions;
            }
            case "describe_config": {
                ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
                Map<String, String> values = new HashMap<>();
                for (ConfigEntry entry : admin(request).describeConfigs(List.of(resource)).all().get().get(resource).entries()) {
                    values.put(entry.name(), entry.value());
                }
                return values;
            }
            case "alter_config": {
                Collection<AlterConfigOp> changes = new ArrayList<>();
                strings(request.get("configs")).forEach((name, value) ->
                        changes.add(new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET)));
                admin(request).incrementalAlterConfigs(
                        Map.of(new ConfigResource(ConfigResource.Type.TOPIC, topic), changes)).all().get();
                return null;
            }
            case "create_partitions":
                admin(request).createPartitions(
                        Map.of(topic, NewPartitions.increaseTo(request.get("total").asInt()))).all().get();
                return null;
            case "delete_records":
                return admin(request).deleteRecords(Map.of(partition,
                        RecordsToDelete.beforeOffset(request.get("offset").asLong()))).lowWatermarks().get(partition).get()
                        .lowWatermark();
            case "delete_topic":
                admin(request).deleteTopics(List.of(topic)).all().get();
                return null;
            case "describe_cluster": {
                DescribeClusterResult cluster = admin(request).describeCluster();
                List<Object> nodes = new ArrayList<>();
                for (Node node : cluster.nodes().get()) {
                    nodes.add(List.of(node.id(), node.host(), node.port()));
                }
                return Map.of("cluster_id", cluster.clusterId().get(), "controller", cluster.controller().get().id(),
                        "nodes", nodes);
            }
            case "offsets":
                try (KafkaConsumer<byte[], byte[]> consumer = consumer(request)) {
                    List<TopicPartition> one = List.of(partition);
                    return List.of(consumer.beginningOffsets(one).get(partition), consumer.endOffsets(one).get(partition));
                }
            case "offset_for_timestamp":
                try (KafkaConsumer<byte[], byte[]> consumer = consumer(request)) {
                    OffsetAndTimestamp found =
                            consumer.offsetsForTimes(Map.of(partition, request.get("timestamp").asLong())).get(partition);
                    return found == null ? -1L : found.offset();
                }
            case "produce":
                return produce(request, topic);
            case "consume":
                return consume(request, partition);
            default:
                throw new IllegalArgumentException(op);
        }
    }

    private static Admin admin(JsonNode request) {
        String bootstrap = request.get("bootstrap").asText();
        return ADMINS.computeIfAbsent(bootstrap, key -> {
            Properties properties = new Properties();
            properties.put("bootstrap.servers", key);
            return Admin.create(properties);
        });
    }

    private static KafkaConsumer<byte[], byte[]> consumer(JsonNode request) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", request.get("bootstrap").asText());
        properties.put("enable.auto.commit", "false");
        properties.put("max.partition.fetch.bytes", LIMIT);
        // A consumer that is closed waits for the fetch that is under way.
        properties.put("fetch.max.wait.ms", "50");
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    private static List<Long> produce(JsonNode request, String topic) throws Exception {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", request.get("bootstrap").asText());
        properties.put("compression.type", request.get("codec").asText());
        properties.put("enable.idempotence", request.get("idempotent").asBoolean());
        properties.put("acks", request.get("idempotent").asBoolean() ? "all" : "1");
        properties.put("max.request.size", LIMIT);
        properties.put("linger.ms", 5);
        List<Long> offsets = new ArrayList<>();
        try (KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (JsonNode record : request.get("records")) {
                ProducerRecord<byte[], byte[]> one = new ProducerRecord<>(topic, record.get("partition").asInt(),
                        record.get("timestamp").asLong(), bytes(record.get("key")), bytes(record.get("value")));
                for (JsonNode header : record.get("headers")) {
                    one.headers().add(header.get(0).asText(), bytes(header.get(1)));
                }
                sent.add(producer.send(one));
            }
            for (Future<RecordMetadata> future : sent) {
                offsets.add(future.get().offset());
            }
        }
        return offsets;
    }

    private static ArrayNode consume(JsonNode request, TopicPartition partition) throws Exception {
        int count = request.get("count").asInt();
        long offset = request.get("offset").asLong();
        ArrayNode records = JSON.createArrayNode();
        long deadline = System.currentTimeMillis() + 30_000;
        try (KafkaConsumer<byte[], byte[]> consumer = consumer(request)) {
            consumer.assign(List.of(partition));
            if (offset == -2) {
                consumer.seekToBeginning(List.of(partition));
            } else {
                consumer.seek(partition, offset);
            }
            while (records.size() < count && System.currentTimeMillis() < deadline) {
                for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(200))) {
                    ObjectNode node = records.addObject();
                    node.put("partition", record.partition());
                    node.put("offset", record.offset());
                    node.put("timestamp", record.timestamp());
                    node.put("key", record.key());
                    node.put("value", record.value());
                    ArrayNode headers = node.putArray("headers");
                    for (Header header : record.headers()) {
                        headers.addArray().add(header.key()).add(header.value());
                    }
                }
            }
        }
        return records;
    }

    private static byte[] bytes(JsonNode node) throws Exception {
        return node.isNull() ? null : node.binaryValue();
    }

    private static Map<String, String> strings(JsonNode node) {
        Map<String, String> values = new HashMap<>();
        node.fields().forEachRemaining(entry -> values.put(entry.getKey(), entry.getValue().asText()));
        return values;
    }

    private static List<Integer> ids(List<Node> nodes) {
        List<Integer> ids = new ArrayList<>();
        nodes.forEach(node -> ids.add(node.id()));
        return ids;
    }

    /**
     * Kafka's metadata shell on a log or a snapshot: its reader, loader, publisher and commands. Its own main method
     * begins with the command before the publisher has got the image of a log.
     */
    public static final class Shell {
        public static void main(String[] arguments) throws Exception {
            MetadataShellState state = new MetadataShellState();
            MetadataShellPublisher publisher = new MetadataShellPublisher(state);
            CompletableFuture<Void> published = new CompletableFuture<>();
            SnapshotFileReader[] reader = new SnapshotFileReader[1];
            FaultHandler faults = (message, cause) -> {
                RuntimeException fault = new RuntimeException(message, cause);
                published.completeExceptionally(fault);
                return fault;
            };
            try (MetadataLoader loader = new MetadataLoader.Builder().setFaultHandler(faults).setNodeId(-1)
                    .setHighWaterMarkAccessor(() -> reader[0].highWaterMark())
                    .setSupportedConfigChecker(new DefaultSupportedConfigChecker()).build();
                    SnapshotFileReader opened = new SnapshotFileReader(arguments[0], loader)) {
                reader[0] = opened;
                opened.startup();
                loader.installPublishers(List.of(new MetadataPublisher() {
                    @Override
                    public String name() {
                        return "shell";
                    }

                    @Override
                    public void onMetadataUpdate(MetadataDelta delta, MetadataImage image, LoaderManifest manifest) {
                        publisher.onMetadataUpdate(delta, image, manifest);
                        // The end of the file may be control records, which no image tells of.
                        published.complete(null);
                    }
                })).get();
                published.get();
                PrintWriter writer = new PrintWriter(System.out);
                List<String> command = List.of(arguments).subList(1, arguments.length);
                new Commands(false).parseCommand(command).run(Optional.empty(), writer, state);
                writer.flush();
            }
        }
    }

    /** Runs the main methods of tools one after the other. */
    private static final class Tools {
        static final PrintStream realErr = System.err;
        private static volatile OutputStream out = System.err;
        private static volatile OutputStream err = System.err;
        private static volatile Integer status;
        private static final List<Runnable> hooks = new ArrayList<>();

        /** Thrown in place of an exit; an Error, since tools catch Exception around their work. */
        private static final class Exited extends Error {
            private static final long serialVersionUID = 1L;
        }

        private static void exited(int code, String message) {
            if (status == null) {
                status = code;
            }
            throw new Exited();
        }

        static void install() {
            // Scala keeps the stream it found when it was loaded, so the stream stays and its target changes.
            System.setOut(new PrintStream(new Switch(true), true, StandardCharsets.UTF_8));
            System.setErr(new PrintStream(new Switch(false), true, StandardCharsets.UTF_8));
            Exit.setExitProcedure(Tools::exited);
            Exit.setHaltProcedure(Tools::exited);
            // Some tools print their summary in a shutdown hook.
            Exit.setShutdownHookAdder((name, hook) -> hooks.add(hook));
        }

        private static final class Switch extends OutputStream {
            private final boolean standard;

            Switch(boolean standard) {
                this.standard = standard;
            }

            private OutputStream target() {
                return standard ? out : err;
            }

            @Override
            public void write(int value) throws java.io.IOException {
                target().write(value);
            }

            @Override
            public void write(byte[] buffer, int from, int length) throws java.io.IOException {
                target().write(buffer, from, length);
            }
        }

        static ObjectNode run(JsonNode request) throws Exception {
            List<String> arguments = new ArrayList<>();
            request.get("arguments").forEach(argument -> arguments.add(argument.asText()));
            ByteArrayOutputStream capturedOut = new ByteArrayOutputStream();
            ByteArrayOutputStream capturedErr = new ByteArrayOutputStream();
            InputStream input = new ByteArrayInputStream(request.path("input").asText("").getBytes(StandardCharsets.UTF_8));
            out = capturedOut;
            err = capturedErr;
            status = null;
            hooks.clear();
            System.setIn(input);
            try {
                Class.forName(request.get("className").asText()).getMethod("main", String[].class)
                        .invoke(null, (Object) arguments.toArray(new String[0]));
            } catch (InvocationTargetException error) {
                if (!(error.getCause() instanceof Exited)) {
                    error.getCause().printStackTrace(System.err);
                    status = status == null ? 1 : status;
                }
            }
            for (Runnable hook : hooks) {
                hook.run();
            }
            System.out.flush();
            System.err.flush();
            out = realErr;
            err = realErr;
            ObjectNode result = JSON.createObjectNode();
            result.put("status", status == null ? 0 : status);
            result.put("out", capturedOut.toString(StandardCharsets.UTF_8));
            result.put("err", capturedErr.toString(StandardCharsets.UTF_8));
            return result;
        }
    }
}
