import java.util.Properties;
import javax.jms.Connection;
import javax.jms.JMSException;
import javax.jms.MapMessage;
import javax.jms.Message;
import javax.jms.Session;
import javax.jms.TemporaryQueue;
import javax.naming.Context;
import javax.naming.InitialContext;
import javax.naming.NamingException;
import org.apache.qpid.jms.JmsConnectionFactory;
import org.apache.qpid.jms.jndi.JmsInitialContextFactory;
import org.objectweb.jtests.jms.admin.Admin;

/** What the Joram tests ask of a provider: names in JNDI, and queues that are there and empty. The broker runs already. */
public final class MillraceAdmin implements Admin {
    private static final long PATIENCE = 10_000;
    private static final String USER = System.getenv("BROKER_USER");
    private static final String PASSWORD = System.getenv("BROKER_PASSWORD");
    private static final String URI =
        "amqp://" + System.getenv("BROKER_HOST") + ":" + System.getenv("BROKER_PORT");

    private final Properties names = new Properties();

    @Override
    public String getName() {
        return "Millrace";
    }

    @Override
    public Context createContext() throws NamingException {
        names.setProperty(Context.INITIAL_CONTEXT_FACTORY, JmsInitialContextFactory.class.getName());
        return new InitialContext(names);
    }

    @Override
    public void createConnectionFactory(String name) {
        String login = "jms.username=" + USER + "&jms.password=" + encoded(PASSWORD);
        names.setProperty("connectionfactory." + name, URI + "?" + login);
    }

    @Override
    public void createQueueConnectionFactory(String name) {
        createConnectionFactory(name);
    }

    @Override
    public void createTopicConnectionFactory(String name) {
        createConnectionFactory(name);
    }

    @Override
    public void deleteConnectionFactory(String name) {
        names.remove("connectionfactory." + name);
    }

    @Override
    public void deleteQueueConnectionFactory(String name) {
        deleteConnectionFactory(name);
    }

    @Override
    public void deleteTopicConnectionFactory(String name) {
        deleteConnectionFactory(name);
    }

    @Override
    public void createQueue(String name) {
        names.setProperty("queue." + name, name);
        manage("declare", name);
    }

    @Override
    public void deleteQueue(String name) {
        names.remove("queue." + name);
        manage("delete", name);
    }

    @Override
    public void createTopic(String name) {
        names.setProperty("topic." + name, name);
    }

    @Override
    public void deleteTopic(String name) {
        names.remove("topic." + name);
    }

    @Override
    public void startServer() {
        // It serves all tests.
    }

    @Override
    public void stopServer() {
        // As above.
    }

    @Override
    public void start() {
        // Every request has a connection of its own.
    }

    @Override
    public void stop() {
        // As above.
    }

    private static String encoded(String text) {
        return java.net.URLEncoder.encode(text, java.nio.charset.StandardCharsets.UTF_8);
    }

    /** A request to the management node. */
    private static void manage(String operation, String queue) {
        try (Connection connection = new JmsConnectionFactory(USER, PASSWORD, URI).createConnection()) {
            connection.start();
            Session session = connection.createSession();
            TemporaryQueue answers = session.createTemporaryQueue();
            MapMessage request = session.createMapMessage();
            request.setString("queue", queue);
            request.setStringProperty("operation", operation);
            request.setJMSReplyTo(answers);
            session.createProducer(session.createQueue("$management")).send(request);
            Message answer = session.createConsumer(answers).receive(PATIENCE);
            if (answer == null) throw new IllegalStateException("no answer to " + operation + " " + queue);
            if (answer.getIntProperty("statusCode") != 200)
                throw new IllegalStateException(answer.getStringProperty("statusDescription"));
        } catch (JMSException exception) {
            throw new IllegalStateException(exception);
        }
    }
}
