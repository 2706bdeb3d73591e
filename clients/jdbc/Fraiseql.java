import java.sql.DriverManager;
import java.sql.SQLException;
import java.util.Properties;

/**
 * Reads the analytics plane, and the application's PostgreSQL, by JDBC, in one file to copy from.
 *
 * <pre>
 * java --add-opens=java.base/java.nio=ALL-UNNAMED -cp flight-sql-jdbc-driver-18.3.0.jar \
 *   Fraiseql.java "SELECT * FROM fraiseql_events"
 * </pre>
 *
 * FRAISEQL_FLIGHT_URL is the service's address, FRAISEQL_FLIGHT_TOKEN the token, which needs the
 * scope sql, and FRAISEQL_FLIGHT_CA_FILE the file of a certificate authority that this machine does not trust.
 */
public class Fraiseql {
    public static void main(String[] arguments) throws SQLException {
        String select = arguments.length > 0 ? arguments[0] : "SELECT * FROM fraiseql_events";
        try {
            read(select);
        } catch (SQLException error) {
            System.err.println(explained(error));
            System.exit(1);
        }
        System.exit(0); // the driver's own threads keep the machine alive
    }

    /** Reads a statement's rows, and compares their number with that of the engine. */
    static void read(String select) throws SQLException {
        long started = System.nanoTime();
        try (var connection = DriverManager.getConnection(url(), properties());
                var statement = connection.createStatement()) {
            long announced;
            try (var counted = statement.executeQuery("SELECT count(*) FROM (" + select + ") AS s")) {
                counted.next();
                announced = counted.getLong(1);
            }
            long rows = 0;
            started = System.nanoTime();
            try (var found = statement.executeQuery(select)) {
                int width = found.getMetaData().getColumnCount();
                while (found.next()) {
                    for (int column = 1; column <= width; column++) found.getString(column);
                    rows++;
                }
            }
            double seconds = (System.nanoTime() - started) / 1e9;
            System.out.printf("%d rows of %d announced, %.2f s%n", rows, announced, seconds);
            if (rows < announced) {
                throw new SQLException("Only " + rows + " of " + announced + " rows arrived.");
            }
        }
    }

    static String url() {
        String url = setting("FRAISEQL_FLIGHT_URL", "grpc://127.0.0.1:50051");
        String encryption = url.startsWith("grpc+tls://") ? "true" : "false";
        String address = url.substring(url.indexOf("://") + 3);
        return "jdbc:arrow-flight-sql://" + address + "/?useEncryption=" + encryption;
    }

    /** Properties that the driver does not know are sent as headers with every call. */
    static Properties properties() {
        var properties = new Properties();
        String token = setting("FRAISEQL_FLIGHT_TOKEN", "");
        if (!token.isEmpty()) properties.put("authorization", "Bearer " + token);
        String authority = setting("FRAISEQL_FLIGHT_CA_FILE", "");
        if (!authority.isEmpty()) properties.put("tlsRootCerts", authority);
        return properties;
    }

    static String setting(String name, String otherwise) {
        String value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }

    /** The service's sentence in an error, and what to do about it. */
    static String explained(Throwable error) {
        Throwable cause = error;
        while (cause.getCause() != null) cause = cause.getCause();
        String said = String.valueOf(cause.getMessage());
        int detail = said.indexOf(". Detail: ");
        if (detail >= 0) said = said.substring(0, detail + 1);
        if (cause instanceof java.security.cert.CertPathBuilderException) {
            return said + ". Set FRAISEQL_FLIGHT_CA_FILE to the file of its certificate authority.";
        }
        if (said.contains("UNAUTHENTICATED") || said.contains("authorization: Bearer")) {
            return said + " Set FRAISEQL_FLIGHT_TOKEN.";
        }
        if (said.contains("UNAVAILABLE") || said.contains("Connection refused")) {
            return said + " If no service runs there, set FRAISEQL_FLIGHT_URL.";
        }
        return said;
    }
}
