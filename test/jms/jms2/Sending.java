import jakarta.jms.CompletionListener;
import jakarta.jms.DeliveryMode;
import jakarta.jms.JMSConsumer;
import jakarta.jms.JMSContext;
import jakarta.jms.JMSException;
import jakarta.jms.JMSProducer;
import jakarta.jms.JMSRuntimeException;
import jakarta.jms.Message;
import jakarta.jms.Queue;
import jakarta.jms.TextMessage;
import jakarta.jms.Topic;
import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;

/** Delivery delay, asynchronous sends, delivery counts, groups, and what a JMSProducer sets. */
final class Sending {
    static final Map<String, Strangers.Check> CHECKS = new LinkedHashMap<>();

    private static final long DELAY = 700;

    static {
        CHECKS.put("what a producer sets", Sending::producerSets);
        CHECKS.put("asynchronous sends", Sending::asynchronousSends);
        CHECKS.put("asynchronous sends end before close", Sending::closeWaitsForSends);
        CHECKS.put("an asynchronous send refused", Sending::asynchronousRefused);
        CHECKS.put("asynchronous sends of a transaction", Sending::asynchronousInTransaction);
        CHECKS.put("delivery delay", Sending::deliveryDelay);
        CHECKS.put("delivery delay on a topic", Sending::deliveryDelayOnTopic);
        CHECKS.put("delivery delay in a transaction", Sending::deliveryDelayInTransaction);
        CHECKS.put("delivery count", Sending::deliveryCount);
        CHECKS.put("priority kept on redelivery", Sending::priorityKept);
        CHECKS.put("message groups", Sending::messageGroups);
    }

    private Sending() {}

    private static void producerSets() throws Exception {
        Jms2.with(context -> {
            Queue queue = context.createQueue(Broker.fresh("producer"));
            JMSProducer producer = context.createProducer();
            producer.setProperty("text", "grüße").setProperty("number", 42L).setProperty("yes", true);
            producer.setPriority(7).setTimeToLive(600_000).setDeliveryMode(DeliveryMode.NON_PERSISTENT);
            producer.setJMSCorrelationID("c-1").setJMSType("kind").setJMSReplyTo(context.createTopic("answers"));
            long before = System.currentTimeMillis();
            producer.send(queue, "body");
            Message got = Jms2.nextMessage(context.createConsumer(queue));
            Strangers.equal(got.getBody(String.class), "body", "the body");
            Strangers.equal(got.getStringProperty("text"), "grüße", "the text");
            Strangers.equal(got.getLongProperty("number"), 42L, "the number");
            Strangers.equal(got.getBooleanProperty("yes"), true, "the flag");
            Strangers.equal(got.getJMSPriority(), 7, "the priority");
            Strangers.equal(got.getJMSDeliveryMode(), DeliveryMode.NON_PERSISTENT, "the delivery mode");
            Strangers.equal(got.getJMSCorrelationID(), "c-1", "the correlation id");
            Strangers.equal(got.getJMSType(), "kind", "the type");
            Strangers.equal(got.getJMSReplyTo(), context.createTopic("answers"), "the destination of replies");
            Strangers.equal(got.getJMSDestination(), queue, "the destination");
            Strangers.check(got.getJMSMessageID().startsWith("ID:"), "the id is " + got.getJMSMessageID());
            Strangers.check(got.getJMSTimestamp() >= before, "the timestamp is before the send");
            long left = got.getJMSExpiration() - got.getJMSTimestamp();
            Strangers.check(Math.abs(left - 600_000) < 1_000, "it expires " + left + " ms after the send");
        });
    }

    /** 7.3: confirmed in the order of the sends. */
    private static final class Order implements CompletionListener {
        final List<String> confirmed = Collections.synchronizedList(new ArrayList<>());
        final CompletableFuture<Exception> refused = new CompletableFuture<>();
        private final CountDownLatch outstanding;

        Order(int count) {
            outstanding = new CountDownLatch(count);
        }

        @Override
        public void onCompletion(Message message) {
            try {
                confirmed.add(((TextMessage) message).getText());
            } catch (JMSException exception) {
                refused.complete(exception);
            }
            outstanding.countDown();
        }

        @Override
        public void onException(Message message, Exception exception) {
            refused.complete(exception);
            outstanding.countDown();
        }

        void await() throws Exception {
            Strangers.check(outstanding.await(20, TimeUnit.SECONDS), outstanding.getCount() + " were not answered");
        }
    }

    private static List<String> numbers(int count) {
        List<String> numbers = new ArrayList<>();
        while (numbers.size() < count) numbers.add("" + numbers.size());
        return numbers;
    }

    private static void asynchronousSends() throws Exception {
        Jms2.with(context -> {
            Queue queue = context.createQueue(Broker.fresh("async"));
            List<String> numbers = numbers(500);
            Order order = new Order(numbers.size());
            JMSProducer producer = context.createProducer().setAsync(order);
            for (String number : numbers) producer.send(queue, number);
            order.await();
            Strangers.equal(order.confirmed, numbers, "the order of the confirms");
            Strangers.equal(Jms2.take(context.createConsumer(queue), numbers.size()), numbers, "what came");
        });
    }

    private static void closeWaitsForSends() throws Exception {
        String name = Broker.fresh("async-close");
        List<String> numbers = numbers(200);
        Order order = new Order(numbers.size());
        Jms2.with(context -> {
            JMSProducer producer = context.createProducer().setAsync(order);
            for (String number : numbers) producer.send(context.createQueue(name), number);
        });
        Strangers.equal(order.confirmed, numbers, "what was confirmed when close returned");
    }

    private static void asynchronousRefused() throws Exception {
        try (JMSContext owner = Jms2.context("", JMSContext.AUTO_ACKNOWLEDGE);
                JMSContext context = Jms2.context("", JMSContext.AUTO_ACKNOWLEDGE)) {
            var gone = owner.createTemporaryQueue();
            gone.delete();
            Order order = new Order(1);
            try {
                context.createProducer().setAsync(order).send(gone, "to nobody");
                order.await();
                Strangers.check(order.refused.isDone(), "the send was confirmed");
            } catch (JMSRuntimeException refusedAtOnce) {
                Strangers.equal(order.confirmed, List.of(), "what was confirmed");
            }
        }
    }

    private static void asynchronousInTransaction() throws Exception {
        Jms2.with(JMSContext.SESSION_TRANSACTED, context -> {
            Queue queue = context.createQueue(Broker.fresh("async-tx"));
            List<String> numbers = numbers(50);
            Order order = new Order(numbers.size());
            JMSProducer producer = context.createProducer().setAsync(order);
            for (String number : numbers) producer.send(queue, number);
            context.commit();
            Strangers.equal(order.confirmed, numbers, "what was confirmed when commit returned");
            Strangers.equal(Jms2.take(context.createConsumer(queue), numbers.size()), numbers, "what came");
            context.commit();
        });
    }

    private static void deliveryDelay() throws Exception {
        Jms2.with(context -> {
            Queue queue = context.createQueue(Broker.fresh("delay"));
            long before = System.currentTimeMillis();
            context.createProducer().setDeliveryDelay(DELAY).send(queue, "later");
            context.createProducer().send(queue, "at once");
            Strangers.equal(Jms2.browse(context, queue, null), List.of("at once"), "what is shown while one is delayed");
            JMSConsumer consumer = context.createConsumer(queue);
            Strangers.equal(Jms2.next(consumer), "at once", "what was not delayed");
            Message delayed = Jms2.nextMessage(consumer);
            long waited = System.currentTimeMillis() - before;
            Strangers.equal(delayed.getBody(String.class), "later", "what was delayed");
            Strangers.check(waited >= DELAY, "it came after " + waited + " ms");
            long due = delayed.getJMSDeliveryTime() - delayed.getJMSTimestamp();
            Strangers.check(Math.abs(due - DELAY) < 100, "its delivery time is " + due + " ms after the send");
        });
    }

    /** 7.9: it goes to the subscriptions that were there when it was sent. */
    private static void deliveryDelayOnTopic() throws Exception {
        Jms2.with(context -> {
            Topic topic = context.createTopic(Broker.fresh("delay"));
            JMSConsumer early = context.createConsumer(topic);
            context.createProducer().setDeliveryDelay(DELAY).send(topic, "later");
            JMSConsumer late = context.createConsumer(topic);
            Strangers.equal(early.receive(DELAY / 4), null, "what came too early");
            Strangers.equal(Jms2.next(early), "later", "what came in time");
            Jms2.mustBeEmpty(late, "a subscription made after the send");
        });
    }

    /** 7.9: counts from the send and not from the commit. */
    private static void deliveryDelayInTransaction() throws Exception {
        Jms2.with(JMSContext.SESSION_TRANSACTED, context -> {
            Queue queue = context.createQueue(Broker.fresh("delay-tx"));
            long before = System.currentTimeMillis();
            context.createProducer().setDeliveryDelay(DELAY).send(queue, "never");
            context.rollback();
            context.createProducer().setDeliveryDelay(DELAY).send(queue, "later");
            context.commit();
            JMSConsumer consumer = context.createConsumer(queue);
            Strangers.equal(Jms2.next(consumer), "later", "what came");
            long waited = System.currentTimeMillis() - before;
            Strangers.check(waited >= DELAY, "it came after " + waited + " ms");
            Jms2.mustBeEmpty(consumer, "the queue");
            context.commit();
        });
    }

    /** 3.5.11: 1 at first, and the message counts as redelivered from 2 on. */
    private static void deliveryCount() throws Exception {
        Jms2.with(JMSContext.SESSION_TRANSACTED, context -> {
            Queue queue = context.createQueue(Broker.fresh("count"));
            context.createProducer().send(queue, "again and again");
            context.commit();
            JMSConsumer consumer = context.createConsumer(queue);
            for (int count = 1; count <= 3; count++) {
                Message message = Jms2.nextMessage(consumer);
                Strangers.equal(Jms2.count(message), count, "the delivery count");
                Strangers.equal(message.getJMSRedelivered(), count > 1, "whether it was delivered before");
                if (count < 3) context.rollback();
            }
            context.commit();
        });
    }

    private static void priorityKept() throws Exception {
        Jms2.with(JMSContext.CLIENT_ACKNOWLEDGE, context -> {
            Queue queue = context.createQueue(Broker.fresh("priority"));
            JMSProducer producer = context.createProducer();
            producer.setPriority(2).send(queue, "low");
            producer.setPriority(8).send(queue, "high");
            JMSConsumer consumer = context.createConsumer(queue);
            Strangers.equal(Jms2.take(consumer, 2), List.of("high", "low"), "the order");
            context.recover();
            for (Map.Entry<String, Integer> each : List.of(Map.entry("high", 8), Map.entry("low", 2))) {
                Message message = Jms2.nextMessage(consumer);
                Strangers.equal(message.getBody(String.class), each.getKey(), "what came again");
                Strangers.equal(message.getJMSPriority(), each.getValue(), "its priority");
            }
            context.acknowledge();
        });
    }

    /** A group has one consumer, which gets it in order; with two consumers, both have groups. */
    private static void messageGroups() throws Exception {
        String name = Broker.fresh("groups");
        Jms2.with(context -> {
            Queue queue = context.createQueue(name);
            try (JMSContext other = context.createContext(JMSContext.AUTO_ACKNOWLEDGE)) {
                List<JMSConsumer> consumers = List.of(context.createConsumer(queue), other.createConsumer(queue));
                JMSProducer producer = context.createProducer();
                // An odd number: taking turns would not keep them together.
                int groups = 7;
                int each = 5;
                for (int sequence = 1; sequence <= each; sequence++)
                    for (int group = 0; group < groups; group++)
                        producer.setProperty("JMSXGroupID", "g" + group).setProperty("JMSXGroupSeq", sequence)
                            .send(queue, "m");
                Map<String, JMSConsumer> owners = new HashMap<>();
                Map<String, Integer> sequences = new HashMap<>();
                int count = 0;
                long end = System.currentTimeMillis() + Broker.PATIENCE;
                while (count < groups * each && System.currentTimeMillis() < end)
                    for (JMSConsumer consumer : consumers) {
                        Message message = consumer.receive(50);
                        if (message == null) continue;
                        count++;
                        String group = message.getStringProperty("JMSXGroupID");
                        Strangers.equal(owners.getOrDefault(group, consumer), consumer, "the consumer of " + group);
                        owners.put(group, consumer);
                        int expected = sequences.merge(group, 1, Integer::sum);
                        Strangers.equal(message.getIntProperty("JMSXGroupSeq"), expected, "the next of " + group);
                    }
                Strangers.equal(count, groups * each, "the number of messages that came");
                Set<JMSConsumer> busy = new HashSet<>(owners.values());
                Strangers.equal(busy.size(), 2, "the number of consumers that have groups");
            }
        });
    }
}
