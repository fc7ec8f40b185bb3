import jakarta.jms.Connection;
import jakarta.jms.InvalidClientIDException;
import jakarta.jms.JMSException;
import jakarta.jms.JMSSecurityException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.Topic;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;

/** Who gets in, by which way, and what becomes of a connection when the broker is killed. */
final class Connections {
    static final Map<String, Strangers.Check> CHECKS = new LinkedHashMap<>();

    private static final int MESSAGES = 1_000;
    private static final int KILL_AFTER = 300;

    static {
        CHECKS.put("TLS", () -> roundtrip(Broker.connectWithTls(), Broker.fresh("tls")));
        CHECKS.put("PLAIN", () -> roundtrip(by("PLAIN", Broker.PASSWORD), Broker.fresh("plain")));
        CHECKS.put("SCRAM-SHA-256", () -> roundtrip(by("SCRAM-SHA-256", Broker.PASSWORD), Broker.fresh("scram")));
        CHECKS.put("wrong password", Connections::wrongPassword);
        CHECKS.put("forbidden destination", Connections::forbiddenDestination);
        CHECKS.put("client id in use", Connections::clientIdInUse);
        CHECKS.put("idle connection", Connections::idleConnection);
        CHECKS.put("reconnect", Connections::reconnect);
        CHECKS.put("subscription over a restart", Connections::subscriptionOverRestart);
        CHECKS.put("restart of the broker", Connections::restartOfTheBroker);
    }

    private Connections() {}

    private static Connection by(String mechanism, String password) throws JMSException {
        return Broker.connect(Broker.uri("amqp.saslMechanisms=" + mechanism), Broker.USER, password);
    }

    private static void roundtrip(Connection connection, String name) throws Exception {
        Broker.with(connection, Session.AUTO_ACKNOWLEDGE, (open, session) -> {
            Queue queue = session.createQueue(name);
            Broker.send(session, queue, "hello");
            Strangers.equal(Broker.take(session, queue, 1), List.of("hello"), "what came");
        });
    }

    private static void wrongPassword() {
        for (String mechanism : List.of("PLAIN", "SCRAM-SHA-256"))
            Strangers.mustThrow(JMSSecurityException.class, mechanism, () -> by(mechanism, "wrong"));
    }

    private static void forbiddenDestination() throws Exception {
        roundtrip(limited(), "public." + Broker.fresh("jms"));
        Broker.with(limited(), Session.AUTO_ACKNOWLEDGE, (connection, session) -> {
            Queue forbidden = session.createQueue(Broker.fresh("forbidden"));
            Strangers.mustThrow(
                JMSSecurityException.class, "a producer", () -> session.createProducer(forbidden));
            Strangers.mustThrow(
                JMSSecurityException.class, "a consumer", () -> session.createConsumer(forbidden));
            try (MessageProducer relay = session.createProducer(null)) {
                Message message = session.createTextMessage("no");
                Strangers.mustThrow(JMSException.class, "the relay", () -> relay.send(forbidden, message));
            }
        });
    }

    private static Connection limited() throws JMSException {
        return Broker.connect(Broker.uri(""), Broker.LIMITED_USER, Broker.LIMITED_PASSWORD);
    }

    private static void clientIdInUse() throws Exception {
        String id = Broker.fresh("client");
        try (Connection first = Broker.connect(id)) {
            Strangers.mustThrow(InvalidClientIDException.class, "a second connection", () -> Broker.connect(id));
            Strangers.equal(first.getClientID(), id, "the client id of the first");
        }
        Broker.connect(id).close();
    }

    private static void idleConnection() throws Exception {
        Connection connection = Broker.connect(Broker.uri("amqp.idleTimeout=1000"), Broker.USER, Broker.PASSWORD);
        Thread.sleep(2_500);
        roundtrip(connection, Broker.fresh("idle"));
    }

    private static void receiveAll(Session session, Queue queue, Set<Integer> seen) throws JMSException {
        try (MessageConsumer consumer = session.createConsumer(queue)) {
            while (seen.size() < MESSAGES) seen.add(Integer.valueOf(Broker.text(Broker.next(consumer))));
        }
    }

    private static void sendAll(Session session, Queue queue) throws JMSException {
        try (MessageProducer producer = session.createProducer(queue)) {
            for (int number = 0; number < MESSAGES; number++) {
                producer.send(session.createTextMessage("" + number));
                if (number == KILL_AFTER) Strangers.askForRestart();
            }
        }
    }

    /** The client connects again by itself and sends again what was not confirmed. */
    private static void reconnect() throws Exception {
        String uri = "failover:(" + Broker.uri("") + ")?failover.initialReconnectDelay=20&failover.reconnectDelay=50"
            + "&failover.maxReconnectDelay=200&jms.prefetchPolicy.all=20";
        try (Connection connection = Broker.connect(uri, Broker.USER, Broker.PASSWORD);
                Session sending = connection.createSession();
                Session receiving = connection.createSession()) {
            Queue queue = sending.createQueue(Broker.fresh("reconnect"));
            Set<Integer> seen = new TreeSet<>();
            CompletableFuture<Void> received = CompletableFuture.runAsync(() -> {
                try {
                    receiveAll(receiving, queue, seen);
                } catch (JMSException exception) {
                    throw new IllegalStateException(exception);
                }
            });
            sendAll(sending, queue);
            received.get();
            Strangers.waitForRestart();
            Strangers.equal(seen.size(), MESSAGES, "the number of different messages that came");
        }
    }

    private static void subscriptionOverRestart() throws Exception {
        String id = Broker.fresh("survivor");
        Connection doomed = Broker.connect(id);
        Session lost = doomed.createSession();
        Topic topic = lost.createTopic(id);
        lost.createDurableConsumer(topic, "sub").close();
        Broker.send(lost, topic, "kept");
        Strangers.askForRestart();
        Strangers.waitForRestart();
        Broker.abandon(doomed);
        Broker.with(Broker.connect(id), Session.AUTO_ACKNOWLEDGE, (connection, session) -> {
            try (MessageConsumer consumer = session.createDurableConsumer(topic, "sub")) {
                Strangers.equal(Broker.take(consumer, 1), List.of("kept"), "what was kept");
            }
            session.unsubscribe("sub");
        });
    }

    private static void restartOfTheBroker() throws Exception {
        String name = Broker.fresh("restart");
        Connection doomed = Broker.connect(Broker.uri("jms.prefetchPolicy.all=0"), Broker.USER, Broker.PASSWORD);
        Session lost = doomed.createSession();
        for (int number = 0; number < 100; number++) Broker.send(lost, lost.createQueue(name), "" + number);
        Broker.take(lost, lost.createQueue(name), 10);
        Strangers.askForRestart();
        Strangers.waitForRestart();
        Broker.abandon(doomed);
        Broker.with((connection, session) -> {
            // What was acknowledged a moment before the kill may come again; what was not must come.
            List<String> kept;
            try (MessageConsumer consumer = session.createConsumer(session.createQueue(name))) {
                String first = Broker.text(Broker.next(consumer));
                int from = Integer.parseInt(first);
                Strangers.check(from <= 10, first + " came first");
                kept = Broker.take(consumer, 99 - from);
                Broker.mustBeEmpty(consumer, "the queue");
            }
            Strangers.equal(kept.get(kept.size() - 1), "99", "the last that was kept");
        });
    }
}
