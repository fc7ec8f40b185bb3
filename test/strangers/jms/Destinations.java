import jakarta.jms.Connection;
import jakarta.jms.InvalidDestinationException;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.QueueBrowser;
import jakarta.jms.Session;
import jakarta.jms.TemporaryQueue;
import jakarta.jms.TemporaryTopic;
import jakarta.jms.Topic;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Enumeration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Browsing, subscriptions, temporary destinations, producers without destination. */
final class Destinations {
    static final Map<String, Strangers.Check> CHECKS = new LinkedHashMap<>();

    static {
        CHECKS.put("browse", Destinations::browse);
        CHECKS.put("topic", Destinations::topic);
        CHECKS.put("durable subscription", Destinations::durableSubscription);
        CHECKS.put("another topic", Destinations::anotherTopic);
        CHECKS.put("shared subscription", Destinations::sharedSubscription);
        CHECKS.put("shared volatile subscription", Destinations::sharedVolatileSubscription);
        CHECKS.put("request and reply", Destinations::requestAndReply);
        CHECKS.put("temporary topic", Destinations::temporaryTopic);
        CHECKS.put("anonymous producer", Destinations::anonymousProducer);
    }

    private Destinations() {}

    private static void browse() throws Exception {
        Broker.with((connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("browse"));
            Broker.send(session, queue, "one", "two");
            List<String> seen = new ArrayList<>();
            try (QueueBrowser browser = session.createBrowser(queue)) {
                Enumeration<?> messages = browser.getEnumeration();
                while (messages.hasMoreElements()) seen.add(Broker.text((Message) messages.nextElement()));
            }
            Strangers.equal(seen, List.of("one", "two"), "what the browser saw");
            Strangers.equal(Broker.take(session, queue, 2), List.of("one", "two"), "what was left");
        });
    }

    private static void topic() throws Exception {
        Broker.with((connection, session) -> {
            Topic topic = session.createTopic(Broker.fresh("topic"));
            Broker.send(session, topic, "nobody listens");
            try (MessageConsumer one = session.createConsumer(topic); MessageConsumer two = session.createConsumer(topic)) {
                Broker.send(session, topic, "a", "b");
                for (MessageConsumer consumer : List.of(one, two))
                    Strangers.equal(Broker.take(consumer, 2), List.of("a", "b"), "what a subscriber got");
            }
        });
    }

    private interface Subscribed {
        void run(Session session, MessageConsumer consumer) throws Exception;
    }

    private static void durably(String client, Topic topic, Subscribed use) throws Exception {
        Broker.with(Broker.connect(client), Session.AUTO_ACKNOWLEDGE, (connection, session) -> {
            try (MessageConsumer consumer = session.createDurableConsumer(topic, "sub")) {
                use.run(session, consumer);
            }
        });
    }

    private static void durableSubscription() throws Exception {
        String client = Broker.fresh("subscriber");
        Broker.with((connection, session) -> {
            Topic topic = session.createTopic(Broker.fresh("durable"));
            durably(client, topic, (its, consumer) -> {
                Broker.send(session, topic, "one");
                Strangers.equal(Broker.take(consumer, 1), List.of("one"), "the first");
                Strangers.mustThrow(JMSException.class, "to end a subscription in use", () -> its.unsubscribe("sub"));
            });
            Broker.send(session, topic, "two");
            durably(client, topic, (its, consumer) -> {
                Strangers.equal(Broker.take(consumer, 1), List.of("two"), "what came in the meantime");
            });
            unsubscribe(client);
            Strangers.mustThrow(InvalidDestinationException.class, "to end it twice", () -> unsubscribe(client));
            Broker.send(session, topic, "three");
            durably(client, topic, (its, consumer) -> Broker.mustBeEmpty(consumer, "the subscription made anew"));
            unsubscribe(client);
        });
    }

    private static void unsubscribe(String client) throws Exception {
        Broker.with(Broker.connect(client), Session.AUTO_ACKNOWLEDGE, (connection, session) -> session.unsubscribe("sub"));
    }

    /** A subscription of the same name to another topic takes the place of the first. */
    private static void anotherTopic() throws Exception {
        String client = Broker.fresh("changing");
        Broker.with((connection, session) -> {
            Topic first = session.createTopic(Broker.fresh("first"));
            Topic second = session.createTopic(Broker.fresh("second"));
            durably(client, first, (its, consumer) -> {});
            Broker.send(session, first, "lost with the subscription");
            durably(client, second, (its, consumer) -> {
                Broker.send(session, first, "nobody listens");
                Broker.send(session, second, "heard");
                Strangers.equal(Broker.take(consumer, 1), List.of("heard"), "what came");
            });
            unsubscribe(client);
        });
    }

    private static void sharedSubscription() throws Exception {
        String name = Broker.fresh("shared");
        String prefetch = "jms.prefetchPolicy.all=5";
        Broker.with(prefetch, Session.AUTO_ACKNOWLEDGE, (connection, session) -> {
            Topic topic = session.createTopic(name);
            Broker.with(prefetch, Session.AUTO_ACKNOWLEDGE, (other, its) -> {
                try (MessageConsumer one = session.createSharedDurableConsumer(topic, name);
                        MessageConsumer two = its.createSharedDurableConsumer(topic, name)) {
                    Broker.send(session, topic, "a", "b", "c", "d", "e", "f", "g", "h", "i", "j");
                    List<String> both = new ArrayList<>(Broker.take(one, 5));
                    both.addAll(Broker.take(two, 5));
                    Collections.sort(both);
                    List<String> all = List.of("a", "b", "c", "d", "e", "f", "g", "h", "i", "j");
                    Strangers.equal(both, all, "what both got");
                }
            });
            Broker.send(session, topic, "kept");
            try (MessageConsumer again = session.createSharedDurableConsumer(topic, name)) {
                Strangers.equal(Broker.take(again, 1), List.of("kept"), "what came in the meantime");
            }
            session.unsubscribe(name);
            Strangers.mustThrow(InvalidDestinationException.class, "to end it twice", () -> session.unsubscribe(name));
        });
    }

    private static void sharedVolatileSubscription() throws Exception {
        String name = Broker.fresh("volatile");
        Broker.with("jms.prefetchPolicy.all=2", Session.AUTO_ACKNOWLEDGE, (connection, session) -> {
            Topic topic = session.createTopic(name);
            try (MessageConsumer one = session.createSharedConsumer(topic, name);
                    MessageConsumer two = session.createSharedConsumer(topic, name)) {
                Broker.send(session, topic, "a", "b", "c", "d");
                List<String> both = new ArrayList<>(Broker.take(one, 2));
                both.addAll(Broker.take(two, 2));
                Collections.sort(both);
                Strangers.equal(both, List.of("a", "b", "c", "d"), "what both got");
            }
            Broker.send(session, topic, "gone with the subscription");
            try (MessageConsumer again = session.createSharedConsumer(topic, name)) {
                Broker.mustBeEmpty(again, "the subscription made anew");
            }
        });
    }

    private static void requestAndReply() throws Exception {
        Broker.with((client, session) -> Broker.with((service, its) -> {
            Queue queue = session.createQueue(Broker.fresh("requests"));
            TemporaryQueue replies = session.createTemporaryQueue();
            MessageConsumer consumer = session.createConsumer(replies);
            Message request = session.createTextMessage("ping");
            request.setJMSReplyTo(replies);
            try (MessageProducer producer = session.createProducer(queue)) {
                producer.send(request);
            }
            Message got = Broker.next(its.createConsumer(queue));
            Message answer = its.createTextMessage("pong");
            answer.setJMSCorrelationID(got.getJMSMessageID());
            try (MessageProducer producer = its.createProducer(got.getJMSReplyTo())) {
                producer.send(answer);
            }
            Message reply = Broker.next(consumer);
            Strangers.equal(reply.getJMSCorrelationID(), request.getJMSMessageID(), "the correlation id");
            consumer.close();
            replies.delete();
            Strangers.mustThrow(
                InvalidDestinationException.class, "to send where nobody is", () -> its.createProducer(got.getJMSReplyTo()));
        }));
    }

    private static void temporaryTopic() throws Exception {
        Broker.with((connection, session) -> {
            TemporaryTopic topic = session.createTemporaryTopic();
            try (MessageConsumer one = session.createConsumer(topic); MessageConsumer two = session.createConsumer(topic)) {
                Broker.send(session, topic, "a");
                for (MessageConsumer consumer : List.of(one, two))
                    Strangers.equal(Broker.take(consumer, 1), List.of("a"), "what a subscriber got");
            }
            topic.delete();
        });
    }

    private static void anonymousProducer() throws Exception {
        Broker.with((connection, session) -> {
            try (MessageProducer relay = session.createProducer(null)) {
                Queue queue = session.createQueue(Broker.fresh("relay"));
                Topic topic = session.createTopic(Broker.fresh("relay"));
                try (MessageConsumer subscriber = session.createConsumer(topic)) {
                    relay.send(queue, session.createTextMessage("to the queue"));
                    relay.send(topic, session.createTextMessage("to the topic"));
                    Strangers.equal(Broker.take(session, queue, 1), List.of("to the queue"), "what the queue got");
                    Strangers.equal(Broker.take(subscriber, 1), List.of("to the topic"), "what the topic got");
                }
                try (Connection other = Broker.connect(Broker.uri(""), Broker.USER, Broker.PASSWORD);
                        Session its = other.createSession()) {
                    TemporaryQueue gone = its.createTemporaryQueue();
                    gone.delete();
                    Strangers.mustThrow(
                        JMSException.class, "to send where nobody is", () -> relay.send(gone, session.createMessage()));
                }
            }
        });
    }
}
