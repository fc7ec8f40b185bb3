import jakarta.jms.Connection;
import jakarta.jms.Destination;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayList;
import java.util.List;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;
import org.apache.qpid.jms.JmsConnectionFactory;

/** The broker under test, and what most checks do with it. */
final class Broker {
    static final long PATIENCE = 10_000;
    /** Of Qpid JMS: acknowledge() is about that message alone. */
    static final int INDIVIDUAL_ACKNOWLEDGE = 101;

    static final String USER = System.getenv("BROKER_USER");
    static final String PASSWORD = System.getenv("BROKER_PASSWORD");
    static final String LIMITED_USER = System.getenv("BROKER_LIMITED_USER");
    static final String LIMITED_PASSWORD = System.getenv("BROKER_LIMITED_PASSWORD");
    private static final String RUN = Long.toString(System.currentTimeMillis(), 36);

    private Broker() {}

    interface Use {
        void run(Connection connection, Session session) throws Exception;
    }

    /** A name that no earlier run has left anything under. */
    static String fresh(String name) {
        return "strangers.jms." + name + "." + RUN;
    }

    /** Options are those of the client's URI, without question mark. */
    static String uri(String options) {
        return "amqp://" + System.getenv("BROKER_HOST") + ":" + System.getenv("BROKER_PORT") + "?" + options;
    }

    static Connection connect(String uri, String user, String password) throws JMSException {
        JmsConnectionFactory factory = new JmsConnectionFactory(user, password, uri);
        return started(factory.createConnection());
    }

    static Connection connect(String clientId) throws JMSException {
        JmsConnectionFactory factory = new JmsConnectionFactory(USER, PASSWORD, uri(""));
        factory.setClientID(clientId);
        return started(factory.createConnection());
    }

    static Connection connectWithTls() throws Exception {
        String uri = "amqps://localhost:" + System.getenv("BROKER_TLS_PORT");
        JmsConnectionFactory factory = new JmsConnectionFactory(USER, PASSWORD, uri);
        factory.setSslContext(trusting());
        return started(factory.createConnection());
    }

    private static Connection started(Connection connection) throws JMSException {
        try {
            connection.start();
        } catch (JMSException exception) {
            connection.close();
            throw exception;
        }
        return connection;
    }

    /** Believes the authority of the tests, and nobody else. */
    private static SSLContext trusting() throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (InputStream file = Files.newInputStream(Path.of(System.getenv("BROKER_CA")))) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    static void with(Connection connection, int acknowledgement, Use use) throws Exception {
        try (Connection open = connection; Session session = open.createSession(acknowledgement)) {
            use.run(open, session);
        }
    }

    static void with(String options, int acknowledgement, Use use) throws Exception {
        with(connect(uri(options), USER, PASSWORD), acknowledgement, use);
    }

    static void with(Use use) throws Exception {
        with("", Session.AUTO_ACKNOWLEDGE, use);
    }

    /** Closes a connection whose broker has been killed, whatever it says to that. */
    static void abandon(Connection connection) {
        try {
            connection.close();
        } catch (JMSException expected) {
            return;
        }
    }

    static void send(Session session, Destination destination, String... texts) throws JMSException {
        try (MessageProducer producer = session.createProducer(destination)) {
            for (String text : texts) producer.send(session.createTextMessage(text));
        }
    }

    static Message next(MessageConsumer consumer) throws JMSException {
        Message message = consumer.receive(PATIENCE);
        Strangers.check(message != null, "no message within " + PATIENCE + " ms");
        return message;
    }

    static String text(Message message) throws JMSException {
        return ((TextMessage) message).getText();
    }

    static List<String> take(MessageConsumer consumer, int count) throws JMSException {
        List<String> texts = new ArrayList<>();
        while (texts.size() < count) texts.add(text(next(consumer)));
        return texts;
    }

    static List<String> take(Session session, Destination destination, int count) throws JMSException {
        try (MessageConsumer consumer = session.createConsumer(destination)) {
            return take(consumer, count);
        }
    }

    /** With a time-out the client drains its credit before it gives up. */
    static void mustBeEmpty(Session session, Destination destination) throws JMSException {
        try (MessageConsumer consumer = session.createConsumer(destination)) {
            mustBeEmpty(consumer, destination.toString());
        }
    }

    static void mustBeEmpty(MessageConsumer consumer, String what) throws JMSException {
        Message message = consumer.receive(100);
        Strangers.check(message == null, what + " still holds " + message);
    }
}
