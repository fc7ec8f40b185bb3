import jakarta.jms.JMSConsumer;
import jakarta.jms.JMSContext;
import jakarta.jms.JMSException;
import jakarta.jms.JMSRuntimeException;
import jakarta.jms.Message;
import jakarta.jms.Queue;
import jakarta.jms.QueueBrowser;
import java.util.ArrayList;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.qpid.jms.JmsConnectionFactory;

/** What JMS 2.0 brought, which the Joram tests are older than: java Jms2 [CHECK...], as Strangers. */
public final class Jms2 {
    private Jms2() {}

    interface Use {
        void run(JMSContext context) throws Exception;
    }

    /** Options are those of the client's URI. */
    static JMSContext context(String options, int mode) {
        return new JmsConnectionFactory(Broker.USER, Broker.PASSWORD, Broker.uri(options)).createContext(mode);
    }

    static void with(int mode, Use use) throws Exception {
        try (JMSContext context = context("", mode)) {
            use.run(context);
        }
    }

    static void with(Use use) throws Exception {
        with(JMSContext.AUTO_ACKNOWLEDGE, use);
    }

    /** As a client with an identity. */
    static void as(String clientId, Use use) throws Exception {
        with(context -> {
            context.setClientID(clientId);
            use.run(context);
        });
    }

    static String next(JMSConsumer consumer) {
        String body = consumer.receiveBody(String.class, Broker.PATIENCE);
        Strangers.check(body != null, "no message within " + Broker.PATIENCE + " ms");
        return body;
    }

    static Message nextMessage(JMSConsumer consumer) {
        Message message = consumer.receive(Broker.PATIENCE);
        Strangers.check(message != null, "no message within " + Broker.PATIENCE + " ms");
        return message;
    }

    static List<String> take(JMSConsumer consumer, int count) {
        List<String> bodies = new ArrayList<>();
        while (bodies.size() < count) bodies.add(next(consumer));
        return bodies;
    }

    static void mustBeEmpty(JMSConsumer consumer, String what) {
        Message message = consumer.receive(100);
        Strangers.check(message == null, what + " still holds " + message);
    }

    /** The bodies of what is there for the selector, which may be null. */
    static List<String> browse(JMSContext context, Queue queue, String selector) throws JMSException {
        List<String> bodies = new ArrayList<>();
        try (QueueBrowser browser = context.createBrowser(queue, selector)) {
            Enumeration<?> messages = browser.getEnumeration();
            while (messages.hasMoreElements()) bodies.add(((Message) messages.nextElement()).getBody(String.class));
        }
        return bodies;
    }

    static int count(Message message) throws JMSException {
        return message.getIntProperty("JMSXDeliveryCount");
    }

    static void mustFail(Class<? extends JMSRuntimeException> kind, String what, Strangers.Check action) {
        Strangers.mustThrow(kind, what, action);
    }

    public static void main(String[] asked) {
        Map<String, Strangers.Check> checks = new LinkedHashMap<>();
        checks.putAll(Contexts.CHECKS);
        checks.putAll(Sending.CHECKS);
        checks.putAll(Subscriptions.CHECKS);
        checks.putAll(Selection.CHECKS);
        System.exit(Strangers.passAll(checks, List.of(asked)) ? 0 : 1);
    }
}
