import jakarta.jms.DeliveryMode;
import jakarta.jms.InvalidSelectorRuntimeException;
import jakarta.jms.JMSConsumer;
import jakarta.jms.JMSContext;
import jakarta.jms.Message;
import jakarta.jms.Queue;
import jakarta.jms.Topic;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Selectors on consumers, browsers and subscriptions, over AMQP. What they mean, the Joram tests ask. */
final class Selection {
    static final Map<String, Strangers.Check> CHECKS = new LinkedHashMap<>();

    static {
        CHECKS.put("selectors share a queue", Selection::sharedQueue);
        CHECKS.put("a selector sees the whole backlog", Selection::backlog);
        CHECKS.put("browse with a selector", Selection::browse);
        CHECKS.put("selector of a subscription", Selection::subscription);
        CHECKS.put("selectors over headers", Selection::headers);
        CHECKS.put("selectors in transactions", Selection::transactions);
        CHECKS.put("invalid selectors", Selection::invalid);
    }

    private Selection() {}

    private static void sharedQueue() throws Exception {
        Jms2.with(context -> {
            Queue queue = context.createQueue(Broker.fresh("select"));
            JMSConsumer red = context.createConsumer(queue, "colour = 'red'");
            JMSConsumer blue = context.createConsumer(queue, "colour IN ('blue', 'cyan')");
            for (String colour : List.of("red", "blue", "green", "red", "cyan"))
                context.createProducer().setProperty("colour", colour).send(queue, colour);
            Strangers.equal(Jms2.take(red, 2), List.of("red", "red"), "what the first got");
            Strangers.equal(Jms2.take(blue, 2), List.of("blue", "cyan"), "what the second got");
            for (JMSConsumer each : List.of(red, blue)) Jms2.mustBeEmpty(each, "the queue for a selector");
            Strangers.equal(Jms2.next(context.createConsumer(queue)), "green", "what nobody had selected");
        });
    }

    private static void backlog() throws Exception {
        Jms2.with(context -> {
            Queue queue = context.createQueue(Broker.fresh("deep"));
            for (int number = 0; number < 3_000; number++)
                context.createProducer()
                    .setDeliveryMode(DeliveryMode.NON_PERSISTENT)
                    .setProperty("number", number)
                    .send(queue, "" + number);
            JMSConsumer last = context.createConsumer(queue, "number >= 2998 OR number BETWEEN 10 AND 11");
            Strangers.equal(Jms2.take(last, 4), List.of("10", "11", "2998", "2999"), "what was found");
        });
    }

    private static void browse() throws Exception {
        Jms2.with(context -> {
            Queue queue = context.createQueue(Broker.fresh("browse"));
            for (int number = 0; number < 10; number++)
                context.createProducer().setProperty("number", number).send(queue, "" + number);
            Strangers.equal(Jms2.browse(context, queue, "number > 6"), List.of("7", "8", "9"), "what the browser saw");
            Strangers.equal(Jms2.take(context.createConsumer(queue), 10).size(), 10, "what was left");
        });
    }

    private static void subscription() throws Exception {
        Jms2.with(context -> {
            Topic topic = context.createTopic(Broker.fresh("select"));
            JMSConsumer large = context.createConsumer(topic, "size >= 10");
            JMSConsumer unknown = context.createConsumer(topic, "size IS NULL");
            for (int size : List.of(5, 10, 15))
                context.createProducer().setProperty("size", size).send(topic, "" + size);
            context.createProducer().send(topic, "none");
            Strangers.equal(Jms2.take(large, 2), List.of("10", "15"), "what was large");
            Strangers.equal(Jms2.next(unknown), "none", "what had no size");
            for (JMSConsumer each : List.of(large, unknown)) Jms2.mustBeEmpty(each, "the subscription");
        });
    }

    private static void headers() throws Exception {
        Jms2.with(context -> {
            Queue queue = context.createQueue(Broker.fresh("headers"));
            long before = System.currentTimeMillis();
            Message message = context.createTextMessage("all");
            context.createProducer()
                .setPriority(7)
                .setJMSType("invoice")
                .setJMSCorrelationID("c-42")
                .setProperty("JMSXGroupID", "group")
                .setProperty("JMSXGroupSeq", 3)
                .send(queue, message);
            for (String selector : List.of(
                    "JMSPriority = 7",
                    "JMSPriority > 6 AND JMSType = 'invoice'",
                    "JMSCorrelationID LIKE 'c-%'",
                    "JMSDeliveryMode = 'PERSISTENT'",
                    "JMSTimestamp >= " + before,
                    "JMSMessageID = '" + message.getJMSMessageID() + "'",
                    "JMSXGroupID = 'group' AND JMSXGroupSeq = 3"))
                Strangers.equal(Jms2.browse(context, queue, selector), List.of("all"), "what " + selector + " selects");
            for (String selector : List.of(
                    "JMSPriority <> 7", "JMSType = 'order'", "JMSDeliveryMode = 'NON_PERSISTENT'", "JMSXGroupSeq > 3"))
                Strangers.equal(Jms2.browse(context, queue, selector), List.of(), "what " + selector + " selects");
        });
    }

    private static void transactions() throws Exception {
        Jms2.with(JMSContext.SESSION_TRANSACTED, context -> {
            Queue queue = context.createQueue(Broker.fresh("select-tx"));
            for (int number = 0; number < 4; number++)
                context.createProducer().setProperty("even", number % 2 == 0).send(queue, "" + number);
            context.commit();
            JMSConsumer even = context.createConsumer(queue, "even = TRUE");
            Strangers.equal(Jms2.take(even, 2), List.of("0", "2"), "what was selected");
            context.rollback();
            Strangers.equal(Jms2.take(even, 2), List.of("0", "2"), "what was selected again");
            context.commit();
            even.close();
            Strangers.equal(Jms2.take(context.createConsumer(queue), 2), List.of("1", "3"), "what was left");
            context.commit();
        });
    }

    private static void invalid() throws Exception {
        Jms2.with(context -> {
            Queue queue = context.createQueue(Broker.fresh("invalid"));
            Topic topic = context.createTopic(Broker.fresh("invalid"));
            for (String selector : List.of("colour =", "colour = 'red", "size BETWEEN 1", "NOT", "a LIKE 5", "x = 1 1")) {
                Jms2.mustFail(
                    InvalidSelectorRuntimeException.class, selector, () -> context.createConsumer(queue, selector));
                Jms2.mustFail(
                    InvalidSelectorRuntimeException.class, selector, () -> context.createConsumer(topic, selector));
                Jms2.mustFail(
                    InvalidSelectorRuntimeException.class,
                    selector,
                    () -> context.createBrowser(queue, selector).getEnumeration());
            }
            context.createProducer().send(queue, "unharmed");
            Strangers.equal(Jms2.next(context.createConsumer(queue)), "unharmed", "what came afterwards");
        });
    }
}
