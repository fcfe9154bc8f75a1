import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;

/**
 * A broker for tests: the program `pybroker` on a free port, in memory. With JUnit:
 *
 * <pre>
 *   static PybrokerProcess broker;
 *   &#64;BeforeAll static void start() throws Exception { broker = new PybrokerProcess(); }
 *   &#64;AfterAll static void stop() throws Exception { broker.close(); }
 * </pre>
 */
public final class PybrokerProcess implements AutoCloseable {
    public final String bootstrapServers;
    private final Process process;
    private final Path directory;

    public PybrokerProcess(String... properties) throws IOException, InterruptedException {
        directory = Files.createTempDirectory("pybroker");
        Path ready = directory.resolve("ready");
        var command = new java.util.ArrayList<String>();
        String program = System.getenv().getOrDefault("PYBROKER", "pybroker");
        command.addAll(java.util.List.of(program, "start", "--in-memory", "--listen", "127.0.0.1:0"));
        command.addAll(java.util.List.of("--ready-file", ready.toString()));
        for (String property : properties) {
            command.addAll(java.util.List.of("--set", property));
        }
        File log = directory.resolve("log").toFile();
        process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log).start();
        // A test run that is interrupted must not leave it behind.
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly));
        // The file appears whole, and only when connections are accepted.
        while (!Files.exists(ready)) {
            if (process.waitFor(10, TimeUnit.MILLISECONDS)) {
                throw new IOException("pybroker ended: " + Files.readString(log.toPath()));
            }
        }
        bootstrapServers = Files.readString(ready).strip();
    }

    @Override
    public void close() throws IOException, InterruptedException {
        process.destroy();
        if (!process.waitFor(30, TimeUnit.SECONDS)) {
            process.destroyForcibly();
        }
        for (String name : new String[] {"ready", "log"}) {
            Files.deleteIfExists(directory.resolve(name));
        }
        Files.delete(directory);
    }
}
