import jakarta.jms.BytesMessage;
import jakarta.jms.CompletionListener;
import jakarta.jms.DeliveryMode;
import jakarta.jms.MapMessage;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.ObjectMessage;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.StreamMessage;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;

/** Sizes, numbers, priorities, expiry, the kinds of messages. */
final class Contents {
    static final Map<String, Strangers.Check> CHECKS = new LinkedHashMap<>();

    private static final int MANY = 10_000;
    private static final int LARGE = 1024 * 1024;

    static {
        CHECKS.put("large message", Contents::largeMessage);
        CHECKS.put("many messages", Contents::manyMessages);
        CHECKS.put("priorities", Contents::priorities);
        CHECKS.put("time to live", Contents::timeToLive);
        CHECKS.put("types survive", Contents::typesSurvive);
    }

    private Contents() {}

    private static void largeMessage() throws Exception {
        Broker.with("amqp.maxFrameSize=16384", Session.AUTO_ACKNOWLEDGE, (connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("large"));
            byte[] body = new byte[LARGE];
            for (int index = 0; index < LARGE; index++) body[index] = (byte) (index * 31 >> 3);
            BytesMessage sent = session.createBytesMessage();
            sent.writeBytes(body);
            try (MessageProducer producer = session.createProducer(queue)) {
                producer.send(sent);
            }
            BytesMessage got = (BytesMessage) Broker.next(session.createConsumer(queue));
            byte[] received = new byte[(int) got.getBodyLength()];
            got.readBytes(received);
            Strangers.check(Arrays.equals(received, body), "the body is another, of " + received.length + " bytes");
        });
    }

    /** Counts confirmations, and keeps the first refusal. */
    private static final class Confirmations implements CompletionListener {
        private final CountDownLatch outstanding = new CountDownLatch(MANY);
        private final AtomicReference<Exception> refusal = new AtomicReference<>();

        @Override
        public void onCompletion(Message message) {
            outstanding.countDown();
        }

        @Override
        public void onException(Message message, Exception exception) {
            refusal.compareAndSet(null, exception);
            outstanding.countDown();
        }

        void await() throws Exception {
            Strangers.check(outstanding.await(30, TimeUnit.SECONDS), outstanding.getCount() + " were not confirmed");
            Strangers.equal(refusal.get(), null, "the first refusal");
        }
    }

    private static void manyMessages() throws Exception {
        Broker.with((connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("many"));
            Confirmations confirmations = new Confirmations();
            try (MessageProducer producer = session.createProducer(queue)) {
                for (int number = 0; number < MANY; number++)
                    producer.send(session.createTextMessage("" + number), confirmations);
                confirmations.await();
            }
            try (MessageConsumer consumer = session.createConsumer(queue)) {
                for (int number = 0; number < MANY; number++)
                    Strangers.equal(Broker.text(Broker.next(consumer)), "" + number, "the body");
            }
        });
    }

    private static void priorities() throws Exception {
        Broker.with((connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("priorities"));
            try (MessageProducer producer = session.createProducer(queue)) {
                for (int priority : List.of(1, 9, 5, 4, 0))
                    producer.send(session.createTextMessage("" + priority), DeliveryMode.PERSISTENT, priority, 0);
            }
            Strangers.equal(Broker.take(session, queue, 5), List.of("9", "5", "4", "1", "0"), "the order");
        });
    }

    private static void timeToLive() throws Exception {
        // Otherwise the client would pass over what has expired.
        Broker.with("jms.localMessageExpiry=false", Session.AUTO_ACKNOWLEDGE, (connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("ttl"));
            try (MessageProducer producer = session.createProducer(queue)) {
                producer.setTimeToLive(50);
                producer.send(session.createTextMessage("short"));
                producer.setTimeToLive(600_000);
                producer.send(session.createTextMessage("long"));
            }
            Thread.sleep(200);
            try (MessageConsumer consumer = session.createConsumer(queue)) {
                Strangers.equal(Broker.take(consumer, 1), List.of("long"), "what was left");
                Broker.mustBeEmpty(consumer, "the queue");
            }
        });
    }

    private static void typesSurvive() throws Exception {
        Broker.with("jms.deserializationPolicy.allowList=java.util,java.lang", Session.AUTO_ACKNOWLEDGE, (connection, session) -> {
            Queue queue = session.createQueue(Broker.fresh("types"));
            MapMessage map = session.createMapMessage();
            map.setInt("number", 42);
            StreamMessage stream = session.createStreamMessage();
            stream.writeString("first");
            stream.writeDouble(0.5);
            ObjectMessage object = session.createObjectMessage(List.of("an", "object").toString());
            try (MessageProducer producer = session.createProducer(queue)) {
                producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
                for (Message message : List.of(map, stream, object, session.createMessage())) producer.send(message);
            }
            try (MessageConsumer consumer = session.createConsumer(queue)) {
                Strangers.equal(((MapMessage) Broker.next(consumer)).getInt("number"), 42, "the entry of the map");
                StreamMessage got = (StreamMessage) Broker.next(consumer);
                Strangers.equal(got.readString(), "first", "the first of the stream");
                Strangers.equal(got.readDouble(), 0.5, "the second of the stream");
                Object content = ((ObjectMessage) Broker.next(consumer)).getObject();
                Strangers.equal(content, "[an, object]", "the object");
                Message empty = Broker.next(consumer);
                Strangers.equal(empty.getJMSDeliveryMode(), DeliveryMode.NON_PERSISTENT, "the delivery mode");
            }
        });
    }
}
