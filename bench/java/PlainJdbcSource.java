// The least that a JDBC source for Kafka Connect does: reads a table by its id with a server-side cursor and makes
// a Struct of each row. A yardstick for the source of this project: the Java connectors do all of this, and more.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.connect.connector.Task;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.source.SourceConnector;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.source.SourceTask;

public class PlainJdbcSource extends SourceConnector {
    private Map<String, String> props;

    public String version() { return "1"; }
    public void start(Map<String, String> props) { this.props = props; }
    public Class<? extends Task> taskClass() { return Reader.class; }
    public List<Map<String, String>> taskConfigs(int maxTasks) { return List.of(props); }
    public void stop() {}
    public ConfigDef config() { return new ConfigDef(); }

    public static class Reader extends SourceTask {
        private static final Schema TEXT = Schema.OPTIONAL_STRING_SCHEMA;
        private static final Schema ROW = SchemaBuilder.struct().name("bench_rows")
            .field("id", Schema.INT64_SCHEMA).field("customer", Schema.OPTIONAL_INT32_SCHEMA)
            .field("name", TEXT).field("city", TEXT).field("email", TEXT)
            .field("active", Schema.OPTIONAL_BOOLEAN_SCHEMA).field("score", Schema.OPTIONAL_FLOAT64_SCHEMA)
            .field("amount", Schema.OPTIONAL_FLOAT64_SCHEMA).field("note", TEXT)
            .field("at", Timestamp.builder().optional().build()).build();
        private final Map<String, String> partition = Map.of("table", "bench_rows", "protocol", "1");
        private String topic;
        private Connection connection;
        private ResultSet rows;

        public String version() { return "1"; }

        public void start(Map<String, String> props) {
            topic = props.get("topic.prefix") + "bench_rows";
            try {
                connection = DriverManager.getConnection(
                    props.get("connection.url"), props.get("connection.user"), props.get("connection.password"));
                connection.setAutoCommit(false);
                PreparedStatement select = connection.prepareStatement(
                    "SELECT id, customer, name, city, email, active, score, amount, note, at FROM bench_rows "
                    + "WHERE id > ? ORDER BY id");
                select.setLong(1, -1);
                select.setFetchSize(2000);
                rows = select.executeQuery();
            } catch (SQLException error) {
                throw new RuntimeException(error);
            }
        }

        public List<SourceRecord> poll() throws InterruptedException {
            List<SourceRecord> batch = new ArrayList<>();
            try {
                while (batch.size() < 2000 && rows.next()) {
                    long id = rows.getLong(1);
                    Struct row = new Struct(ROW).put("id", id).put("customer", rows.getInt(2))
                        .put("name", rows.getString(3)).put("city", rows.getString(4))
                        .put("email", rows.getString(5)).put("active", rows.getBoolean(6))
                        .put("score", rows.getDouble(7)).put("amount", rows.getDouble(8))
                        .put("note", rows.getString(9)).put("at", rows.getTimestamp(10));
                    batch.add(new SourceRecord(partition, Map.of("incrementing", id), topic, ROW, row));
                }
            } catch (SQLException error) {
                throw new RuntimeException(error);
            }
            if (batch.isEmpty()) Thread.sleep(100);
            return batch;
        }

        public void stop() {
            try {
                connection.close();
            } catch (SQLException error) {
                throw new RuntimeException(error);
            }
        }
    }
}
