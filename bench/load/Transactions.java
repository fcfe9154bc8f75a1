// Transactional producers of the Java client: Transactions BOOTSTRAP TOPIC PRODUCERS WARM-SECONDS SECONDS.
// Each writes one record a transaction to a partition of its own and commits, in step; what is done in the second span
// is counted.

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.Callable;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;

public class Transactions {
    public static void main(String[] arguments) throws Exception {
        int producers = Integer.parseInt(arguments[2]);
        long warm = (long) (Double.parseDouble(arguments[3]) * 1e9);
        long measured = (long) (Double.parseDouble(arguments[4]) * 1e9);
        CyclicBarrier together = new CyclicBarrier(producers);
        ExecutorService threads = Executors.newFixedThreadPool(producers);
        List<Callable<long[]>> work = new ArrayList<>();
        List<Double> latencies = Collections.synchronizedList(new ArrayList<>());
        for (int i = 0; i < producers; i++) {
            int number = i;
            work.add(() -> {
                try (KafkaProducer<byte[], byte[]> producer = producer(arguments[0], arguments[1] + "-" + number)) {
                    ProducerRecord<byte[], byte[]> record =
                            new ProducerRecord<>(arguments[1], number, null, new byte[100]);
                    producer.initTransactions();
                    together.await();
                    long start = System.nanoTime() + warm;
                    long end = start + measured;
                    long all = 0;
                    long counted = 0;
                    for (long now = System.nanoTime(); now < end; all++) {
                        producer.beginTransaction();
                        producer.send(record);
                        producer.commitTransaction();
                        long done = System.nanoTime();
                        if (now >= start && done <= end) {
                            counted++;
                            latencies.add((done - now) / 1e6);
                        }
                        now = done;
                    }
                    return new long[] {all, counted};
                }
            });
        }
        long all = 0;
        long counted = 0;
        for (Future<long[]> result : threads.invokeAll(work)) {
            all += result.get()[0];
            counted += result.get()[1];
        }
        threads.shutdown();
        Collections.sort(latencies);
        System.out.printf(
                "{\"transactions_per_s\": %.3f, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"total\": %d}%n",
                counted / (measured / 1e9), at(latencies, 0.5), at(latencies, 0.99), all);
    }

    static double at(List<Double> sorted, double share) {
        return sorted.get((int) (sorted.size() * share));
    }

    static KafkaProducer<byte[], byte[]> producer(String bootstrap, String name) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", bootstrap);
        properties.put("transactional.id", name);
        properties.put("linger.ms", "0");
        return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }
}
