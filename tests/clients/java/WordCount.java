// Kafka Streams word counts: WordCount BOOTSTRAP STATE-DIRECTORY INPUT NAME:GUARANTEE:PROTOCOL...
// Each application reads lines, keeps a count of each word in a state store and writes every change of it as text to
// the topic of its name. They print their states, and end when standard input does.

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.common.errors.UnsupportedVersionException;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.kstream.Produced;

public class WordCount {
    public static void main(String[] arguments) throws Exception {
        List<KafkaStreams> applications = new ArrayList<>();
        for (String application : Arrays.asList(arguments).subList(3, arguments.length)) {
            String[] parts = application.split(":");
            Properties properties = new Properties();
            properties.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, arguments[0]);
            properties.put(StreamsConfig.STATE_DIR_CONFIG, arguments[1]);
            properties.put(StreamsConfig.APPLICATION_ID_CONFIG, parts[0]);
            properties.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, parts[1]);
            properties.put(StreamsConfig.GROUP_PROTOCOL_CONFIG, parts[2]);
            properties.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, "2");
            properties.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, "200");
            properties.put("reconnect.backoff.max.ms", "500");
            applications.add(start(parts[0], arguments[2], properties));
        }
        while (System.in.read() >= 0) {
            // Until the end.
        }
        for (KafkaStreams streams : applications) {
            System.out.println("closed: " + streams.close(Duration.ofSeconds(30)));
        }
    }

    static KafkaStreams start(String name, String input, Properties properties) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(input, Consumed.with(Serdes.String(), Serdes.String()))
                .flatMapValues(line -> Arrays.asList(line.split(" ")))
                .groupBy((key, word) -> word, Grouped.with(Serdes.String(), Serdes.String()))
                .count(Materialized.as("counts"))
                .toStream()
                .mapValues(count -> Long.toString(count))
                .to(name, Produced.with(Serdes.String(), Serdes.String()));
        KafkaStreams streams = new KafkaStreams(builder.build(), properties);
        streams.setUncaughtExceptionHandler(error -> {
            System.out.println(name + " failed: " + error);
            return error.getCause() instanceof UnsupportedVersionException
                    ? StreamThreadExceptionResponse.SHUTDOWN_CLIENT
                    : StreamThreadExceptionResponse.REPLACE_THREAD;
        });
        streams.setStateListener((state, before) -> System.out.println(name + " is " + state));
        streams.start();
        return streams;
    }
}
